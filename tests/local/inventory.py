"""What is in an account: so that a test can say that nothing remains."""

from collections.abc import Iterator
from typing import Any

from tests.local.conftest import LocalAWS

# Service → operation, where its answer has the list, and by what an entry is named (None: it is the name).
LISTS: tuple[tuple[str, str, str, str | None], ...] = (
    ("cloudfront", "list_distributions", "DistributionList.Items", "ARN"),
    ("cloudfront", "list_origin_access_controls", "OriginAccessControlList.Items", "Id"),
    (
        "cloudfront",
        "list_response_headers_policies",
        "ResponseHeadersPolicyList.Items",
        "ResponseHeadersPolicy.Id",
    ),
    ("cloudfront", "list_cache_policies", "CachePolicyList.Items", "CachePolicy.Id"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("codebuild", "list_projects", "projects", None),
    ("codedeploy", "list_applications", "applications", None),
    ("codepipeline", "list_pipelines", "pipelines", "name"),
    ("codeconnections", "list_connections", "Connections", "ConnectionArn"),
    ("dynamodb", "list_tables", "TableNames", None),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ecr", "describe_repositories", "repositories", "repositoryName"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ("events", "list_rules", "Rules", "Name"),
    ("iam", "list_roles", "Roles", "Arn"),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    ("rds", "describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName"),
    ("rds", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier"),
    ("rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("secretsmanager", "list_secrets", "SecretList", "Name"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("sqs", "list_queues", "QueueUrls", None),
    ("ssm", "describe_parameters", "Parameters", "Name"),
)

GONE = {"NatGateways": "deleted", "VpcEndpoints": "deleted"}
"""States in which something is shown for a while after it was deleted."""


def inventory(aws: LocalAWS) -> set[tuple[str, str]]:
    """Return (kind, name) of everything that is in the account.

    A key whose deletion is scheduled is `keys pending deletion`: it is gone when its window ends.
    """
    found = {
        (f"{service} {place.split('.')[0]}", name)
        for service, operation, place, field in LISTS
        for name in _names(aws.client(service), operation, place, field)
    }
    others = (
        *(_scalable_targets, _keys, _policies, _clusters, _task_definitions),
        *(_web_acls, _certificates, _records),
    )
    return found | {each for look in others for each in look(aws)}


def _names(client: Any, operation: str, place: str, field: str | None) -> Iterator[str]:
    pages = (
        client.get_paginator(operation).paginate()
        if client.can_paginate(operation)
        else [getattr(client, operation)()]
    )
    for page in pages:
        for each in _at(page, place) or []:
            if place not in GONE or each["State"] != GONE[place]:
                yield str(_at(each, field) if field else each)


def _at(document: Any, place: str) -> Any:
    for part in place.split("."):
        document = document.get(part) if document else None
    return document


def _scalable_targets(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    found = aws.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="ecs")
    for each in found["ScalableTargets"]:
        yield "scalable targets", each["ResourceId"]


def _keys(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    client = aws.client("kms")
    for page in client.get_paginator("list_keys").paginate():
        for each in page["Keys"]:
            key = client.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
            if key["KeyManager"] == "CUSTOMER":
                pending = key["KeyState"] == "PendingDeletion"
                yield "keys pending deletion" if pending else "keys", key["KeyId"]


def _policies(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    for page in aws.client("iam").get_paginator("list_policies").paginate(Scope="Local"):
        for each in page["Policies"]:
            yield "policies", each["Arn"]


def _clusters(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    client = aws.client("ecs")
    arns = client.get_paginator("list_clusters").paginate().build_full_result()["clusterArns"]
    for each in client.describe_clusters(clusters=arns)["clusters"]:
        if each["status"] != "INACTIVE":
            yield "clusters", each["clusterName"]


def _task_definitions(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    pages = aws.client("ecs").get_paginator("list_task_definitions").paginate(status="ACTIVE")
    for page in pages:
        for arn in page["taskDefinitionArns"]:
            yield "task definitions", arn.rpartition("/")[2]


def _web_acls(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    for scope in ("REGIONAL", "CLOUDFRONT"):
        for each in aws.client("wafv2").list_web_acls(Scope=scope)["WebACLs"]:
            yield "web ACLs", each["ARN"]


def _certificates(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    for page in aws.client("acm").get_paginator("list_certificates").paginate():
        for each in page["CertificateSummaryList"]:
            yield "certificates", each["CertificateArn"]


def _records(aws: LocalAWS) -> Iterator[tuple[str, str]]:
    route53 = aws.client("route53")
    for zone in route53.list_hosted_zones()["HostedZones"]:
        records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        for each in records:
            yield "records", f"{each['Name']} {each['Type']}"
