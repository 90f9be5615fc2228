"""Make the plans of the tests of the guard: real ones, of a small configuration, against moto.

    python tests/unit/lambdas/plans/make.py

Needs `terraform` and the provider's mirror (TF_CLI_CONFIG_FILE). Every plan is what `terraform show -json`
prints, without what the guard does not read and what changes with every run.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from moto.rds.models import DBInstance
from moto.server import ThreadedMotoServer

HERE = Path(__file__).resolve().parent
SERVICES = ("S3", "RDS", "KMS", "LOGS", "ROUTE53", "STS", "IAM")
LEFT_OUT = ("configuration", "planned_values", "prior_state", "timestamp", "checks", "relevant_attributes")


def generations(*names: str) -> dict[str, Any]:
    """Return the document of generations with these in both stores."""
    store = {"active": names[0], "all": {name: {} for name in names}}
    return {"database": store, "media": store}


class Environment:
    """The configuration, applied."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self.directory = directory
        self.variables = {
            **os.environ,
            **{f"AWS_ENDPOINT_URL_{service}": endpoint for service in SERVICES},
            "AWS_ENDPOINT_URL_ROUTE_53": endpoint,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": endpoint,
            "CHECKPOINT_DISABLE": "1",
        }
        shutil.copytree(HERE / "configuration", directory, dirs_exist_ok=True)
        self.run("init", "-input=false")

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

    def plan(self, name: str, *options: str) -> None:
        """Keep a plan."""
        self.run("plan", "-input=false", "-out=plan", *options)
        document = json.loads(self.run("show", "-json", "plan"))
        for part in LEFT_OUT:
            document.pop(part, None)
        for change in document.get("resource_changes", []):
            change.pop("provider_name", None)
            if change["change"]["actions"] == ["no-op"]:
                change["change"]["before"] = change["change"]["after"] = {}
        text = re.sub(
            r"[0-9a-f]{8}-[0-9a-f-]{27}", "00000000-0000-0000-0000-000000000000", json.dumps(document)
        )
        (HERE / f"{name}.json").write_text(json.dumps(json.loads(text), indent=1) + "\n")
        print(name)


def with_ids_of_their_own() -> None:
    """Let moto give every database another resource id, by which the provider looks for it."""
    made = DBInstance.__init__

    def make(self: Any, *arguments: Any, **more: Any) -> None:
        made(self, *arguments, **more)
        self.dbi_resource_id = f"db-{self.db_instance_identifier.upper().replace('-', '')}"

    DBInstance.__init__ = make


def main() -> None:
    """Make all of them."""
    with_ids_of_their_own()
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    aws: Callable[[str], Any] = lambda service: boto3.client(  # noqa: E731
        service, "us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )
    with tempfile.TemporaryDirectory() as directory:
        it = Environment(Path(directory), endpoint)
        it.configure(generations("blue"))
        it.plan("new-environment")
        it.configure(generations("blue", "green"))
        it.run("apply", "-auto-approve", "-input=false")
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
        it.run("taint", 'module.database["green"].aws_db_instance.this')
        it.plan("tainted")
        it.run("untaint", 'module.database["green"].aws_db_instance.this')
        aws("logs").delete_log_group(logGroupName="/aws/rds/instance/know-me-staging-blue/postgresql")
        aws("rds").modify_db_instance(
            DBInstanceIdentifier="know-me-staging-blue", BackupRetentionPeriod=7, ApplyImmediately=True
        )
        it.plan("drift")
    server.stop()


if __name__ == "__main__":
    main()
