"""The lock: one run at a time works on an environment (contracts, section 8).

One DynamoDB item per environment, changed with conditions only: of two runs at the same moment one
wins.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from know_me.aws import written_if_true
from know_me.builds import running_builds
from know_me.errors import InvalidRequest, LockHeld
from know_me.executions import execution_status
from know_me.settings import Settings

Purpose = Literal["provision", "migrate"]


class Lock(BaseModel):
    """The item: who holds the environment, and the `return` that clears up after it."""

    environment: str
    run_id: str
    execution_arn: str
    purpose: Purpose
    taken_at: str
    returning_by: str | None = None
    return_attempt: int = 0


class LockTable:
    """The lock of one environment.

    Parameters
    ----------
    dynamodb : DynamoDB client
    table, environment : str
    """

    def __init__(self, dynamodb: Any, table: str, environment: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._key = {"environment": {"S": environment}}

    def read(self) -> Lock | None:
        """Return the lock as it is now, None when it is free."""
        item = self._dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True).get("Item")
        if item is None:
            return None
        return Lock.model_validate({name: next(iter(value.values())) for name, value in item.items()})

    def put(self, lock: Lock, instead_of: Lock | None) -> bool:
        """Write the lock if it is free, or still the given one; return whether it was."""
        if instead_of is None:
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(environment)"}
        else:
            condition = {
                "ConditionExpression": "run_id = :run AND execution_arn = :execution",
                "ExpressionAttributeValues": {
                    ":run": {"S": instead_of.run_id},
                    ":execution": {"S": instead_of.execution_arn},
                },
            }
        return written_if_true(
            self._dynamodb.put_item,
            TableName=self._table,
            Item={
                name: {"N" if isinstance(value, int) else "S": str(value)}
                for name, value in lock.model_dump(exclude_none=True).items()
            },
            **condition,
        )

    def claim(self, lock: Lock, returning_by: str) -> bool:
        """Note which `return` clears up, if nobody else did since the lock was read."""
        return written_if_true(
            self._dynamodb.update_item,
            TableName=self._table,
            Key=self._key,
            UpdateExpression="SET returning_by = :me, return_attempt = :next",
            ConditionExpression="run_id = :run AND return_attempt = :seen",
            ExpressionAttributeValues={
                ":me": {"S": returning_by},
                ":next": {"N": str(lock.return_attempt + 1)},
                ":run": {"S": lock.run_id},
                ":seen": {"N": str(lock.return_attempt)},
            },
        )

    def release(self, run_id: str) -> bool:
        """Free the environment when the run holds it; return whether it did."""
        return written_if_true(
            self._dynamodb.delete_item,
            TableName=self._table,
            Key=self._key,
            ConditionExpression="run_id = :run",
            ExpressionAttributeValues={":run": {"S": run_id}},
        )


def take(
    table: LockTable,
    *,
    environment: str,
    run_id: str,
    execution_arn: str,
    purpose: Purpose,
    acting_for: str | None,
    now: datetime,
    is_abandoned: Callable[[Lock], bool],
) -> bool:
    """Take the lock for a run, or join the run that it acts for.

    Parameters
    ----------
    acting_for : str, optional
        The run that holds the lock and asked for this one.
    is_abandoned : callable
        Whether nothing of the run that holds a lock is under way any more.

    Returns
    -------
    bool
        Whether this run holds the lock itself, and so must release it.

    Raises
    ------
    LockHeld
        Another run holds it.
    InvalidRequest
        The run acted for does not hold it.
    """
    if acting_for is not None:
        holder = table.read()
        if holder is None or holder.run_id != acting_for:
            who = "nobody" if holder is None else holder.run_id
            raise InvalidRequest.listing(
                [f"acting_for: the run {acting_for} does not hold the lock of {environment}, {who} does"],
                "Leave `acting_for` out to take the lock.",
            )
        return False
    lock = Lock(
        environment=environment,
        run_id=run_id,
        execution_arn=execution_arn,
        purpose=purpose,
        taken_at=now.isoformat(timespec="seconds"),
    )
    for _ in range(3):  # the holder may change between our looks at it
        if table.put(lock, instead_of=None):
            return True
        holder = table.read()
        if holder is None:
            continue
        if holder.execution_arn == execution_arn:
            return True
        if not is_abandoned(holder):
            raise held_by(holder)
        if table.put(lock, instead_of=holder):
            return True
    raise LockHeld(f"Several runs are starting on {environment} at once.", "Start again in a minute.")


def held_by(holder: Lock) -> LockHeld:
    """Name the run that holds the lock, and what to do about it."""
    return LockHeld(
        f"The {holder.purpose} run {holder.run_id} has worked on {holder.environment} since "
        f"{holder.taken_at} ({holder.execution_arn}).",
        "Wait until it has ended, or stop it with `aws stepfunctions stop-execution --execution-arn "
        f"{holder.execution_arn}`; "
        + (
            f"if it has ended, start know-me-{holder.environment}-return with "
            f'{{"run_id": "{holder.run_id}"}}.'
            if holder.purpose == "migrate"
            else "then start again."
        ),
    )


def abandoned(states: Any, codebuild: Any, settings: Settings) -> Callable[[Lock], bool]:
    """Return the rule by which a lock is free to take over.

    Its execution has ended; a migration's `return` ended well (else the environment still has to be brought
    back); no Terraform build is under way that the run may have left behind.
    """

    def is_abandoned(holder: Lock) -> bool:
        if execution_status(states, holder.execution_arn) == "RUNNING":
            return False
        if holder.purpose == "migrate" and (
            holder.returning_by is None or execution_status(states, holder.returning_by) != "SUCCEEDED"
        ):
            return False
        return not any(True for _ in running_builds(codebuild, settings.terraform_build))

    return is_abandoned
