"""Write the report of a run and tell who wants to know."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.executions import describe_execution
from know_me.failures import Failure
from know_me.generations import read_generations
from know_me.observability import step
from know_me.reports import Facts, compose, message, render
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from know_me.timeline import executions_of, timeline


class Event(Facts):
    """What the state machine knows; the execution that reports belongs to the timeline too."""

    execution_arn: str
    notify: bool = True


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Write `timeline.json`, `report.json`, `report.html` and `outcome.json`; publish to the topic."""
    states, folder = client("stepfunctions"), RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    failure = event.failure or (
        _failure_of(folder, states, settings, event) if event.runbook == "return" else None
    )
    own = (event.runbook, event.execution_arn.rpartition(":")[2])
    executions = dict.fromkeys([*executions_of(event.run_id, event.runbook), own])
    entries = timeline(states, settings, executions)
    generations = read_generations(client("ssm"), settings.environment)
    report = compose(
        event.model_copy(update={"failure": failure}),
        folder,
        entries,
        generations,
        settings.account_id,
        utc_now(),
    )
    folder.write("timeline.json", report.timeline)
    folder.write("report.json", report)
    folder.write_text("report.html", render(report), "text/html; charset=utf-8")
    folder.write(
        "outcome.json",
        {
            "outcome": report.outcome,
            "sentence": report.sentence,
            "at": report.finished_at,
            "failure": failure.model_dump() if failure else None,
            "downtime_seconds": report.downtime_seconds,
        },
    )
    if event.runbook == "return":
        folder.write("return.json", event)
    if event.notify:
        subject, text = message(report)
        client("sns").publish(TopicArn=settings.notification_topic_arn, Subject=subject, Message=text)
    return {"report": f"{folder.address}/report.html", "outcome": report.outcome, "sentence": report.sentence}


def _failure_of(folder: RunFolder, states: object, settings: Settings, event: Event) -> Failure | None:
    """Find out why a run is returned: what it said itself, or how Step Functions ended it."""
    said = folder.read("failure.json")
    if said:
        return Failure.model_validate(said)
    run = describe_execution(states, settings.execution_arn("migrate", event.run_id))
    if run is None or run.status in ("RUNNING", "SUCCEEDED"):
        return None
    ended = {"ABORTED": "was stopped by hand", "TIMED_OUT": "took longer than a migration may"}
    cause = f"The execution {run.arn} {ended.get(run.status, 'failed')}. {run.cause or ''}".strip()
    return Failure(error=run.error or f"States.{run.status.title().replace('_', '')}", cause=cause)
