"""Taking a decision: written once, kept in the run folder, delivered to the run that waits."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from know_me.approval_table import ApprovalTable
from know_me.approvals import PAST, Answer, Approval, Waiting, course, moment
from know_me.aws import error_code
from know_me.errors import ApprovalDecided, ApprovalExpired, ApprovalUndelivered
from know_me.executions import execution_status
from know_me.run_folder import RunFolder

GONE = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
"""How Step Functions says that nothing waits with a token: answered, timed out, or stopped."""

LOOKS = 6
SECONDS_BETWEEN_LOOKS = 0.5


class Decider:
    """Takes decisions.

    Parameters
    ----------
    table : ApprovalTable
    states : Step Functions client
    folder : callable
        Run id -> its folder.
    now : callable
        The time.
    pause : callable
        Waits for some seconds.
    """

    def __init__(
        self,
        table: ApprovalTable,
        states: Any,
        folder: Callable[[str], RunFolder],
        now: Callable[[], datetime],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._states = states
        self._folder = folder
        self._now = now
        self._pause = pause

    def decide(self, waiting: Waiting, answer: Answer) -> Approval:
        """Take a decision on a request as it was read, and return the one that stands.

        Raises
        ------
        ApprovalDecided
            Somebody decided otherwise before.
        ApprovalExpired
            It is too late, or the run has ended.
        ApprovalUndelivered
            The decision stands, but Step Functions did not take it; the same decision again sends it again.
        """
        way = course(waiting, answer.decision, self._now())
        if way == "decide":
            self._refuse_unless_running(waiting)
            approval = Approval(**answer.model_dump(include={"decision", "by", "comment"}), at=self._at())
            if self._table.decide(waiting, approval):
                return self._deliver(waiting, approval)
            # Somebody was faster, or the run asks anew.
            waiting = self._latest(waiting)
            way = course(waiting, answer.decision, self._now())
        if way == "decided_otherwise":
            raise decided(waiting)
        if waiting.approval is None:
            raise expired(waiting)
        return waiting.approval if way == "confirm" else self._deliver(waiting, waiting.approval)

    def refuse_unless_open(self, waiting: Waiting) -> None:
        """Raise what any decision on a request would be refused with.

        Raises
        ------
        ApprovalDecided, ApprovalExpired
            It was decided, it is too late, or the run has ended.
        """
        if waiting.decision is not None:
            raise decided(waiting)
        if course(waiting, "approve", self._now()) == "expired":
            raise expired(waiting)
        self._refuse_unless_running(waiting)

    def _latest(self, waiting: Waiting) -> Waiting:
        latest = self._table.read(waiting.run_id)
        if latest is None or latest.decision is None:
            raise ApprovalExpired(
                f"The run {waiting.run_id} has asked anew since this page was opened.",
                "Use the link of the latest message.",
            )
        return latest

    def _at(self) -> str:
        return self._now().isoformat(timespec="seconds")

    def _refuse_unless_running(self, waiting: Waiting) -> None:
        status = execution_status(self._states, waiting.execution_arn)
        if status != "RUNNING":
            how = "is gone" if status is None else f"has ended ({status})"
            raise ApprovalExpired(
                f"The run {waiting.run_id} {how}: there is nothing left to decide, and its plan changed "
                "nothing.",
                "Start provision again to get a new plan.",
            )

    def _deliver(self, waiting: Waiting, approval: Approval) -> Approval:
        self._folder(waiting.run_id).write("approval.json", approval)
        try:
            self._states.send_task_success(taskToken=waiting.task_token, output=approval.model_dump_json())
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error_code(error) in GONE:
                self._wait_for_another_delivery(waiting)
                return approval
            raise ApprovalUndelivered(
                f"It is recorded that {approval.by} {PAST[approval.decision]} the plan of the run "
                f"{waiting.run_id}, but the run could not be told: {error}.",
                "Send the same decision again.",
            ) from error
        self._table.note_delivery(waiting.run_id, self._at())
        return approval

    def _wait_for_another_delivery(self, waiting: Waiting) -> None:
        """Return when somebody else delivered the decision, for instance the first half of a double click."""
        for look in range(LOOKS):
            latest = self._table.read(waiting.run_id)
            if latest is not None and latest.delivered_at is not None:
                return
            if look < LOOKS - 1:
                self._pause(SECONDS_BETWEEN_LOOKS)
        raise ApprovalExpired(
            f"The run {waiting.run_id} does not wait any more: it timed out, was stopped, or has gone on.",
            f"Look at the execution {waiting.execution_arn}.",
        )


def decided(waiting: Waiting) -> ApprovalDecided:
    """Say who decided, what and when."""
    return ApprovalDecided(
        f"{waiting.by} {PAST[waiting.decision or 'approve']} the plan of the run {waiting.run_id} at "
        f"{waiting.at}{f': {waiting.comment}' if waiting.comment else ''}.",
        "A decision stands; start provision again to get a new plan.",
    )


def expired(waiting: Waiting) -> ApprovalExpired:
    """Say since when it is too late."""
    return ApprovalExpired(
        f"The plan of the run {waiting.run_id} could be decided until "
        f"{moment(waiting.expires_at):%Y-%m-%d %H:%M:%S} UTC; nothing was changed.",
        "Start provision again to get a new plan.",
    )
