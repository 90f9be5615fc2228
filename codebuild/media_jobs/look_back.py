"""The job `look-back`: with the app running on the new bucket, see what the old one got too late."""

import threading
from dataclasses import asdict
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from job_support.performance import Figures
from job_support.progress import say

from media_jobs import equality, key_list
from media_jobs.context import JobContext
from media_jobs.copying import copy
from media_jobs.errors import ChangedMeanwhileError, named
from media_jobs.listing import listing, look
from media_jobs.merge import side_by_side
from media_jobs.objects import Version, current
from media_jobs.properties import Difference
from media_jobs.tally import KEPT
from media_jobs.workers import workers

NOBODY_REFERS = "static/"
"""Collected static files: no row ever refers to one."""


class LookingBack:
    """What is found; from many threads."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._resumed: datetime = context.inputs.resumed
        self._lock = threading.Lock()
        self.copied_late: list[str] = []
        self.differences: list[Difference] = []

    def missing(self, key: str, source: Version) -> None:
        """Copy what the new bucket never had; what the app removed there stays removed."""
        context = self._context
        there = look(context.s3, context.candidate, key, "all")
        if there and (not there[-1].deleted or there[-1].last_modified >= self._resumed):
            return
        try:
            copy(context.buckets, key, source, context.inputs.single_copy_limit_bytes, IfNoneMatch="*")
        except ChangedMeanwhileError:
            return  # the app wrote it meanwhile, or the old bucket has it no more
        except ClientError as error:
            self._differ("missing", key, f"copying answered {error.response['Error']['Code']}")
            return
        with self._lock:
            self.copied_late.append(key)

    def both(self, key: str, source: Version, candidate: Version) -> None:
        """Name what differs though the app has not written it since; it is never overwritten."""
        if candidate.last_modified >= self._resumed:
            return
        try:
            verdict = equality.compare(self._context.buckets, key, source, candidate)
        except ChangedMeanwhileError:
            return  # the app's own change
        except ClientError as error:
            self._differ("different", key, f"comparing answered {error.response['Error']['Code']}")
            return
        if not verdict.equal:
            self._differ("different", key, verdict.detail)

    def only_new(self, key: str, candidate: Version) -> None:
        """Name what the old bucket lost after the copy."""
        if candidate.last_modified < self._resumed:
            self._differ("extra", key, "the old bucket no longer has it")

    def _differ(self, kind: str, key: str, detail: str) -> None:
        with self._lock:
            if len(self.differences) < KEPT:
                self.differences.append(Difference(kind, key, detail))


def run(context: JobContext) -> Figures:
    """Write `media/look-back.json` and `media/unreferenced.jsonl.gz`; differences stop nothing."""
    found = LookingBack(context)
    unreferenced = key_list.KeyFile(context.directory / "unreferenced.jsonl.gz")
    objects = size = paths = unreferenced_bytes = 0
    name = "media/final/files.jsonl.gz"
    local = context.directory / "files.jsonl.gz"
    files = key_list.fetch(context.folder, name, local)
    knows_files = local.exists()
    sides = (listing(context.s3, bucket, "current") for bucket in (context.source, context.candidate))
    context.progress.start("compare both buckets once more", context.expected_objects(), "objects")
    with side_by_side(*sides, files) as keys, workers() as pool:
        for key, (old, new, referred) in keys:
            source, candidate = current(old), current(new)
            paths += bool(referred)
            if candidate:
                objects += 1
                size += candidate.size
                context.progress.add(1)
                # What came since the app runs again is referred to by rows that the list does not have.
                if (
                    knows_files
                    and not referred
                    and not key.startswith(NOBODY_REFERS)
                    and candidate.last_modified < context.inputs.resumed
                ):
                    unreferenced.add(key)
                    unreferenced_bytes += candidate.size
            if source and candidate:
                if equality.by_listing(source, candidate) != equality.Verdict(True, "etag"):
                    pool.submit(found.both, key, source, candidate)
            elif source:
                pool.submit(found.missing, key, source)
            elif candidate:
                found.only_new(key, candidate)
    context.folder.upload(
        unreferenced.close(), "media/unreferenced.jsonl.gz", content_type="application/gzip"
    )
    document: dict[str, Any] = {
        "objects": objects,
        "bytes": size,
        "copied_late": sorted(found.copied_late),
        "differences": [asdict(one) for one in sorted(found.differences, key=lambda one: one.key)],
        "unreferenced": {"objects": unreferenced.count, "bytes": unreferenced_bytes},
        "paths": paths,
    }
    context.folder.write_json("media/look-back.json", document)
    if found.copied_late:
        say(f"WARNING: copied late: {named(document['copied_late'])}.")
    if found.differences:
        say(f"WARNING: differences: {named([one['key'] for one in document['differences']])}.")
    return {
        "objects": objects,
        "bytes": size,
        "copied_late": len(found.copied_late),
        "differences": len(found.differences),
        "unreferenced": unreferenced.count,
    }
