"""The table of plans that wait for a decision: one item per run, decided once (contracts, section 11)."""

from typing import Any

from know_me.approvals import KEPT_SECONDS, Approval, Waiting
from know_me.aws import written_if_true


class ApprovalTable:
    """The table of an environment; every change is conditional, so that one decision stands.

    Parameters
    ----------
    dynamodb : DynamoDB client
    table : str
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def read(self, run_id: str) -> Waiting | None:
        """Return the item of a run, None when there is none."""
        item = self._dynamodb.get_item(
            TableName=self._table, Key={"run_id": {"S": run_id}}, ConsistentRead=True
        ).get("Item")
        if item is None:
            return None
        return Waiting.model_validate(
            {
                name: int(value["N"]) if "N" in value else value["S"]
                for name, value in item.items()
                if name in Waiting.model_fields
            }
        )

    def put(self, waiting: Waiting) -> bool:
        """Ask for a decision unless there is one; return whether there was none.

        An earlier request of the run that nobody answered is replaced: its link is worthless from then on.
        """
        item = {
            name: {"N": str(value)} if isinstance(value, int) else {"S": value}
            for name, value in waiting.model_dump(exclude_none=True).items()
        }
        item["forget_at"] = {"N": str(waiting.expires_at + KEPT_SECONDS)}
        return written_if_true(
            self._dynamodb.put_item,
            TableName=self._table,
            Item=item,
            ConditionExpression="attribute_not_exists(decision)",
        )

    def decide(self, waiting: Waiting, approval: Approval) -> bool:
        """Write the decision on a request if there is none; return whether there was none."""
        return written_if_true(
            self._dynamodb.update_item,
            TableName=self._table,
            Key={"run_id": {"S": waiting.run_id}},
            UpdateExpression="SET decision = :decision, #by = :by, #at = :at, #comment = :comment",
            # The nonce: what was decided is the request that was seen, not a later one of the same run.
            ConditionExpression="nonce = :nonce AND attribute_not_exists(decision)",
            ExpressionAttributeNames={"#by": "by", "#at": "at", "#comment": "comment"},
            ExpressionAttributeValues={
                ":nonce": {"S": waiting.nonce},
                **{f":{name}": {"S": value} for name, value in approval.model_dump().items()},
            },
        )

    def renew(self, run_id: str, task_token: str) -> None:
        """Note the token with which a decision that stands is to be delivered now."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"run_id": {"S": run_id}},
            UpdateExpression="SET task_token = :token REMOVE delivered_at",
            ExpressionAttributeValues={":token": {"S": task_token}},
        )

    def note_delivery(self, run_id: str, at: str) -> None:
        """Note that the run has been told."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"run_id": {"S": run_id}},
            UpdateExpression="SET delivered_at = :at",
            ExpressionAttributeValues={":at": {"S": at}},
        )
