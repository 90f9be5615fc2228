"""Say in words what failed."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.failures import Caught, Explainer, Failure
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """What a Catch caught, in which execution; kept unless it only follows from an earlier failure."""

    run_id: str
    execution_arn: str
    caught: Caught
    keep: bool = True


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> Failure:
    """Return the failure in words; what made a run fail is kept in its folder (`failure.json`)."""
    s3 = client("s3")
    explainer = Explainer(
        s3,
        client("stepfunctions"),
        client("codebuild"),
        settings.artifacts_bucket,
        event.run_id,
        settings.media_jobs_build,
    )
    failure = explainer.explain(event.caught, event.execution_arn)
    logger.error(failure.cause, extra={"error_name": failure.error})
    if event.keep:
        RunFolder(s3, settings.artifacts_bucket, event.run_id).write("failure.json", failure)
    return failure
