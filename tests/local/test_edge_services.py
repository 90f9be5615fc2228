"""Certificates, distributions and web ACLs on the wire, in process: what Terraform leans on, and refusals."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.cloudfront import models as cloudfront_models
from moto.cloudfront.responses import CloudFrontResponse
from moto.wafv2.models import WAFV2Backend

from localaws import acm, cloudfront, wafv2

Client = Callable[..., Any]

CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"

REPLACED = (AWSCertificateManagerBackend, CertBundle, CloudFrontResponse, WAFV2Backend, cloudfront_models)
"""Where the modules put what is theirs: put back after each test, for the tests of others."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Make clients of an AWS with our certificates, distributions and web ACLs."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    before = [(place, dict(vars(place))) for place in REPLACED]
    for module in (acm, wafv2, cloudfront):
        module.install(None)  # type: ignore[arg-type]
    try:
        with mock_aws():
            yield lambda service, region="us-east-1": boto3.client(service, region_name=region)
    finally:
        for place, names in before:
            for name, value in list(vars(place).items()):
                if name not in names:
                    delattr(place, name)
                elif names[name] is not value:
                    setattr(place, name, names[name])


def prove(client: Client, manager: Any, arn: str, domain: str) -> None:
    """Put the record of a certificate into a zone of its domain."""
    described = manager.describe_certificate(CertificateArn=arn)["Certificate"]
    wanted = described["DomainValidationOptions"][0]["ResourceRecord"]
    record = {
        "Name": wanted["Name"],
        "Type": wanted["Type"],
        "TTL": 300,
        "ResourceRecords": [{"Value": wanted["Value"]}],
    }
    route53 = client("route53")
    zone = route53.create_hosted_zone(Name=domain, CallerReference=arn)["HostedZone"]["Id"]
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    )


def test_certificate_waits_for_its_record(client: Client) -> None:
    # Given a certificate for a name whose record is nowhere
    acm = client("acm")
    arn = acm.request_certificate(DomainName="www.example.org", ValidationMethod="DNS")["CertificateArn"]
    described = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    assert described["Status"] == "PENDING_VALIDATION"
    # When the record is made
    prove(client, acm, arn, "example.org")
    # Then it is issued
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED"
    acm.delete_certificate(CertificateArn=arn)


def distribution(**changed: Any) -> dict[str, Any]:
    """Return the smallest configuration of a distribution, with changes."""
    return {
        "CallerReference": "smallest",
        "Comment": "",
        "Enabled": True,
        "Origins": {
            "Quantity": 1,
            "Items": [
                {
                    "Id": "bucket",
                    "DomainName": "some.s3.us-east-1.amazonaws.com",
                    "S3OriginConfig": {"OriginAccessIdentity": ""},
                }
            ],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "bucket",
            "ViewerProtocolPolicy": "redirect-to-https",
            "CachePolicyId": CACHING_OPTIMIZED,
        },
    } | changed


def test_distribution_with_a_policy_that_does_not_exist_is_refused(client: Client) -> None:
    behaviour = distribution()["DefaultCacheBehavior"] | {"CachePolicyId": "nothing"}
    with pytest.raises(ClientError) as refused:
        client("cloudfront").create_distribution(
            DistributionConfig=distribution(DefaultCacheBehavior=behaviour)
        )
    assert refused.value.response["Error"]["Code"] == "NoSuchCachePolicy"


def test_alias_without_a_certificate_is_refused(client: Client) -> None:
    with pytest.raises(ClientError) as refused:
        client("cloudfront").create_distribution(
            DistributionConfig=distribution(Aliases={"Quantity": 1, "Items": ["app.example.net"]})
        )
    assert refused.value.response["Error"]["Code"] == "InvalidViewerCertificate"


def test_distribution_is_deleted_only_when_it_is_disabled_and_in_the_version_that_was_seen(
    client: Client,
) -> None:
    # Given an enabled distribution
    cloudfront = client("cloudfront")
    made = cloudfront.create_distribution(DistributionConfig=distribution())
    identity, version = made["Distribution"]["Id"], made["ETag"]
    # When it is deleted as it is, or disabled from another version than it has
    codes = []
    for call, arguments in (
        (cloudfront.delete_distribution, {"IfMatch": version}),
        (
            cloudfront.update_distribution,
            {"IfMatch": "other", "DistributionConfig": distribution(Enabled=False)},
        ),
    ):
        with pytest.raises(ClientError) as refused:
            call(Id=identity, **arguments)
        codes.append(refused.value.response["Error"]["Code"])
    # Then both are refused, and in the right order both work
    assert codes == ["DistributionNotDisabled", "PreconditionFailed"]
    changed = cloudfront.update_distribution(
        Id=identity, IfMatch=version, DistributionConfig=distribution(Enabled=False)
    )
    cloudfront.delete_distribution(Id=identity, IfMatch=changed["ETag"])
    with pytest.raises(ClientError):
        cloudfront.get_distribution(Id=identity)


