"""CodeDeploy's BeforeInstall hook: start the schema migration of a release, and return at once."""

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from know_me.aws import client
from know_me.observability import step
from know_me.releases import Hook, report_failed, start_migration
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """What CodeDeploy tells a hook's function."""

    DeploymentId: str
    LifecycleEventHookExecutionId: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> dict[str, str | bool]:
    """Return whether this call started it; the state machine reports to CodeDeploy how it ended."""
    hook = Hook(
        deployment_id=event.DeploymentId,
        lifecycle_event_hook_execution_id=event.LifecycleEventHookExecutionId,
    )
    try:
        started = start_migration(
            client("stepfunctions"), settings.state_machine_arn("schema-migration"), hook
        )
    except ClientError:
        logger.exception("The schema migration could not be started; the deployment is told so")
        # Not raised: Lambda would call again, and migrate for a deployment that has failed by then.
        report_failed(client("codedeploy"), hook)
        started = False
    return {"deployment_id": hook.deployment_id, "started": started}
