"""Ask a person whether a plan may be applied; the run waits with a task token until somebody decides."""

import secrets
from typing import Annotated

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.parameters import get_secret
from know_me.approval_table import ApprovalTable
from know_me.approvals import (
    ApprovalRequest,
    Topics,
    Waiting,
    changes_of,
    command_line,
    expiry,
    link,
    message,
    moment,
)
from know_me.aws import client
from know_me.clock import utc_now
from know_me.errors import ProvisionFailed
from know_me.names import (
    ExecutionName,
    approval_key_secret,
    approval_url_parameter,
    approvals_table,
    decide_function,
)
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel, Field

NONCE_BYTES = 24


class Event(BaseModel):
    """The run that waits, with which token and for how long, and what its plan does in figures."""

    run_id: ExecutionName
    task_token: Annotated[str, Field(min_length=1)]
    execution_arn: str
    timeout_seconds: Annotated[int, Field(ge=60)]
    counts: dict[str, int]
    destructive: int


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> dict[str, str | bool]:
    """Write what is asked, remember the token, and tell the topic; return until when it can be decided.

    A run that was answered before (its first try broke off after somebody had decided) is told at once.
    """
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    plan = folder.read("plan/plan.json")
    if plan is None:
        raise ProvisionFailed(
            f"{folder.address}/plan/plan.json does not exist: nobody could see what is to be approved.",
            "Start provision again.",
        )
    now = utc_now()
    waiting = Waiting(
        run_id=event.run_id,
        task_token=event.task_token,
        execution_arn=event.execution_arn,
        expires_at=expiry(now, event.timeout_seconds),
        nonce=secrets.token_urlsafe(NONCE_BYTES),
    )
    request = ApprovalRequest(
        run_id=event.run_id,
        environment=settings.environment,
        execution_arn=event.execution_arn,
        requested_at=now,
        expires_at=moment(waiting.expires_at),
        counts=event.counts,
        destructive=event.destructive,
        changes=changes_of(plan, folder.read("plan/guard.json")),
    )
    folder.write("plan/approval-request.json", request)
    table = ApprovalTable(client("dynamodb"), approvals_table(settings.environment))
    if not table.put(waiting):
        return _pass_on(table, event, logger)
    address = client("ssm").get_parameter(Name=approval_url_parameter(settings.environment))
    key = str(get_secret(approval_key_secret(settings.environment)))
    topics = Topics(
        link=link(address["Parameter"]["Value"], key, waiting.run_id, waiting.expires_at, waiting.nonce),
        command=command_line(decide_function(settings.environment), settings.region, event.run_id),
        plan=f"{folder.address}/plan/plan.txt",
    )
    subject, text = message(request, topics)
    client("sns").publish(TopicArn=settings.notification_topic_arn, Subject=subject, Message=text)
    return {"asked": True, "expires_at": request.expires_at.isoformat()}


def _pass_on(table: ApprovalTable, event: Event, logger: Logger) -> dict[str, str | bool]:
    table.renew(event.run_id, event.task_token)
    decided = table.read(event.run_id)
    approval = None if decided is None else decided.approval
    if approval is None:
        raise ProvisionFailed(
            f"The approval of the run {event.run_id} was taken away while it was read.",
            "Start provision again.",
        )
    client("stepfunctions").send_task_success(taskToken=event.task_token, output=approval.model_dump_json())
    logger.info("The run was answered before", extra=approval.model_dump())
    return {"asked": False, "decision": approval.decision}
