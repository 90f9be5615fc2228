"""Hooks: the functions that a deployment asks, and their answers.

True: the function gets the two ids, and the deployment waits for PutLifecycleEventHookExecutionStatus; a
function that cannot be invoked fails the event at once. Not exact: the invocation is asynchronous, so an
error in the function is repeated by Lambda and then shows as an answer that never comes.
"""

import base64
import json
import threading
import uuid
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from localaws.codedeploy.errors import CodeDeployError, failure

ANSWERS = ("Succeeded", "Failed")


@dataclass
class Execution:
    """One question to a function.

    Attributes
    ----------
    deployment:
        Id of the deployment that asks.
    event:
        Lifecycle event.
    answer:
        `Succeeded`, `Failed`, or None as long as there is none.
    closed:
        Whether nobody waits for the answer any more.
    """

    deployment: str
    event: str
    answer: str | None = None
    closed: bool = False


class Hooks:
    """The questions of one account and region."""

    def __init__(self) -> None:
        self._executions: dict[str, Execution] = {}
        self._lock = threading.Lock()

    def ask(self, client: Any, function: str, deployment: str, event: str) -> Execution:
        """Invoke a function.

        Parameters
        ----------
        client:
            Lambda's, as the deployment group's role.
        function:
            Name or ARN.

        Raises
        ------
        localaws.codedeploy.errors.EndingError
            It cannot be invoked.
        """
        execution = Execution(deployment, event)
        # Opaque in AWS too, and as long.
        token = base64.urlsafe_b64encode(json.dumps([deployment, event, uuid.uuid4().hex]).encode()).decode()
        with self._lock:
            self._executions[token] = execution
        payload = {"DeploymentId": deployment, "LifecycleEventHookExecutionId": token}
        try:
            client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())
        except ClientError as error:
            execution.closed = True
            raise failure(
                "INVALID_LAMBDA_FUNCTION",
                f"The Lambda function {function} of the lifecycle event {event} cannot be invoked:"
                f" {error.response['Error'].get('Message')}",
            ) from error
        return execution

    def put(self, deployment: str, token: str, answer: str) -> None:
        """Note the answer of a function.

        Raises
        ------
        CodeDeployError
            The answer, the id or the time is wrong.
        """
        if answer not in ANSWERS:
            raise CodeDeployError(
                "InvalidLifecycleEventHookExecutionStatusException",
                f"The status of a lifecycle event hook must be {' or '.join(ANSWERS)}, not {answer}.",
            )
        with self._lock:
            execution = self._executions.get(token)
            if execution is None or execution.deployment != deployment:
                raise CodeDeployError(
                    "InvalidLifecycleEventHookExecutionIdException",
                    f"The lifecycle event hook execution id does not belong to the deployment {deployment}.",
                )
            if execution.closed or execution.answer is not None:
                raise CodeDeployError(
                    "LifecycleEventAlreadyCompletedException",
                    f"The lifecycle event {execution.event} of the deployment {deployment} has completed.",
                )
            execution.answer = answer
