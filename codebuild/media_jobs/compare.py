"""The job `compare`: what the candidate lacks becomes work for S3 Batch Operations."""

import threading
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from job_support.performance import Figures

from media_jobs import equality
from media_jobs.context import JobContext
from media_jobs.errors import ChangedMeanwhileError
from media_jobs.listing import listing
from media_jobs.merge import side_by_side
from media_jobs.objects import History, Version, current, large_object
from media_jobs.workers import workers


class Manifests:
    """One CSV per storage class, written line by line: a manifest may name millions of objects.

    Bucket and URL-encoded key
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/specify-batchjob-manifest.html).
    """

    def __init__(self, directory: Path, bucket: str) -> None:
        self._directory = directory
        self._bucket = bucket
        self._files: dict[str, IO[str]] = {}
        self.counts: dict[str, int] = {}

    def add(self, key: str, storage_class: str) -> None:
        """Add an object."""
        if storage_class not in self._files:
            self._files[storage_class] = self.path(storage_class).open("w", encoding="ascii", newline="\n")
            self.counts[storage_class] = 0
        self._files[storage_class].write(f"{self._bucket},{quote(key, safe='/')}\n")
        self.counts[storage_class] += 1

    def path(self, storage_class: str) -> Path:
        """Return where the manifest of a class lies."""
        return self._directory / f"manifest-{storage_class}.csv"

    def close(self) -> None:
        """End the files."""
        for file in self._files.values():
            file.close()


class Work:
    """What has to be copied."""

    def __init__(self, context: JobContext) -> None:
        self._lock = threading.Lock()
        self._limit = context.inputs.single_copy_limit_bytes
        self.manifests = Manifests(context.directory, context.source)
        self.large: list[dict[str, Any]] = []
        self.objects = self.bytes = 0

    def add(self, key: str, version: Version) -> None:
        """Add an object."""
        with self._lock:
            self.objects += 1
            self.bytes += version.size
            if version.size > self._limit:
                self.large.append(large_object(key, version))
            else:
                self.manifests.add(key, version.storage_class)


def run(context: JobContext) -> Figures:
    """Write `work.json`, the manifests and `large-objects.json` of this phase."""
    inputs, work = context.inputs, Work(context)
    context.progress.start("compare both buckets", context.expected_objects(), "objects")

    def look_closer(key: str, source: Version, candidate: Version) -> None:
        try:
            verdict = equality.compare(context.buckets, key, source, candidate)
        except ChangedMeanwhileError:
            return  # `synchronise` looks again
        if not verdict.equal:
            work.add(key, source)

    sides = (listing(context.s3, bucket, inputs.versions) for bucket in (context.source, context.candidate))
    with side_by_side(*sides) as keys, workers() as pool:
        for key, (source, candidate) in keys:
            context.progress.add(1)
            wanted, there = current(source), current(candidate)
            if wanted is None or (inputs.versions == "all" and not is_plain_copy(source, candidate)):
                continue  # `synchronise` removes, and makes histories in their order
            if there is None or there.storage_class != wanted.storage_class:
                work.add(key, wanted)
            elif (verdict := equality.by_listing(wanted, there)) is None:
                pool.submit(look_closer, key, wanted, there)
            elif not verdict.equal:
                work.add(key, wanted)
    context.progress.finish()
    return store(context, work)


def is_plain_copy(source: History | None, candidate: History | None) -> bool:
    """Whether a copy of the current version is the whole history."""
    return len(source or ()) == 1 and not candidate


def store(context: JobContext, work: Work) -> Figures:
    """Write the documents; return the figures."""
    work.manifests.close()
    jobs = []
    for storage_class, count in sorted(work.manifests.counts.items()):
        name = f"media/{context.inputs.phase}/manifest-{storage_class}.csv"
        context.folder.upload(work.manifests.path(storage_class), name, content_type="text/csv")
        jobs.append(
            {
                "name": storage_class.lower().replace("_", "-"),
                "storage_class": storage_class,
                "objects": count,
                "manifest": context.folder.describe(name),
            }
        )
    figures = {"large_objects": len(work.large), "objects": work.objects, "bytes": work.bytes}
    context.write_large_objects(work.large, context.inputs.phase)
    context.write("work.json", {"batch_jobs": jobs, **figures})
    return figures
