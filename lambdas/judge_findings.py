"""Judge everything that the preflight found so far."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.findings import Finding, judge, refuse_failed
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run whose findings are judged."""

    run_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, int]:
    """Write `preflight.json`; return how many findings there are of each result.

    Raises
    ------
    PreflightFailed
        A finding failed.
    """
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    findings = [
        Finding.model_validate(item) for name in folder.names("findings/") for item in folder.read(name) or []
    ]
    verdict = judge(findings)
    folder.write("preflight.json", verdict)
    refuse_failed(verdict)
    results = [finding.result for finding in findings]
    return {result: results.count(result) for result in ("passed", "warning", "skipped")}
