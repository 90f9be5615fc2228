"""Check what AWS knows about the environment before anything is changed."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.manifest import read_manifest
from know_me.observability import step
from know_me.preflight import run_checks
from know_me.requests import Migration
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The migration that is about to start."""

    run_id: str
    execution_arn: str
    migration: Migration


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, int]:
    """Write the findings into the run folder; return how many there are of each result."""
    manifest = read_manifest(client("ssm"), settings.environment)
    findings = run_checks(event.migration, manifest, settings, client, utc_now(), event.execution_arn)
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    folder.write("findings/environment.json", [finding.model_dump() for finding in findings])
    results = [finding.result for finding in findings]
    return {result: results.count(result) for result in ("passed", "warning", "failed", "skipped")}
