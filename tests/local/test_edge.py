"""The modules that face the world, applied by plain terraform: web app, names, firewalls, alarms."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import PROJECT, LocalAWS

pytestmark = pytest.mark.local

REGION = "eu-west-1"
BARE = {"domain_name": None, "firewall": True, "web_firewall": False, "generations": ["blue"]}
NAMED = BARE | {"domain_name": "example.com", "web_firewall": True}
MODULES = ("web", "dns", "firewall", "watching")


@dataclass
class Edge:
    """A root module of these modules in a directory of its own."""

    directory: Path
    environment: dict[str, str]
    aws: LocalAWS

    def terraform(self, *arguments: str) -> str:
        """Run terraform and return what it printed."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return done.stdout

    def set(self, modules: dict[str, Any]) -> None:
        """Say what is wanted."""
        (self.directory / "modules.auto.tfvars.json").write_text(json.dumps({"modules": modules}))

    def apply(self, modules: dict[str, Any]) -> None:
        """Make it so."""
        self.set(modules)
        self.terraform("apply", "-no-color", "-input=false", "-auto-approve")

    def plan(self) -> dict[str, list[str]]:
        """Return what another apply would do, by address."""
        self.terraform("plan", "-no-color", "-input=false", "-out=test.tfplan")
        document = json.loads(self.terraform("show", "-json", "test.tfplan"))
        return {
            change["address"]: change["change"]["actions"]
            for change in document.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"])
        }

    def outputs(self) -> dict[str, Any]:
        """Return the outputs."""
        return {
            name: output["value"] for name, output in json.loads(self.terraform("output", "-json")).items()
        }


@pytest.fixture(scope="module")
def edge(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The modules without a domain, applied; destroyed afterwards."""
    directory = tmp_path_factory.mktemp("edge") / "root"
    shutil.copytree(PROJECT / "tests" / "local" / "edge", directory)
    for name in MODULES:
        shutil.copytree(
            PROJECT / "terraform" / "modules" / name,
            directory / "modules" / name,
            ignore=shutil.ignore_patterns("tests"),
        )
    made = Edge(directory, local_aws.environment(), local_aws)
    made.terraform("init", "-input=false")
    made.set(BARE)
    try:
        made.apply(BARE)
        yield made
    finally:
        made.terraform("destroy", "-no-color", "-input=false", "-auto-approve")


def test_second_plan_is_empty(edge: Edge) -> None:
    assert edge.plan() == {}


def test_distribution_is_read_back_as_it_was_written(edge: Edge) -> None:
    # Given
    web, cloudfront = edge.outputs()["web"], edge.aws.client("cloudfront")
    # When
    found = cloudfront.get_distribution(Id=web["distribution_id"])["Distribution"]
    configuration = found["DistributionConfig"]
    # Then
    origin = configuration["Origins"]["Items"][0]
    assert origin["DomainName"].startswith(web["bucket"])
    assert cloudfront.get_origin_access_control(Id=origin["OriginAccessControlId"])
    assert {
        (each["ErrorCode"], each["ResponseCode"], each["ResponsePagePath"])
        for each in configuration["CustomErrorResponses"]["Items"]
    } == {(403, "200", "/index.html"), (404, "200", "/index.html")}
    assert web["url"] == f"https://{found['DomainName']}"


def certificates_of_the_edge(acm: Any) -> list[dict[str, Any]]:
    """Return the certificates that these modules made in a region."""
    listed = acm.list_certificates()["CertificateSummaryList"]
    return [each for each in listed if each["DomainName"].endswith(".edge.example.com")]


def test_names_and_firewall_of_cloudfront_come_and_go_in_one_apply_each(edge: Edge) -> None:
    # Given a hosted zone, and a web app without a name
    route53, acm = edge.aws.client("route53"), edge.aws.client("acm", "us-east-1")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="edge")["HostedZone"]["Id"]
    waf = edge.aws.client("wafv2", "us-east-1")
    # When it is given a name and a firewall
    edge.apply(NAMED)
    # Then its certificate, in the region that CloudFront reads, is issued: its record is in the zone
    certificates = {
        each["DomainName"]: acm.describe_certificate(CertificateArn=each["CertificateArn"])["Certificate"]
        for each in certificates_of_the_edge(acm)
    }
    assert certificates.keys() == {"app.edge.example.com"}
    assert certificates["app.edge.example.com"]["Status"] == "ISSUED"
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert {(each["Name"], each["Type"]) for each in records if "AliasTarget" in each} == {
        (f"{what}.edge.example.com.", kind) for what in ("api", "app") for kind in ("A", "AAAA")
    }
    assert edge.outputs()["web"]["url"] == "https://app.edge.example.com"
    acl = waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]
    assert [each["Name"] for each in acl] == ["know-me-edge-web"]
    assert edge.plan() == {}
    # When somebody deletes the web ACL behind Terraform's back, then it is in use
    with pytest.raises(ClientError) as refused:
        waf.delete_web_acl(**{name: acl[0][name] for name in ("Name", "Id", "LockToken")}, Scope="CLOUDFRONT")
    assert refused.value.response["Error"]["Code"] == "WAFAssociatedItemException"
    # When both are taken away again, then one apply is enough
    edge.apply(BARE)
    assert waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"] == []
    assert certificates_of_the_edge(acm) == []
    assert edge.plan() == {}


def test_firewall_of_the_load_balancer_is_taken_away_in_one_apply(edge: Edge) -> None:
    # Given
    waf = edge.aws.client("wafv2", REGION)
    acl = waf.list_web_acls(Scope="REGIONAL")["WebACLs"][0]
    logging = waf.get_logging_configuration(ResourceArn=acl["ARN"])["LoggingConfiguration"]
    assert ":log-group:aws-waf-logs-know-me-edge-api" in logging["LogDestinationConfigs"][0]
    # When
    edge.apply(BARE | {"firewall": False})
    # Then
    assert waf.list_web_acls(Scope="REGIONAL")["WebACLs"] == []
    assert edge.plan() == {}
    edge.apply(BARE)


def test_new_generation_of_the_database_adds_alarms_and_changes_none(edge: Edge) -> None:
    # When a candidate is planned
    edge.set(BARE | {"generations": ["blue", "green"]})
    planned = edge.plan()
    edge.set(BARE)
    # Then only the dashboard is changed besides
    changed = {address for address, actions in planned.items() if actions != ["create"]}
    assert changed == {"module.watching.aws_cloudwatch_dashboard.this"}
    assert len(planned) == 4


def test_every_alarm_exists_and_tells_the_topic(edge: Edge) -> None:
    # Given
    names = [arn.partition(":alarm:")[2] for arn in edge.outputs()["alarm_arns"]]
    # When
    alarms = edge.aws.client("cloudwatch", REGION).describe_alarms(AlarmNames=names)["MetricAlarms"]
    # Then
    assert {alarm["AlarmName"] for alarm in alarms} == set(names)
    assert all(alarm["AlarmActions"] for alarm in alarms)
