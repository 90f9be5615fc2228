"""What a comparison found: counted in constant memory, from many threads."""

import hashlib
import heapq
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Literal

from job_support.errors import JobError
from job_support.performance import Figures
from job_support.progress import Progress

from media_jobs.errors import NAMED, named
from media_jobs.objects import Version, large_object
from media_jobs.properties import Difference
from media_jobs.putting_right import STRENGTH, Outcome

KEPT = 1000
"""Differences that a document names; the rest are counted."""


class Sample:
    """So many keys, chosen by a hash of run and key: the same ones whenever the same objects are there."""

    def __init__(self, size: int, run_id: str) -> None:
        self._size = size
        self._salt = hashlib.sha256(run_id.encode()).digest()
        self._chosen: list[tuple[int, str]] = []

    def offer(self, key: str) -> None:
        """Take a key when its hash is among the smallest so far."""
        if not self._size:
            return
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self._salt).digest()
        entry = (-int.from_bytes(digest), key)  # a heap has the smallest first: the largest hash here
        if len(self._chosen) < self._size:
            heapq.heappush(self._chosen, entry)
        elif entry > self._chosen[0]:
            heapq.heapreplace(self._chosen, entry)

    def keys(self) -> Iterator[str]:
        """Yield the chosen keys."""
        return (key for _, key in self._chosen)


class Tally:
    """Figures of a job that puts keys right.

    Parameters
    ----------
    sample
        Keys whose metadata is to be compared.
    progress
        Told of each object.
    """

    def __init__(self, sample: Sample, progress: Progress) -> None:
        self._lock = threading.Lock()
        self._progress = progress
        self.sample = sample
        self.objects = self.bytes = 0
        self.compared_by: Counter[str] = Counter()
        self.copied = self.copied_bytes = self.removed = 0
        self.differences: list[Difference] = []
        self.difference_count = 0
        self.failures: list[str] = []
        self.large: list[dict[str, Any]] = []
        self.changing: list[str] = []
        self.properties_compared = 0
        self.newly_missing: list[str] = []
        self.gone_meanwhile: list[str] = []
        self.files_present = 0

    def settled(self, key: str, version: Version, *, referred: bool = False) -> None:
        """Count an object that the listing settled."""
        with self._lock:
            self._count(key, version, "etag", referred)
        self._progress.add(1)

    def add(self, outcome: Outcome, *, referred: bool = False, again: bool = False) -> None:
        """Count what became of a key.

        Parameters
        ----------
        referred
            Whether a row refers to it.
        again
            Whether it has been counted as an object before (its metadata was looked at now).

        Raises
        ------
        JobError
            `MediaCopyFailed` when so many objects failed that it is not worth going on.
        """
        with self._lock:
            self.copied += outcome.copied
            self.copied_bytes += outcome.copied_bytes
            self.removed += outcome.removed
            self.changing += [outcome.key] * outcome.changing
            if outcome.large:
                self.large.append(large_object(outcome.key, outcome.large))
            for difference in outcome.differences:
                self.differ(difference)
            if outcome.failure:
                self.failures.append(f"{outcome.key} ({outcome.failure})")
            if not again:
                if outcome.present:
                    self._count(outcome.key, outcome.present, outcome.by or "etag", referred)
                elif referred:
                    self._account_for(outcome)
            if len(self.failures) >= KEPT:
                self.refuse_failures()
        if not again:
            self._progress.add(1)

    def _account_for(self, outcome: Outcome) -> None:
        """Note a file that a row refers to and that is not in the candidate as it should be."""
        if outcome.gone:
            self.gone_meanwhile.append(outcome.key)
        elif not outcome.large and not outcome.changing:  # those two are looked at again
            self.newly_missing.append(outcome.key)

    def differ(self, difference: Difference) -> None:
        """Note a difference that was not put right."""
        self.difference_count += 1
        if len(self.differences) < KEPT:
            self.differences.append(difference)

    def give_up(self) -> None:
        """Make differences of what was to be looked at again: nobody does any more."""
        for item in self.large:
            detail = f"{item['size']} bytes, more than one copy takes, and still not copied in parts"
            self.differ(Difference("missing", item["key"], detail))

    def refuse_changes(self) -> None:
        """Make differences of what changed at every look: with the app stopped nothing may."""
        for key in self.changing:
            self.differ(Difference("different", key, "it was written again and again while it was copied"))

    def _count(self, key: str, version: Version, by: str, referred: bool) -> None:
        self.objects += 1
        self.bytes += version.size
        self.compared_by[by] += 1
        self.files_present += referred
        self.sample.offer(key)

    def refuse_failures(self) -> None:
        """Raise `MediaCopyFailed` naming what S3 refused to copy, when there is anything."""
        if self.failures:
            raise JobError(
                "MediaCopyFailed",
                f"{len(self.failures):,} objects could not be copied: {named(self.failures)}.",
                "Give the role of the media jobs what it lacks, restore what is archived, and start again: "
                "what is copied and equal is not copied again.",
            )

    def refuse_differences(self) -> None:
        """Raise `VerificationFailed` naming what differs, when anything does."""
        if self.difference_count:
            texts = [f"{one.key} ({one.kind}: {one.detail})" for one in self.differences[:NAMED]]
            raise JobError(
                "VerificationFailed",
                f"{self.difference_count:,} differences between the old and the new bucket are left: "
                f"{named(texts, self.difference_count)}.",
                "Start again: what is copied and equal is not copied again. When they are left again, "
                "compare these objects by hand (aws s3api head-object).",
            )

    def document(
        self, asked: int | Literal["all"], changed: int | None, heard: bool | None, seconds: float
    ) -> dict[str, Any]:
        """Return `verification.json`."""
        different = self.difference_count or self.failures or self.newly_missing
        return {
            "verdict": "different" if different else "equal",
            "objects": self.objects,
            "bytes": self.bytes,
            "compared_by": {means: self.compared_by[means] for means in STRENGTH},
            "metadata_sample": {"asked": asked, "compared": self.properties_compared},
            "differences": [asdict(one) for one in self.differences],
            "difference_count": self.difference_count,
            "failures": self.failures[:KEPT],
            "copied": self.copied,
            "copied_bytes": self.copied_bytes,
            "removed": self.removed,
            "changed": changed,
            "heard": heard,
            "seconds": round(seconds, 3),
        }

    def figures(self) -> Figures:
        """Return the numbers of the job's result."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "copied": self.copied,
            "copied_bytes": self.copied_bytes,
            "removed": self.removed,
            "large_objects": len(self.large),
            "still_changing": len(self.changing),
            "metadata_compared": self.properties_compared,
            "differences": self.difference_count,
            "failures": len(self.failures),
        }
