"""The job `cross-check`: what rows refer to since the copy ahead is in the new bucket."""

import threading

from botocore.exceptions import ClientError
from job_support.performance import Figures

from media_jobs import key_list
from media_jobs.context import JobContext
from media_jobs.listing import GONE
from media_jobs.merge import side_by_side
from media_jobs.objects import LONGEST_KEY
from media_jobs.synchronise import refuse_missing
from media_jobs.workers import workers

LISTS = ("media/final/files.jsonl.gz", "media/ahead/files.jsonl.gz", "media/ahead/missing.jsonl.gz")


def run(context: JobContext) -> Figures:
    """Write `media/final/cross-check.json`.

    Paths that the copy ahead saw are not asked for again: it found them or it did not, and changes of their
    objects have been put right since.

    Raises
    ------
    JobError
        `CrossCheckFailed` naming files that only the old bucket has.
    """
    lock = threading.Lock()
    paths = missing = 0
    newly_missing: list[str] = []

    def look(key: str) -> None:
        nonlocal missing
        if exists(context, context.candidate, key):
            return
        in_source = exists(context, context.source, key)
        with lock:
            if in_source:
                newly_missing.append(key)
            else:
                missing += 1

    lists = [
        key_list.fetch(context.folder, name, context.directory / name.replace("/", "-")) for name in LISTS
    ]
    context.progress.start("look for the files of rows", 0, "objects")
    with side_by_side(*lists) as keys, workers() as pool:
        for key, (final, ahead, missed) in keys:
            if not final:
                continue
            paths += 1
            if not ahead:
                pool.submit(look, key)
            elif missed:
                with lock:
                    missing += 1
            context.progress.add(1)
    newly_missing.sort()
    document = {
        "paths": paths,
        "present": paths - missing - len(newly_missing),
        "missing_before": missing,
        "newly_missing": newly_missing,
    }
    context.folder.write_json("media/final/cross-check.json", document)
    refuse_missing(newly_missing)
    return {name: document[name] for name in ("paths", "present", "missing_before")}


def exists(context: JobContext, bucket: str, key: str) -> bool:
    """Whether a bucket has an object; a path that cannot be a key has none."""
    if len(key.encode()) > LONGEST_KEY:
        return False
    try:
        context.s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            return False
        raise
    return True