def test_an_invalidation_ends_the_waiter_of_the_sdk(client: Client) -> None:
    cloudfront = client("cloudfront")
    made = cloudfront.create_distribution(DistributionConfig=distribution())["Distribution"]
    batch = {"Paths": {"Quantity": 1, "Items": ["/*"]}, "CallerReference": "once"}
    invalidation = cloudfront.create_invalidation(DistributionId=made["Id"], InvalidationBatch=batch)
    cloudfront.get_waiter("invalidation_completed").wait(
        DistributionId=made["Id"],
        Id=invalidation["Invalidation"]["Id"],
        WaiterConfig={"Delay": 1, "MaxAttempts": 1},
    )


def test_managed_cache_policies_are_there_and_stay_as_they_are(client: Client) -> None:
    # Given
    cloudfront = client("cloudfront")
    listed = cloudfront.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]
    names = {each["CachePolicy"]["CachePolicyConfig"]["Name"]: each["CachePolicy"]["Id"] for each in listed}
    found = cloudfront.get_cache_policy(Id=names["Managed-CachingOptimized"])
    # When somebody deletes one
    with pytest.raises(ClientError) as refused:
        cloudfront.delete_cache_policy(Id=found["CachePolicy"]["Id"], IfMatch=found["ETag"])
    # Then
    assert refused.value.response["Error"]["Code"] == "IllegalUpdate"
    assert found["CachePolicy"]["CachePolicyConfig"]["DefaultTTL"] == 86400


def test_distribution_is_read_back_whole(client: Client) -> None:
    # Given a configuration with what moto forgets: errors, an origin access control, policies, functions, TLS
    cloudfront = client("cloudfront")
    control = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": "own",
            "Description": "reads the bucket",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]
    headers = cloudfront.create_response_headers_policy(
        ResponseHeadersPolicyConfig={
            "Name": "careful",
            "SecurityHeadersConfig": {"ContentTypeOptions": {"Override": True}},
        }
    )["ResponseHeadersPolicy"]["Id"]
    smallest = distribution()
    behaviour = smallest["DefaultCacheBehavior"] | {
        "ResponseHeadersPolicyId": headers,
        "Compress": True,
        "FunctionAssociations": {"Quantity": 0},
        "AllowedMethods": {
            "Quantity": 3,
            "Items": ["GET", "HEAD", "OPTIONS"],
            "CachedMethods": {"Quantity": 2, "Items": ["GET", "HEAD"]},
        },
    }
    origin = smallest["Origins"]["Items"][0] | {"OriginAccessControlId": control, "OriginPath": ""}
    wanted = smallest | {
        "DefaultRootObject": "index.html",
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behaviour,
        "CacheBehaviors": {"Quantity": 1, "Items": [behaviour | {"PathPattern": "/assets/*"}]},
        "CustomErrorResponses": {
            "Quantity": 1,
            "Items": [
                {
                    "ErrorCode": 403,
                    "ResponseCode": "200",
                    "ResponsePagePath": "/index.html",
                    "ErrorCachingMinTTL": 10,
                }
            ],
        },
        "ViewerCertificate": {"CloudFrontDefaultCertificate": True, "MinimumProtocolVersion": "TLSv1"},
        "PriceClass": "PriceClass_100",
        "HttpVersion": "http2and3",
        "IsIPV6Enabled": True,
        "WebACLId": "",
    }
    # When it is made, with tags
    made = cloudfront.create_distribution_with_tags(
        DistributionConfigWithTags={
            "DistributionConfig": wanted,
            "Tags": {"Items": [{"Key": "Environment", "Value": "edge"}]},
        }
    )["Distribution"]
    # Then it is read back as it was sent
    found = cloudfront.get_distribution_config(Id=made["Id"])["DistributionConfig"]
    assert {name: found.get(name) for name in wanted} == wanted
    tags = cloudfront.list_tags_for_resource(Resource=made["ARN"])["Tags"]["Items"]
    assert tags == [{"Key": "Environment", "Value": "edge"}]
    # And what it uses cannot be deleted
    versions = {
        "origin_access_control": (control, "OriginAccessControlInUse"),
        "response_headers_policy": (headers, "ResponseHeadersPolicyInUse"),
    }
    for kind, (identity, code) in versions.items():
        version = getattr(cloudfront, f"get_{kind}")(Id=identity)["ETag"]
        with pytest.raises(ClientError) as refused:
            getattr(cloudfront, f"delete_{kind}")(Id=identity, IfMatch=version)
        assert refused.value.response["Error"]["Code"] == code


def test_distribution_has_every_member_that_aws_answers_also_when_it_was_not_given(client: Client) -> None:
    # When the smallest distribution is made
    cloudfront = client("cloudfront")
    made = cloudfront.create_distribution(DistributionConfig=distribution())["Distribution"]
    # Then what was left out is there
    found = cloudfront.get_distribution_config(Id=made["Id"])["DistributionConfig"]
    for name in ("Aliases", "CacheBehaviors", "CustomErrorResponses", "OriginGroups"):
        assert found[name] == {"Quantity": 0}
    assert found["Logging"]["Enabled"] is False and found["WebACLId"] == ""
    assert found["ViewerCertificate"]["CloudFrontDefaultCertificate"] is True


