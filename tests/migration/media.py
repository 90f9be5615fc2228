"""Copies of a media bucket by `move-media` alone: each story has a source and a candidate of its own.

A whole migration is not needed to see what a copy does when objects come, go, change or are denied: the
stories start the state machine that `migrate` starts, with the input that it would give.
"""

import hashlib
import json
import random
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from examples.executions import Execution
from localaws.runtime import keep_host
from tests.migration.scenarios import Stage

SINGLE_COPY_LIMIT = 8 * 1024 * 1024
"""What S3 copies in one request while these stories are told; in AWS it is 5 GiB."""

LARGE = "media/films/holiday.mp4"
FILM = random.Random(7).randbytes(21 * 1024 * 1024)  # noqa: S311 - not a secret
"""No two of its parts are alike."""

PHOTOS = "media/photos/"

# Story → the pair of media generations that it is told with.
PAIRS = ("many", "denied", "moving", "cancelled", "failing", "dying")


@dataclass
class Copy:
    """One execution of `move-media` and what it wrote."""

    execution: Execution
    documents: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Buckets:
    """A source and a candidate, both of the environment's own generations.

    `stage.environment` has the administrator's clients.
    """

    stage: Stage
    name: str
    source: dict[str, Any]
    candidate: dict[str, Any]

    @property
    def s3(self) -> Any:
        """The administrator's S3 client."""
        return self.stage.environment.clients["s3"]

    def put(self, key: str, body: bytes, **more: Any) -> None:
        """Put an object into the source."""
        self.s3.put_object(Bucket=self.source["bucket"], Key=key, Body=body, **more)

    def put_many(self, count: int, prefix: str = PHOTOS, size: int = 120) -> None:
        """Put many small objects into the source without a request for each."""
        document = {
            "bucket": self.source["bucket"],
            "prefix": prefix,
            "count": count,
            "size": size,
            "seed": 7,
        }
        control(self.stage, "POST", "s3/objects", document)

    def copy(self, run_id: str, phase: str = "ahead", **changes: Any) -> Copy:
        """Copy with `move-media`, as `migrate` would have it done, and wait for the end."""
        return self.finish(self.start(run_id, phase, **changes), run_id, phase)

    def start(self, run_id: str, phase: str = "ahead", **changes: Any) -> str:
        """Begin to copy; return the ARN of the execution."""
        environment = self.stage.environment
        manifest = environment.manifest()
        folder = f"runs/{run_id}"
        survey = self._survey()
        for name, document in (("survey", survey), ("large-objects", self._large_objects())):
            environment.clients["s3"].put_object(
                Bucket=environment.artifacts_bucket,
                Key=f"{folder}/media/{name}.json",
                Body=json.dumps(document).encode(),
            )
        document = {
            "run_id": run_id,
            "run_folder": f"s3://{environment.artifacts_bucket}/{folder}",
            "phase": phase,
            "had_ahead": phase == "final",
            "source": self.source,
            "candidate": self.candidate,
            "source_database": manifest["database"]["generations"][manifest["database"]["active"]],
            "copy_role_arn": manifest["media"]["copy_role_arn"],
            "file_columns": [],
            "versions": "current",
            "metadata_sample": 0,
            "single_copy_limit_bytes": SINGLE_COPY_LIMIT,
            "job_timeout_seconds": 600,
        } | changes
        return environment.executions.start("move-media", document, f"{run_id}-{phase}")

    def finish(self, arn: str, run_id: str, phase: str) -> Copy:
        """Wait for the end of a copy and read what it wrote."""
        environment = self.stage.environment
        execution = environment.wait(arn, 400)
        below = f"media/{phase}/"
        documents = {
            name.removeprefix(below): environment.run_document(run_id, name)
            for name in environment.run_files(run_id)
            if name.startswith(below) and name.endswith(".json") and "/reports/" not in name
        }
        return Copy(execution, documents)

    def listing(self, side: str) -> dict[str, tuple[str, int]]:
        """Return key → (ETag, bytes) of a side."""
        bucket = getattr(self, side)["bucket"]
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {
            item["Key"]: (item["ETag"], item["Size"])
            for page in pages
            for item in page.get("Contents", [])
            if not item["Key"].startswith(".know-me/")
        }

    def equal(self) -> bool:
        """Whether both sides have the same objects: small ones by ETag, large ones byte for byte.

        The ETag of a large object tells in how many parts it was written.
        """
        sides = [self.listing("source"), self.listing("candidate")]
        for bucket, side in zip((self.source, self.candidate), sides, strict=True):
            for key, (_, size) in side.items():
                if size > SINGLE_COPY_LIMIT:
                    body = self.s3.get_object(Bucket=bucket["bucket"], Key=key)["Body"].read()
                    side[key] = (hashlib.sha256(body).hexdigest(), size)
        return sides[0] == sides[1]

    def deny(self, keys: str, *roles: str) -> None:
        """Let roles not read some keys of the source; no role: allow them again."""
        if not roles:
            self.s3.delete_bucket_policy(Bucket=self.source["bucket"])
            return
        statement = {
            "Sid": "DeniedByTheTest",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:GetObjectTagging"],
            "Resource": f"arn:aws:s3:::{self.source['bucket']}/{keys}",
            "Condition": {"ArnLike": {"aws:PrincipalArn": list(roles)}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.s3.put_bucket_policy(Bucket=self.source["bucket"], Policy=policy)

    def _survey(self) -> dict[str, Any]:
        small = {key: size for key, (_, size) in self.listing("source").items() if size <= SINGLE_COPY_LIMIT}
        classes = {"STANDARD": {"objects": len(small), "bytes": sum(small.values())}}
        return {
            "objects": len(self.listing("source")),
            "bytes": sum(size for _, size in self.listing("source").values()),
            "storage_classes": classes,
            "large_objects": len(self._large_objects()),
            "archived": 0,
        }

    def _large_objects(self) -> list[dict[str, Any]]:
        return [
            {"key": key, "size": size, "etag": etag, "storage_class": "STANDARD"}
            for key, (etag, size) in self.listing("source").items()
            if size > SINGLE_COPY_LIMIT
        ]


def control(stage: Stage, method: str, path: str, document: Any = None) -> Any:
    """Call the local AWS's own interface."""
    request = urllib.request.Request(  # noqa: S310 - our own endpoint
        f"{stage.server.endpoint}/_localaws/{path}",
        None if document is None else json.dumps(document).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - our own endpoint
        text = answer.read()
    return json.loads(text) if text.strip() else None


@contextmanager
def paused_copy(stage: Stage, after: int) -> Iterator[None]:
    """Let the next job of S3 Batch Operations wait after some objects, until the block ends."""
    control(stage, "POST", "s3control", {"pause_after": after})
    try:
        yield
    finally:
        control(stage, "DELETE", "s3control")


def wait_for_paused_copy(stage: Stage) -> str:
    """Return the id of the job that waits."""
    waiting: list[str] = []

    def waits() -> bool:
        waiting[:] = control(stage, "GET", "s3control")["waiting"]
        return bool(waiting)

    stage.wait_until(waits, 120, "the copy to wait in the middle")
    return waiting[0]


def s3control_client(stage: Stage) -> Any:
    """Return a client of S3 Control that keeps the host: the account before it would not resolve."""
    client = boto3.client("s3control", endpoint_url=stage.server.endpoint)
    client.meta.events.register("before-sign.s3-control", keep_host)
    return client


class Pairs:
    """The pairs of buckets of an environment, made by one run of `provision`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        environment = stage.environment
        document = environment.generations()
        for name in PAIRS:
            for side in ("old", "new"):
                document["media"]["all"].setdefault(f"{name}-{side}", {"unfinished": True})
        environment.clients["ssm"].put_parameter(
            Name=f"/know-me/{environment.name}/generations",
            Value=json.dumps(document),
            Type="String",
            Overwrite=True,
        )
        environment.succeed(environment.executions.start("provision"))
        self._generations = environment.manifest()["media"]["generations"]

    def __call__(self, name: str) -> Buckets:
        """Return a pair; anybody may write into its source."""
        source, candidate = (self._generations[f"{name}-{side}"] for side in ("old", "new"))
        self._stage.environment.clients["s3"].delete_bucket_policy(Bucket=source["bucket"])
        return Buckets(self._stage, name, source, candidate)


class Requests:
    """What the local AWS was asked while a block ran."""

    def __init__(self, stage: Stage) -> None:
        self._path = Path(stage.server.status()["directory"]) / "requests.jsonl"
        self._from = 0
        self.lines: list[dict[str, Any]] = []

    def __enter__(self) -> "Requests":
        self._from = self._path.stat().st_size
        return self

    def __exit__(self, *_: object) -> None:
        with self._path.open() as file:
            file.seek(self._from)
            self.lines = [json.loads(line) for line in file if line.endswith("\n")]

    def count(self, action: str, *buckets: dict[str, Any]) -> Counter[str]:
        """Return how often an action was asked of each key of some buckets."""
        names = tuple(f"{bucket['bucket']}/" for bucket in buckets)
        return Counter(
            line["resource"]
            for line in self.lines
            if line["service"] == "s3"
            and line["action"] == action
            and (line.get("resource") or "").startswith(names)
        )


# ---------------------------------------------------------------- the stories


def many_objects(pairs: Pairs) -> dict[str, Any]:
    """Copy 50,000 small objects and a large one ahead; then change a few and catch up."""
    buckets = pairs("many")
    buckets.put_many(50_000)
    buckets.put(LARGE, FILM, ContentType="video/mp4", Metadata={"camera": "one"})
    with Requests(buckets.stage) as requests:
        ahead = buckets.copy("many")
    source = buckets.listing("source")
    first = {"equal": buckets.equal(), "objects": len(source)}
    keys = [key for key in source if key.startswith(PHOTOS)]
    for key in keys[:7]:
        buckets.put(key, b"changed " + key.encode())
    for number in range(5):
        buckets.put(f"{PHOTOS}new-{number}.jpg", b"new %d" % number)
    for key in keys[-3:]:
        buckets.s3.delete_object(Bucket=buckets.source["bucket"], Key=key)
    final = buckets.copy("many", "final")
    return {
        "ahead": ahead,
        "first": first,
        "requests": requests,
        "buckets": buckets,
        "final": final,
        "equal": buckets.equal(),
        "large": head(buckets, LARGE),
    }


def head(buckets: Buckets, key: str) -> list[dict[str, Any]]:
    """Return what HeadObject says of a key on both sides, without what differs by nature."""
    kept = ("ContentLength", "ContentType", "Metadata", "ETag", "CacheControl", "StorageClass")
    return [
        {
            name: value
            for name, value in buckets.s3.head_object(Bucket=side["bucket"], Key=key).items()
            if name in kept
        }
        for side in (buckets.source, buckets.candidate)
    ]


def object_denied(pairs: Pairs) -> dict[str, Any]:
    """Deny the migration's roles one object, then allow it and copy again."""
    buckets = pairs("denied")
    buckets.put_many(40)
    denied = f"{PHOTOS}denied.jpg"
    buckets.put(denied, b"nobody may read this")
    stack = buckets.stage.environment.stack
    buckets.deny(denied, f"arn:aws:iam::*:role/{stack}-media-copy", f"arn:aws:iam::*:role/{stack}-media-jobs")
    failed = buckets.copy("denied-1")
    buckets.deny(denied)
    return _again(buckets, failed, "denied-2")


def objects_moving(pairs: Pairs) -> dict[str, Any]:
    """Delete one object and overwrite another while the bulk is copied."""
    buckets = pairs("moving")
    buckets.put_many(60)
    keys = sorted(buckets.listing("source"))
    with paused_copy(buckets.stage, after=10):
        arn = buckets.start("moving")
        wait_for_paused_copy(buckets.stage)
        buckets.s3.delete_object(Bucket=buckets.source["bucket"], Key=keys[40])
        buckets.put(keys[50], b"overwritten while it was copied")
        buckets.put(keys[2], b"overwritten after it was copied")
    copy = buckets.finish(arn, "moving", "ahead")
    return {"copy": copy, "equal": buckets.equal()}


def job_cancelled(pairs: Pairs) -> dict[str, Any]:
    """Cancel the Batch Operations job by hand, as a person in the console would, then copy again."""
    buckets = pairs("cancelled")
    buckets.put_many(60)
    with paused_copy(buckets.stage, after=10):
        arn = buckets.start("cancelled-1")
        job = wait_for_paused_copy(buckets.stage)
        s3control_client(buckets.stage).update_job_status(
            AccountId=buckets.stage.environment.account, JobId=job, RequestedJobStatus="Cancelled"
        )
    failed = buckets.finish(arn, "cancelled-1", "ahead")
    return _again(buckets, failed, "cancelled-2")


def job_fails(pairs: Pairs) -> dict[str, Any]:
    """Deny the copy role everything, so that S3 gives the job up, then allow it and copy again."""
    buckets = pairs("failing")
    buckets.put_many(1500)
    buckets.deny("*", f"arn:aws:iam::*:role/{buckets.stage.environment.stack}-media-copy")
    failed = buckets.copy("failing-1")
    buckets.deny("*")
    return _again(buckets, failed, "failing-2")


def large_copy_dies(pairs: Pairs) -> dict[str, Any]:
    """Let the copy of a part fail again and again, then copy once more."""
    buckets = pairs("dying")
    buckets.put_many(10)
    buckets.put(LARGE, FILM, ContentType="video/mp4")
    fault = {
        "service": "s3",
        "action": "UploadPartCopy",
        "resource": buckets.candidate["bucket"],
        "skip": 1,
        "times": 100,
        "error": "InternalError",
        "message": "The test lets it die.",
    }
    control(buckets.stage, "POST", "faults", fault)
    try:
        failed = buckets.copy("dying-1")
    finally:
        buckets.stage.server.clear_faults()
    return _again(buckets, failed, "dying-2")


def _again(buckets: Buckets, failed: Copy, run_id: str) -> dict[str, Any]:
    """Copy a second time into the same candidate and count what was copied again."""
    present = buckets.listing("candidate")
    with Requests(buckets.stage) as requests:
        second = buckets.copy(run_id)
    source = buckets.listing("source")
    copied = {name.partition("/")[2] for name in requests.count("CopyObject", buckets.candidate)}
    return {
        "failed": failed,
        "second": second,
        "equal": buckets.equal(),
        "copied_again": sorted(key for key in copied if present.get(key) == source.get(key)),
        "present": len(present),
    }


STORIES = {
    "many": many_objects,
    "denied": object_denied,
    "moving": objects_moving,
    "cancelled": job_cancelled,
    "failing": job_fails,
    "dying": large_copy_dies,
}


def media_copies(stage: Stage) -> dict[str, Any]:
    """Tell every story; return what each saw, or the exception that ended it."""
    control(stage, "POST", "s3/single-copy-limit", {"bytes": SINGLE_COPY_LIMIT})
    pairs = Pairs(stage)
    seen: dict[str, Any] = {}
    for name, story in STORIES.items():
        try:
            seen[name] = story(pairs)
        except Exception as error:
            seen[name] = error
    return seen
