"""Errors on demand: `POST /_localaws/faults` makes the next matching API calls fail.

For what cannot be made to fail by means that AWS has. The body is one fault; `GET` lists what is left,
`DELETE` clears.
"""

from threading import Lock

from pydantic import BaseModel, ConfigDict, Field

from localaws.operations import Operation, Refusal
from localaws.principals import Principal


class Fault(BaseModel):
    """The next `times` calls of an action, on a resource when one is named, answer an error.

    Attributes
    ----------
    service, action:
        As in boto3 and in the API: `ecs`, `UpdateService`.
    times:
        How many calls fail.
    resource:
        Part of the `bucket/key` (or `bucket`) of the S3 calls that are meant; every call when None.
    principal:
        Part of the ARN of the role or user whose calls are meant; everybody's when None.
    skip:
        How many of them succeed before.
    error, message:
        Code and text of the error.
    status:
        HTTP status; SDKs repeat 5xx by themselves.
    """

    model_config = ConfigDict(extra="forbid")

    service: str
    action: str
    times: int = Field(default=1, ge=1)
    resource: str | None = None
    principal: str | None = None
    skip: int = Field(default=0, ge=0)
    error: str = "InternalFailure"
    message: str = "This error was asked for."
    status: int = Field(default=400, ge=400, le=599)

    def concerns(self, operation: Operation, caller: Principal) -> bool:
        """Return whether a call is one of those that are meant."""
        if (self.service, self.action) != (operation.service, operation.action):
            return False
        if self.principal is not None and self.principal not in (caller.role_arn or caller.arn):
            return False
        return self.resource is None or self.resource in (operation.resource or "")


class Faults:
    """The faults of one server."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        """Arm a fault."""
        with self._lock:
            self._faults.append(fault.model_copy())

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._faults.clear()

    @property
    def armed(self) -> list[Fault]:
        """What is still to come."""
        with self._lock:
            return [fault.model_copy() for fault in self._faults]

    def check(self, operation: Operation, caller: Principal) -> None:
        """Raise `Refusal` when a fault matches, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.concerns(operation, caller):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                    raise Refusal(fault.status, fault.error, fault.message)
