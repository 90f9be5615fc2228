"""Tell CodeDeploy about a schema migration that was ended from outside, so that it does not wait an hour."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.observability import step
from know_me.releases import hook_of, lost, report_failed
from know_me.settings import Settings
from pydantic import BaseModel, Field


class Detail(BaseModel):
    """The execution, as EventBridge describes it; `input` is the hook."""

    execution_arn: str = Field(alias="executionArn")
    status: str
    input: str


class Event(BaseModel):
    """Step Functions' event: an execution failed, timed out or was stopped."""

    detail: Detail


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool]:
    """Return whether CodeDeploy still waited; then the topic is told too."""
    hook = hook_of(event.detail.input)
    reported = report_failed(client("codedeploy"), hook)
    if reported:
        subject, text = lost(settings.environment, hook, event.detail.execution_arn, event.detail.status)
        client("sns").publish(TopicArn=settings.notification_topic_arn, Subject=subject, Message=text)
    return {"reported": reported}
