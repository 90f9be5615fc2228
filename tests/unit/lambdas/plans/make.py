"""Make the plans of the tests of the guard: real ones, of a small configuration.

    python tests/unit/lambdas/plans/make.py

Needs `terraform` and the provider's mirror (TF_CLI_CONFIG_FILE). Every plan is what `terraform show -json`
prints, without what the guard does not read and what changes with every run. Nothing is applied: the state
from which they are made is what the first plan says would be there; only the look for drift asks AWS (moto).
The rules of security groups are another, smaller configuration, and applied (to moto).
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

HERE = Path(__file__).resolve().parent
ACCOUNT = "123456789012"
SCHEMA_VERSIONS = {"aws_db_instance": 2}
"""Versions of the provider's schemas that are not 0."""
LEFT_OUT = ("configuration", "planned_values", "prior_state", "timestamp", "checks", "relevant_attributes")


def generations(*names: str) -> dict[str, Any]:
    """Return the document of generations with these in both stores."""
    store = {"active": names[0], "all": {name: {} for name in names}}
    return {"database": store, "media": store}


class Environment:
    """A configuration, and a state as if it had been applied."""

    def __init__(self, directory: Path, endpoint: str, configuration: str = "configuration") -> None:
        self.directory = directory
        self.variables = {**os.environ, "AWS_ENDPOINT_URL": endpoint, "CHECKPOINT_DISABLE": "1"}
        shutil.copytree(HERE / configuration, directory, dirs_exist_ok=True)
        self.run("init", "-input=false")

    def pretend_applied(self, plan: dict[str, Any]) -> None:
        """Write the state that a plan of creations would lead to."""
        state = {
            "version": 4,
            "serial": 1,
            "lineage": "guard",
            "terraform_version": plan["terraform_version"],
            "outputs": {
                name: {"value": output["after"], "type": ["tuple", ["string"] * len(output["after"])]}
                for name, output in plan["output_changes"].items()
            },
        }
        resources = [_resource(change) for change in plan["resource_changes"]]
        (self.directory / "terraform.tfstate").write_text(json.dumps({**state, "resources": resources}))

    def taint(self, address: str) -> None:
        """Say that the creation of a resource broke off."""
        path = self.directory / "terraform.tfstate"
        state = json.loads(path.read_text())
        (entry,) = [each for each in state["resources"] if f"{each.get('module')}.{each['type']}" == address]
        entry["instances"][0]["status"] = "tainted"
        path.write_text(json.dumps(state))

    def run(self, *arguments: str) -> str:
        """Run terraform."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.directory,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def configure(self, document: dict[str, Any], **variables: Any) -> None:
        """Set the variables."""
        text = json.dumps({"generations": document, **variables})
        (self.directory / "terraform.tfvars.json").write_text(text)

    def edit(self, file: str, old: str, new: str) -> None:
        """Change the configuration."""
        path = self.directory / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def restore(self) -> None:
        """Take every change of the configuration back."""
        shutil.copytree(HERE / "configuration", self.directory, dirs_exist_ok=True)
        self.configure(generations("blue", "green"))

    def plan(self, name: str, *options: str, look: bool = False) -> dict[str, Any]:
        """Keep a plan, made without looking at AWS unless told to; return it."""
        self.run("plan", "-input=false", "-out=plan", f"-refresh={str(look).lower()}", *options)
        document = json.loads(self.run("show", "-json", "plan"))
        prior = document.get("prior_state", {})
        for part in LEFT_OUT:
            document.pop(part, None)
        if groups := _security_groups(prior.get("values", {}).get("root_module", {})):
            document["prior_state"] = {"values": {"root_module": groups}}
        for change in document.get("resource_changes", []):
            change.pop("provider_name", None)
            if change["change"]["actions"] == ["no-op"]:
                change["change"]["before"] = change["change"]["after"] = {}
        (HERE / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        print(name)
        return document


def _security_groups(module: dict[str, Any]) -> dict[str, Any]:
    """Return what the guard reads of a state: the security groups and their rules, in their modules."""
    resources = [each for each in module.get("resources", []) if "security_group" in each["type"]]
    children = [_security_groups(child) for child in module.get("child_modules", [])]
    return {
        **({"resources": resources} if resources else {}),
        **({"child_modules": children} if any(children) else {}),
    }


def _resource(change: dict[str, Any]) -> dict[str, Any]:
    """Return a resource of a state; what only AWS would know is made up."""
    attributes = {**change["change"]["after"]}
    for name, unknown in change["change"]["after_unknown"].items():
        if unknown is True:
            attributes[name] = _made_up(change, name)
    names = {
        "aws_s3_bucket": "bucket",
        "aws_cloudwatch_log_group": "name",
        "aws_s3_bucket_versioning": "bucket",
    }
    if change["type"] in names:
        attributes["id"] = attributes[names[change["type"]]]
    module = change.get("module_address")
    return {
        **({"module": module} if module else {}),
        "mode": "managed",
        "type": change["type"],
        "name": change["name"],
        "provider": 'provider["registry.terraform.io/hashicorp/aws"]',
        "instances": [
            {
                "schema_version": SCHEMA_VERSIONS.get(change["type"], 0),
                "attributes": attributes,
                "sensitive_attributes": [
                    [{"type": "get_attr", "value": name}]
                    for name, sensitive in change["change"]["after_sensitive"].items()
                    if sensitive is True
                ],
            }
        ],
    }


def _made_up(change: dict[str, Any], name: str) -> Any:
    generation = change["address"].split('"')[1] if '"' in change["address"] else ""
    known = {
        "aws_s3_bucket_versioning": {"bucket": f"know-me-staging-media-{generation}-{ACCOUNT}"},
        "aws_db_instance": {"kms_key_id": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"},
        "aws_kms_key": {"arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1", "key_id": "1", "id": "1"},
    }
    lists = (
        *("name_servers", "listener_endpoint", "master_user_secret"),
        *("replicas", "vpc_security_group_ids"),
    )
    if name in ("tags_all", *lists):
        return [] if name in lists else {}
    if name in known.get(change["type"], {}):
        return known[change["type"]][name]
    strings = ("id", "arn", "address", "endpoint", "bucket_domain_name", "hosted_zone_id", "region")
    return f"{change['type']}-{name}" if name in strings else None


def rules_added(endpoint: str) -> None:
    """Make the plans of groups whose rules somebody changed by hand."""
    with tempfile.TemporaryDirectory() as directory:
        it = Environment(Path(directory), endpoint, "security_groups")
        it.run("apply", "-input=false", "-auto-approve")
        it.plan("rules-as-described", look=True)
        ec2 = boto3.client(
            "ec2", "us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )
        found = {group["GroupName"]: group for group in ec2.describe_security_groups()["SecurityGroups"]}
        database, client = (found[name]["GroupId"] for name in ("database", "client"))
        vpc = [{"Name": "vpc-id", "Values": [found["database"]["VpcId"]]}]
        (unused,) = (
            group["GroupId"]
            for group in ec2.describe_security_groups(Filters=vpc)["SecurityGroups"]
            if group["GroupName"] == "default"
        )
        postgresql = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
        anybody = {**postgresql, "IpRanges": [{"CidrIp": "0.0.0.0/0"}, {"CidrIp": "192.0.2.0/24"}]}
        for group in (database, unused):
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[anybody])
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ec2.authorize_security_group_egress(GroupId=database, IpPermissions=[everything])
        # And that somebody deleted a rule of Terraform's and made it again, with another id
        again = {**postgresql, "UserIdGroupPairs": [{"GroupId": client}]}
        ec2.revoke_security_group_ingress(GroupId=database, IpPermissions=[again])
        ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=[again])
        it.plan("rules-added", look=True)


def main() -> None:
    """Make all of them."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    rules_added(endpoint)
    tainted = 'module.database["green"].aws_db_instance'
    with tempfile.TemporaryDirectory() as directory:
        it = Environment(Path(directory), endpoint)
        it.configure(generations("blue", "green"))
        it.pretend_applied(it.plan("new-environment"))
        it.plan("empty")
        it.edit("modules/database/main.tf", 'db_name                 = "know_me"', 'db_name = "other"')
        it.plan("database-replaced")
        it.restore()
        it.configure(generations("blue"))
        it.plan("generation-left")
        it.configure(generations("blue", "green"), safe=False)
        it.plan("less-safe")
        it.restore()
        it.edit("main.tf", 'module "media" {', 'module "files" {')
        it.run("init", "-input=false")
        it.plan("renamed-without-moved")
        (it.directory / "moved.tf").write_text("moved {\n  from = module.media\n  to   = module.files\n}\n")
        it.plan("renamed-with-moved")
        (it.directory / "moved.tf").unlink()
        it.restore()
        text = (it.directory / "main.tf").read_text()
        block = re.search(r'resource "aws_route53_zone" "this" \{.*?\n\}\n', text, re.DOTALL)
        assert block
        forget = "removed {\n  from = aws_route53_zone.this\n  lifecycle {\n    destroy = false\n  }\n}\n"
        it.edit("main.tf", block[0], forget)
        it.plan("zone-forgotten")
        it.restore()
        it.plan("replace-by-request", "-replace=aws_kms_key.environment", "-replace=aws_s3_bucket.web")
        it.plan("destroyed", "-destroy")
        # Given that somebody deleted a log group and stopped a bucket from keeping versions
        blue, green = (f"know-me-staging-media-{name}-{ACCOUNT}" for name in ("blue", "green"))
        s3 = boto3.client(
            "s3", "us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )
        s3.create_bucket(Bucket=blue)
        s3.create_bucket(Bucket=green)
        s3.put_bucket_versioning(Bucket=blue, VersioningConfiguration={"Status": "Suspended"})
        targets = ("database", "aws_cloudwatch_log_group.export"), ("media", "aws_s3_bucket_versioning.this")
        it.plan("drift", *(f'-target=module.{store}["blue"].{what}' for store, what in targets), look=True)
        it.taint(tainted)
        it.plan("tainted")
    server.stop()


if __name__ == "__main__":
    main()
