"""The jobs of S3 Batch Operations: what they shall do, how far they are, and which changes a person may ask
for.

Statuses: https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-job-status.html
"""

import datetime
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import ServiceException

TERMINAL = frozenset({"Complete", "Failed", "Cancelled"})

REQUESTABLE = {
    "Ready": frozenset({"Suspended"}),
    "Cancelled": frozenset({"New", "Preparing", "Suspended", "Ready", "Active", "Paused"}),
}
"""Status that UpdateJobStatus may ask for → statuses in which it may."""


class BadRequestError(ServiceException):  # type: ignore[misc]
    """The parameters cannot make a job."""

    code = "BadRequestException"


class IdempotencyError(ServiceException):  # type: ignore[misc]
    """The token was used for a job with other parameters."""

    code = "IdempotencyException"


class JobStatusError(ServiceException):  # type: ignore[misc]
    """The job is in a status that does not allow the change."""

    code = "JobStatusException"


class JobNotFoundError(ServiceException):  # type: ignore[misc]
    """There is no such job in this account and Region."""

    code = "NotFoundException"


class InvalidNextTokenError(ServiceException):  # type: ignore[misc]
    """The token is not one that ListJobs gave."""

    code = "InvalidNextTokenException"


class JobFailure(Exception):  # noqa: N818 - the API's own word
    """The whole job fails.

    Parameters
    ----------
    code, reason:
        What `FailureReasons` shows.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Progress:
    """How many tasks there are, and how they ended."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    active_since: float | None = None
    active_seconds: float = 0

    def describe(self) -> dict[str, Any]:
        """Return `ProgressSummary`."""
        running = 0.0 if self.active_since is None else time.monotonic() - self.active_since
        return {
            "TotalNumberOfTasks": self.total,
            "NumberOfTasksSucceeded": self.succeeded,
            "NumberOfTasksFailed": self.failed,
            "Timers": {"ElapsedTimeInActiveSeconds": int(self.active_seconds + running)},
        }


@dataclass
class Job:
    """One job.

    Attributes
    ----------
    number:
        Later jobs have higher ones.
    account, region:
        Where it was made.
    request:
        The parameters of CreateJob.
    """

    number: int
    account: str
    region: str
    request: dict[str, Any]
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "New"
    priority: int = 0
    created_at: datetime.datetime = field(default_factory=_now)
    ended_at: datetime.datetime | None = None
    suspended_at: datetime.datetime | None = None
    status_update_reason: str | None = None
    progress: Progress = field(default_factory=Progress)
    failures: list[JobFailure] = field(default_factory=list)
    generated_manifest: dict[str, Any] | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def arn(self) -> str:
        """The job's ARN."""
        return f"arn:aws:s3:{self.region}:{self.account}:job/{self.job_id}"

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked to cancel it."""
        return self.status == "Cancelling"

    def move(self, status: str) -> bool:
        """Go on to a status unless the job is being cancelled; return whether it went."""
        with self.changed:
            if self.cancelling and status not in TERMINAL:
                return False
            if status == "Active":
                self.progress.active_since = time.monotonic()
            elif self.progress.active_since is not None:
                self.progress.active_seconds += time.monotonic() - self.progress.active_since
                self.progress.active_since = None
            if status == "Suspended":
                self.suspended_at = _now()
            if status in TERMINAL:
                self.ended_at = _now()
            self.status = status
            self.changed.notify_all()
            return True

    def request_status(self, status: str, reason: str | None) -> None:
        """Confirm or cancel the job, as UpdateJobStatus does.

        Raises
        ------
        JobStatusError
            The job's status does not allow it.
        """
        with self.changed:
            if self.status not in REQUESTABLE[status]:
                raise JobStatusError(
                    f"The job {self.job_id} is {self.status} and cannot become {status}; "
                    f"it could when it was {' or '.join(sorted(REQUESTABLE[status]))}."
                )
            self.status_update_reason = reason
            self.status = "Cancelling" if status == "Cancelled" else status
            self.changed.notify_all()

    def summary(self) -> dict[str, Any]:
        """Return the entry of ListJobs."""
        return {
            "JobId": self.job_id,
            "Description": self.request.get("Description"),
            "Operation": next(iter(self.request["Operation"])),
            "Priority": self.priority,
            "Status": self.status,
            "CreationTime": self.created_at,
            "TerminationDate": self.ended_at,
            "ProgressSummary": self.progress.describe(),
        }

    def describe(self) -> dict[str, Any]:
        """Return DescribeJob's `Job`."""
        asked = ("ConfirmationRequired", "Description", "Manifest", "ManifestGenerator", "Report", "RoleArn")
        return {
            **{name: self.request.get(name) for name in asked},
            **self.summary(),
            "JobArn": self.arn,
            "Operation": self.request["Operation"],
            "StatusUpdateReason": self.status_update_reason,
            "FailureReasons": [
                {"FailureCode": failure.code, "FailureReason": failure.reason} for failure in self.failures
            ],
            "SuspendedDate": self.suspended_at,
            "SuspendedCause": "Awaiting confirmation" if self.status == "Suspended" else None,
            "GeneratedManifestDescriptor": self.generated_manifest,
        }


class Jobs:
    """The jobs of one server."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def create(self, account: str, region: str, request: dict[str, Any]) -> tuple[Job, bool]:
        """Return the job of a request, and whether it is new: the same token gives the same job.

        Raises
        ------
        IdempotencyError
            The token belongs to a job with other parameters.
        """
        with self._lock:
            for job in self._of(account, region):
                if job.request["ClientRequestToken"] == request["ClientRequestToken"]:
                    if job.request != request:
                        raise IdempotencyError(
                            f"The ClientRequestToken is that of the job {job.job_id} with other parameters."
                        )
                    return job, False
            job = Job(
                len(self._jobs),
                account,
                region,
                request,
                priority=request["Priority"],
                tags=request.get("Tags") or [],
            )
            self._jobs[job.job_id] = job
            return job, True

    def find(self, account: str, region: str, job_id: str) -> Job:
        """Return a job.

        Raises
        ------
        JobNotFoundError
            There is none of this id in this account and Region.
        """
        job = self._jobs.get(job_id)
        if job is None or (job.account, job.region) != (account, region):
            raise JobNotFoundError(f"No such job: {job_id}")
        return job

    def page(
        self, account: str, region: str, statuses: Collection[str], token: str | None, size: int
    ) -> tuple[list[Job], str | None]:
        """Return some jobs, the latest first, and the token of the next page or None.

        Raises
        ------
        InvalidNextTokenError
            The token is not one that was given.
        """
        if token is not None and not token.isdecimal():
            raise InvalidNextTokenError(f"The NextToken {token} was not given by ListJobs.")
        with self._lock:
            found = [
                job
                for job in sorted(self._of(account, region), key=lambda job: -job.number)
                if (not statuses or job.status in statuses) and (token is None or job.number < int(token))
            ]
        shown = found[:size]
        return shown, str(shown[-1].number) if len(found) > size else None

    def all(self) -> list[Job]:
        """Return every job, the oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def _of(self, account: str, region: str) -> Iterator[Job]:
        return (job for job in self._jobs.values() if (job.account, job.region) == (account, region))