def web_acl(client: Any, scope: str) -> dict[str, Any]:
    """Make a web ACL without rules; return its summary."""
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "acl"}
    made: dict[str, Any] = client.create_web_acl(
        Name="acl", Scope=scope, DefaultAction={"Allow": {}}, VisibilityConfig=visible, Rules=[]
    )["Summary"]
    return made


def test_web_acl_in_front_of_a_distribution_cannot_be_deleted(client: Client) -> None:
    # Given a distribution behind a web ACL
    waf, cloudfront = client("wafv2"), client("cloudfront")
    acl = web_acl(waf, "CLOUDFRONT")
    made = cloudfront.create_distribution(DistributionConfig=distribution(WebACLId=acl["ARN"]))
    delete = {name: acl[name] for name in ("Name", "Id", "LockToken")} | {"Scope": "CLOUDFRONT"}
    # When the web ACL is deleted
    with pytest.raises(ClientError) as refused:
        waf.delete_web_acl(**delete)
    # Then it is in use, until the distribution lets go of it
    assert refused.value.response["Error"]["Code"] == "WAFAssociatedItemException"
    cloudfront.update_distribution(
        Id=made["Distribution"]["Id"], IfMatch=made["ETag"], DistributionConfig=distribution()
    )
    waf.delete_web_acl(**delete)
    assert waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"] == []


def test_web_acl_that_does_not_exist_cannot_be_named_by_a_distribution(client: Client) -> None:
    acl = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/nothing/1"
    with pytest.raises(ClientError) as refused:
        client("cloudfront").create_distribution(DistributionConfig=distribution(WebACLId=acl))
    assert refused.value.response["Error"]["Code"] == "InvalidWebACLId"


def test_load_balancer_has_one_web_acl_which_stays_while_it_is_there(client: Client) -> None:
    # Given a load balancer behind a web ACL, in a region of its own
    waf, balancers = client("wafv2", "eu-west-1"), client("elbv2", "eu-west-1")
    subnets = [each["SubnetId"] for each in client("ec2", "eu-west-1").describe_subnets()["Subnets"]][:2]
    arn = balancers.create_load_balancer(Name="edge", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    acl = web_acl(waf, "REGIONAL")
    waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=arn)
    waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=arn)
    delete = {name: acl[name] for name in ("Name", "Id", "LockToken")} | {"Scope": "REGIONAL"}
    # When the web ACL is deleted
    with pytest.raises(ClientError) as refused:
        waf.delete_web_acl(**delete)
    # Then it is in use, until it is taken away from there
    assert refused.value.response["Error"]["Code"] == "WAFAssociatedItemException"
    waf.disassociate_web_acl(ResourceArn=arn)
    waf.delete_web_acl(**delete)
    assert waf.list_web_acls(Scope="REGIONAL")["WebACLs"] == []


def test_log_group_of_a_firewall_needs_its_prefix(client: Client) -> None:
    waf = client("wafv2")
    acl = web_acl(waf, "REGIONAL")
    group = "arn:aws:logs:us-east-1:123456789012:log-group:firewall"
    with pytest.raises(ClientError) as refused:
        waf.put_logging_configuration(
            LoggingConfiguration={"ResourceArn": acl["ARN"], "LogDestinationConfigs": [group]}
        )
    assert refused.value.response["Error"]["Code"] == "WAFInvalidParameterException"


def test_distribution_takes_a_certificate_that_is_issued_for_its_alias_only(client: Client) -> None:
    # Given a certificate that waits for its record
    manager, cloudfront = client("acm"), client("cloudfront")
    arn = manager.request_certificate(DomainName="app.example.org", ValidationMethod="DNS")["CertificateArn"]
    named = distribution(
        Aliases={"Quantity": 1, "Items": ["app.example.org"]},
        ViewerCertificate={
            "ACMCertificateArn": arn,
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
        },
    )
    with pytest.raises(ClientError) as refused:
        cloudfront.create_distribution(DistributionConfig=named)
    assert refused.value.response["Error"]["Code"] == "InvalidViewerCertificate"
    # When the record is there
    prove(client, manager, arn, "example.org")
    # Then the distribution takes it, for that name and no other, and it cannot be deleted
    cloudfront.create_distribution(DistributionConfig=named)
    other = named | {
        "CallerReference": "other",
        "Aliases": {"Quantity": 1, "Items": ["www.example.org"]},
    }
    with pytest.raises(ClientError) as refused:
        cloudfront.create_distribution(DistributionConfig=other)
    assert refused.value.response["Error"]["Code"] == "InvalidViewerCertificate"
    with pytest.raises(ClientError) as refused:
        manager.delete_certificate(CertificateArn=arn)
    assert refused.value.response["Error"]["Code"] == "ResourceInUseException"
