"""Errors that a person can meet.

The name of a class is the error name that Step Functions shows; its message is the cause: it names the
thing and ends with the remedy.
"""

from collections.abc import Iterable


class RunbookError(Exception):
    """A failure explained in words: what happened, then what to do about it.

    Parameters
    ----------
    cause : str
        What happened, naming the thing; sentences.
    remedy : str, optional
        What to do about it, as a sentence.
    """

    def __init__(self, cause: str, remedy: str | None = None) -> None:
        self.cause = cause
        self.remedy = remedy
        super().__init__(cause if remedy is None else f"{cause} {remedy}")


class InvalidRequest(RunbookError):  # noqa: N818 - the contract's name, shown by Step Functions
    """The input of a state machine cannot be used; the message lists every fault."""

    @classmethod
    def listing(cls, faults: Iterable[str], remedy: str) -> "InvalidRequest":
        """Make one error of every fault found."""
        return cls(f"The request is refused: {'; '.join(faults)}.", remedy)


class ApprovalForged(RunbookError):  # noqa: N818
    """A link is not one that was sent: something in it was changed, or its request is long gone."""


class ApprovalDecided(RunbookError):  # noqa: N818
    """Somebody decided otherwise before."""


class ApprovalExpired(RunbookError):  # noqa: N818
    """The run does not wait for a decision any more."""


class ApprovalUndelivered(RunbookError):  # noqa: N818
    """The decision stands, but the run could not be told of it."""


class LockHeld(RunbookError):  # noqa: N818
    """Another run works on the environment."""


class ManifestMissing(RunbookError):  # noqa: N818
    """Terraform has not published what exists in the environment, or not in a form that can be read."""


class PreflightFailed(RunbookError):  # noqa: N818
    """A check found what would make the migration fail."""


class ProvisionFailed(RunbookError):  # noqa: N818
    """Terraform's plan or apply failed."""


class PlanStale(RunbookError):  # noqa: N818
    """The state has changed since the plan was made."""


class PlanRefused(RunbookError):  # noqa: N818
    """A plan would delete or replace what holds data."""


class ApprovalRejected(RunbookError):  # noqa: N818
    """Somebody said no to a plan."""


class ApprovalTimedOut(RunbookError):  # noqa: N818
    """Nobody decided about a plan in time."""


class QuiesceTimedOut(RunbookError):  # noqa: N818
    """Something that writes did not stop in time."""


class SnapshotFailed(RunbookError):  # noqa: N818
    """The snapshot of the old database could not be made."""


class DatabaseJobFailed(RunbookError):  # noqa: N818
    """A database job ended with an error of its own."""


class DatabaseJobTimedOut(RunbookError):  # noqa: N818
    """A database job took longer than it may."""


class DatabaseJobInterrupted(RunbookError):  # noqa: N818
    """A database job was stopped or killed before it could say how it ended."""


class MediaJobFailed(RunbookError):  # noqa: N818
    """A media job ended with an error of its own."""


class MediaJobTimedOut(RunbookError):  # noqa: N818
    """A media job took longer than it may."""


class MediaJobInterrupted(RunbookError):  # noqa: N818
    """A media job, or the copy as a whole, was stopped or killed before it could say how it ended."""


class MediaCopyFailed(RunbookError):  # noqa: N818
    """Objects could not be copied into the new bucket."""


class CrossCheckFailed(RunbookError):  # noqa: N818
    """Files that rows of the database refer to are missing in the new bucket."""


class CutoverFailed(RunbookError):  # noqa: N818
    """The environment could not be switched to the new stores."""


class ResumeFailed(RunbookError):  # noqa: N818
    """What was stopped does not run again."""


class SmokeTestFailed(RunbookError):  # noqa: N818
    """The app does not answer, or not with the stores it should use."""


class ReturnFailed(RunbookError):  # noqa: N818
    """The environment could not be brought back to the old stores."""


class InvalidRelease(RunbookError):  # noqa: N818
    """A deployment does not say which task definition of the environment it brings."""


class SchemaMigrationFailed(RunbookError):  # noqa: N818
    """The image's `migrate` command ended with an error, or never ran."""


class SchemaMigrationTimedOut(RunbookError):  # noqa: N818
    """The image's `migrate` command took longer than it may."""


class BackgroundJobsFailed(RunbookError):  # noqa: N818
    """The image's `background-jobs` command ended with an error, or never ran."""


class BackgroundJobsTimedOut(RunbookError):  # noqa: N818
    """The image's `background-jobs` command took longer than it may."""
