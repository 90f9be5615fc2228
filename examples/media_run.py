"""What a run did with the media, as its run folder and the buckets tell it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from examples.compare_objects import listing
from examples.environment import KnowMeEnvironment

_COPIED = ("copied_by_batch", "copied_directly", "large_objects")
_REFUSED = "media/written by the demonstration.txt"


@dataclass(frozen=True)
class MediaRun:
    """The documents below ``media/`` of a run folder."""

    ahead: dict[str, Any]
    final: dict[str, Any]
    verification: dict[str, Any]
    cross_check: dict[str, Any]
    look_back: dict[str, Any]
    ahead_compared: dict[str, Any]

    @property
    def copied_ahead(self) -> int:
        """How many objects were copied while the app ran."""
        return copied(self.ahead)

    @property
    def copied_while_stopped(self) -> int:
        """How many objects were copied while the app was stopped."""
        return copied(self.final)

    def changed_since(self, written: Iterable[datetime]) -> tuple[int, int]:
        """Return how many objects of the old bucket changed since the copy ahead: at least and at most.

        The copy ahead looked at each object at some moment of its last job. What was written after the job's
        end changed since, what was written during the job may have. Between the two lies the number that has
        to be copied while the app is stopped.

        Parameters
        ----------
        written
            When each object of the old bucket was written.
        """
        times = list(written)
        began, ended = (
            datetime.fromisoformat(self.ahead_compared[name]) for name in ("started_at", "finished_at")
        )
        # S3 lists times in whole seconds.
        began = began.replace(microsecond=0)
        return sum(at > ended for at in times), sum(at >= began for at in times)


def copied(copy: dict[str, Any]) -> int:
    """Return how many objects a phase copied: `media/<phase>/copy.json`."""
    return sum(int(copy[name]) for name in _COPIED)


def read_media_run(environment: KnowMeEnvironment, run_id: str) -> MediaRun:
    """Read the documents of a run that copied ahead.

    Raises
    ------
    EnvironmentFailedError
        One is missing.
    """
    return MediaRun(
        ahead=environment.run_document(run_id, "media/ahead/copy.json"),
        final=environment.run_document(run_id, "media/final/copy.json"),
        verification=environment.run_document(run_id, "media/final/verification.json"),
        cross_check=environment.run_document(run_id, "media/final/cross-check.json"),
        look_back=environment.run_document(run_id, "media/look-back.json"),
        ahead_compared=environment.run_document(run_id, "jobs/ahead-synchronise.json"),
    )


def changed_in(environment: KnowMeEnvironment, run: MediaRun, bucket: str) -> tuple[int, int]:
    """Return how many objects of the old bucket changed since the copy ahead: at least and at most."""
    listed = listing(environment.clients["s3"], bucket)
    return run.changed_since(found.written for found in listed.values())


def bucket_refuses_writes(environment: KnowMeEnvironment, bucket: str) -> str | None:
    """Try to write to a bucket; return why it is refused, or None when it is not."""
    s3 = environment.clients["s3"]
    try:
        s3.put_object(Bucket=bucket, Key=_REFUSED, Body=b"")
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return "AccessDenied"
    s3.delete_object(Bucket=bucket, Key=_REFUSED)
    return None
