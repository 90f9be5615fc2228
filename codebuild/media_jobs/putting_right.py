"""Make one key of the candidate equal to the source's, and prove it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from media_jobs import properties
from media_jobs.copying import copy, redirect_of
from media_jobs.equality import Means, Verdict, compare
from media_jobs.errors import ChangedMeanwhileError
from media_jobs.listing import look
from media_jobs.objects import Buckets, History, Version, Versions, current
from media_jobs.properties import Difference, Encryption

LOOKS = 4
"""How often a key that changes under our hands is looked at; with the app stopped nothing changes."""

STRENGTH: tuple[Means, ...] = ("etag", "checksum", "content", "size")


@dataclass
class Outcome:
    """What became of one key.

    Parameters
    ----------
    present
        The source's current version, when the candidate has the same.
    by
        The means by which the bytes were compared; None when there was nothing to compare.
    copied, copied_bytes, removed
        Versions.
    differences
        What could not be put right.
    large
        The source's current version, when it is left to the copy in parts.
    failure
        Why S3 refused to copy.
    gone
        The source has nothing to read under this key.
    changing
        The source changed at every look.
    """

    key: str
    present: Version | None = None
    by: Means | None = None
    copied: int = 0
    copied_bytes: int = 0
    removed: int = 0
    differences: list[Difference] = field(default_factory=list)
    large: Version | None = None
    failure: str | None = None
    gone: bool = False
    changing: bool = False


@dataclass(frozen=True)
class PuttingRight:
    """How keys are put right.

    Parameters
    ----------
    versions
        Whether the current version or all of them count.
    limit
        Bytes that S3 copies in one request.
    encryption
        The candidate's default.
    """

    buckets: Buckets
    versions: Versions
    limit: int
    encryption: Encryption

    def look_and_settle(self, key: str, *, thorough: bool = True) -> Outcome:
        """Look at both sides of a key and make them equal."""
        try:
            source, candidate = self._look(key)
        except ClientError as error:
            return Outcome(key, failure=_reason(error))
        return self.settle(key, source, candidate, thorough=thorough)

    def settle(self, key: str, source: History, candidate: History, *, thorough: bool = False) -> Outcome:
        """Make both sides of a key equal.

        Parameters
        ----------
        source, candidate
            What was listed; empty when there is nothing.
        thorough
            Compare metadata and tags of the current version as well.
        """
        outcome = Outcome(key)
        one_time = self._settle_all if self.versions == "all" else self._settle_current
        try:
            for _ in range(LOOKS):
                try:
                    outcome.gone = current(source) is None
                    outcome.present = outcome.large = None
                    one_time(outcome, source, candidate)
                    if thorough and outcome.present:
                        self._settle_properties(outcome)
                    return outcome
                except ChangedMeanwhileError:
                    source, candidate = self._look(key)
            outcome.changing = True
        except ClientError as error:
            outcome.failure = _reason(error)
        outcome.present = None
        return outcome

    def _look(self, key: str) -> tuple[History, History]:
        s3, versions = self.buckets.s3, self.versions
        return (look(s3, self.buckets.source, key, versions), look(s3, self.buckets.candidate, key, versions))

    def _settle_current(self, outcome: Outcome, source: History, candidate: History) -> None:
        key, wanted, there = outcome.key, current(source), current(candidate)
        if wanted is None:
            if there is not None:
                self.buckets.s3.delete_object(Bucket=self.buckets.candidate, Key=key)
                outcome.removed += 1
            return
        verdict = compare(self.buckets, key, wanted, there) if there else None
        if verdict is None or not verdict.equal or (there and there.storage_class != wanted.storage_class):
            # Large ones are copied in parts by others, unless they only have the wrong class.
            if wanted.size > self.limit and not (verdict and verdict.equal):
                outcome.large = wanted
                return
            verdict = self._copy_and_compare(outcome, wanted)
        self._note(outcome, wanted, verdict)

    def _copy_and_compare(self, outcome: Outcome, wanted: Version, **more: str) -> Verdict:
        etag = copy(self.buckets, outcome.key, wanted, self.limit, **more)
        outcome.copied += 1
        outcome.copied_bytes += wanted.size
        if etag == wanted.etag:
            return Verdict(True, "etag")  # the copy's own answer proves it
        there = current(look(self.buckets.s3, self.buckets.candidate, outcome.key, self.versions))
        if there is None:
            raise ChangedMeanwhileError(outcome.key)
        return compare(self.buckets, outcome.key, wanted, there)

    def _note(self, outcome: Outcome, wanted: Version, verdict: Verdict) -> None:
        outcome.by = max(outcome.by or verdict.by, verdict.by, key=STRENGTH.index)
        if verdict.equal:
            outcome.present = wanted
        else:
            outcome.differences.append(Difference("different", outcome.key, verdict.detail))

    def _settle_properties(self, outcome: Outcome) -> None:
        """Compare metadata and tags; put a difference right once, name what is left."""
        wanted = outcome.present
        if wanted is None or not self._property_differences(outcome.key):
            return
        if self.versions == "all":
            self._rebuild(outcome)
        else:
            redirect = redirect_of(self.buckets.s3, self.buckets.source, outcome.key, wanted)
            verdict = self._copy_and_compare(outcome, wanted, **redirect)
            if not verdict.equal:
                raise ChangedMeanwhileError(outcome.key)
        left = self._property_differences(outcome.key)
        outcome.differences += left
        if left:
            outcome.present = None

    def _property_differences(self, key: str) -> list[Difference]:
        s3 = self.buckets.s3
        sides = [current(history) for history in self._look(key)]
        if sides[0] is None or sides[1] is None:
            raise ChangedMeanwhileError(key)
        source = properties.read(s3, self.buckets.source, key, sides[0])
        candidate = properties.read(s3, self.buckets.candidate, key, sides[1])
        return properties.differences(key, source, candidate, self.encryption)

    # Versions ---------------------------------------------------------------------------------

    def _settle_all(self, outcome: Outcome, source: History, candidate: History) -> None:
        key = outcome.key
        same = self._common_beginning(outcome, source, candidate)
        if same < len(candidate):
            # Another history: S3 adds versions at the end only, so it is told anew from the beginning.
            self._remove(outcome, candidate)
            same = 0
        if same < len(source):
            if len(source) == 1 and not source[0].deleted and source[0].size > self.limit:
                outcome.large = source[0]
                return
            self._append(outcome, source[same:])
            source_now, candidate_now = self._look(key)
            if [version.version_id for version in source_now] != [version.version_id for version in source]:
                raise ChangedMeanwhileError(key)
            if not (
                len(candidate_now)
                == len(source)
                == self._common_beginning(outcome, source_now, candidate_now)
            ):
                detail = (
                    f"{len(source)} versions, in the candidate {len(candidate_now)}, which are not the same"
                )
                outcome.differences.append(Difference("versions", key, detail))
                return
        outcome.present = current(source)

    def _common_beginning(self, outcome: Outcome, source: History, candidate: History) -> int:
        """Return how many of the oldest versions are the same on both sides."""
        for count, (wanted, there) in enumerate(zip(source, candidate, strict=False)):
            if wanted.deleted and there.deleted:
                continue
            if wanted.deleted or there.deleted or wanted.storage_class != there.storage_class:
                return count
            verdict = compare(self.buckets, outcome.key, wanted, there)
            if not verdict.equal:
                return count
            outcome.by = max(outcome.by or verdict.by, verdict.by, key=STRENGTH.index)
        return min(len(source), len(candidate))

    def _append(self, outcome: Outcome, missing: History, **more: str) -> None:
        for version in missing:
            if version.deleted:
                self.buckets.s3.delete_object(Bucket=self.buckets.candidate, Key=outcome.key)
                continue
            copy(self.buckets, outcome.key, version, self.limit, **more)
            outcome.copied += 1
            outcome.copied_bytes += version.size

    def _remove(self, outcome: Outcome, history: History) -> None:
        for version in history:
            self.buckets.s3.delete_object(Bucket=self.buckets.candidate, Key=outcome.key, **version.request)
            outcome.removed += not version.deleted

    def _rebuild(self, outcome: Outcome) -> None:
        """Copy the newest version anew, with every header: S3 copies all but the redirect by itself."""
        source, candidate = self._look(outcome.key)
        if not source or not candidate:
            raise ChangedMeanwhileError(outcome.key)
        newest = source[-1]
        redirect = redirect_of(self.buckets.s3, self.buckets.source, outcome.key, newest)
        self._remove(outcome, candidate[-1:])
        self._append(outcome, (newest,), **redirect)


def _reason(error: ClientError) -> str:
    details: Mapping[str, Any] = error.response["Error"]
    return f"{error.operation_name} answered {details.get('Code')}: {details.get('Message', '')}".strip()
