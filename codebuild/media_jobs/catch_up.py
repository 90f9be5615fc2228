"""The job `catch-up`: put right what the old bucket's events named since the copy ahead, and nothing else."""

import time
from collections.abc import Iterable
from typing import Any

from job_support.performance import Figures
from job_support.progress import say

from media_jobs import key_list
from media_jobs.changes import Listener
from media_jobs.context import JobContext
from media_jobs.synchronise import conclude, synchronise
from media_jobs.workers import workers

CHANGES = "media/final/changes.jsonl.gz"


class Changes:
    """The changed keys, kept in the run folder: a job that is repeated does not hear them again."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._path = context.directory / "changes.jsonl.gz"
        self.keys = {key for key, _ in key_list.fetch(context.folder, CHANGES, self._path)}

    def keep(self, more: Iterable[str]) -> None:
        """Store some more keys."""
        self.keys.update(more)
        path = key_list.write(self._path, sorted(self.keys))
        self._context.folder.upload(path, CHANGES, content_type="application/gzip")


def run(context: JobContext) -> Figures:
    """Put the changed keys right; when changes were not heard, compare everything instead.

    Raises
    ------
    JobError
        `MediaCopyFailed` or `VerificationFailed`, naming the objects.
    """
    started = time.monotonic()
    changes = Changes(context)
    if not everything_heard(context, changes):
        say("What changed since the copy ahead is not known: everything is compared.")
        return synchronise(context, heard=False)
    tally, right = context.tally(), context.putting_right()
    context.progress.start("put right what changed", len(changes.keys), "objects")

    def settle(key: str) -> None:
        outcome = right.look_and_settle(key)
        tally.add(outcome)
        tally.properties_compared += outcome.present is not None

    with workers() as pool:
        for key in sorted(changes.keys):
            pool.submit(settle, key)
    context.progress.finish()
    conclude(context, tally, changed=len(changes.keys), heard=True, seconds=time.monotonic() - started)
    return tally.figures() | {"changed": len(changes.keys)}


def everything_heard(context: JobContext, changes: Changes) -> bool:
    """Return whether the kept keys are all that changed since the copy ahead listed the bucket."""
    ahead: dict[str, Any] = context.folder.read_json("media/ahead/verification.json") or {}
    if ahead.get("heard") is not True:
        return False  # changes may have passed while nobody listened
    before: dict[str, Any] = context.folder.read_json("media/final/verification.json") or {}
    if context.inputs.round > 1 and before:
        return before.get("heard") is True
    inputs = context.inputs
    listener = Listener(
        context.s3, context.sqs, context.source, inputs.changes_queue_url or "", inputs.run_id, changes.keep
    )
    return listener.listen()
