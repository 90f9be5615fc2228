"""Read the completion report of a job of S3 Batch Operations."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.copy_reports import CopyJob, judge
from know_me.media_work import JudgedJob
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings


class Event(CopyJob):
    """The job, as Step Functions saw it end."""

    run_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> JudgedJob:
    """Return the figures and, after the first attempt, the manifest of what failed.

    Raises
    ------
    MediaCopyFailed
        The job did not end well, or objects could not be copied twice.
    """
    s3 = client("s3")
    folder = RunFolder(s3, settings.artifacts_bucket, event.run_id)
    return judge(s3, folder, event)
