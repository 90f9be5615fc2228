"""Show a run's plan to a person and take the decision: by a function URL, or by the command line."""

import hmac
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.parameters import get_secret
from know_me.approval_page import Decisions, respond
from know_me.approval_table import ApprovalTable
from know_me.approvals import (
    DIRECT_EXAMPLE,
    Answer,
    Approval,
    ApprovalRequest,
    DirectAnswer,
    Link,
    Waiting,
    signature,
)
from know_me.aws import client
from know_me.clock import utc_now
from know_me.deciding import Decider
from know_me.errors import ApprovalForged, InvalidRequest
from know_me.names import approval_key_secret, approvals_table
from know_me.observability import step
from know_me.requests import parse
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import RootModel

KEY_KEPT_SECONDS = 300


class Event(RootModel[dict[str, Any]]):
    """A request of the function URL, or the decision itself: then IAM has said that the caller may."""


@step(Event, log_result=False)  # the page repeats the signed link
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> Any:
    """Answer a request of the URL with a page; return the decision that stands to a direct caller."""
    s3, table = (
        client("s3"),
        ApprovalTable(client("dynamodb"), approvals_table(settings.environment)),
    )

    def folder(run_id: str) -> RunFolder:
        return RunFolder(s3, settings.artifacts_bucket, run_id)

    decider = Decider(table, client("stepfunctions"), folder, utc_now)

    def decide(waiting: Waiting, answer: Answer) -> Approval:
        approval = decider.decide(waiting, answer)
        logger.info("The decision stands", extra={"run_id": waiting.run_id, **approval.model_dump()})
        return approval

    def find(link: Link) -> Waiting:
        waiting = table.read(link.run_id)
        key = get_secret(approval_key_secret(settings.environment), max_age=KEY_KEPT_SECONDS)
        nonce = "" if waiting is None else waiting.nonce
        wanted = signature(str(key), link.run_id, int(link.expires), nonce)
        genuine = hmac.compare_digest(wanted, link.signature)
        if waiting is None or not genuine or int(link.expires) != waiting.expires_at:
            raise ApprovalForged(
                "Something in this link was changed, or its request was replaced or is forgotten.",
                "Open the link of the latest message as it is.",
            )
        return waiting

    def asked(run_id: str) -> ApprovalRequest | None:
        document = folder(run_id).read("plan/approval-request.json")
        return None if document is None else ApprovalRequest.model_validate(document)

    def plan(run_id: str) -> tuple[str, str]:
        text = folder(run_id).read_text("plan/plan.txt")
        address = f"{folder(run_id).address}/plan/plan.txt"
        return text or f"{address} does not exist.", address

    if "requestContext" in event.root:
        return respond(
            event.root,
            Decisions(
                find=find,
                decide=decide,
                refuse_unless_open=decider.refuse_unless_open,
                asked=asked,
                plan=plan,
            ),
        )
    direct = parse(DirectAnswer, event.root, DIRECT_EXAMPLE)
    waiting = table.read(direct.run_id)
    if waiting is None:
        raise InvalidRequest.listing(
            [f"run_id: the run {direct.run_id} has asked for no approval in {settings.environment}"],
            DIRECT_EXAMPLE,
        )
    return decide(waiting, direct)
