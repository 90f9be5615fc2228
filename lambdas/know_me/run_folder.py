"""The run folder `s3://<artifacts bucket>/runs/<run id>/`: what a run knows (contracts, section 5)."""

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.aws import error_code


class RunFolder:
    """Documents of one run.

    Parameters
    ----------
    s3 : S3 client
    bucket : str
        The artifacts bucket.
    run_id : str
        Name of the execution.
    """

    def __init__(self, s3: Any, bucket: str, run_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"runs/{run_id}/"

    @property
    def address(self) -> str:
        """The folder as `s3://…`, without a slash at the end."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def bucket(self) -> str:
        """The artifacts bucket."""
        return self._bucket

    def key(self, name: str) -> str:
        """Return the key of a document in the artifacts bucket."""
        return self._prefix + name

    def read(self, name: str) -> Any | None:
        """Return a JSON document, or None when there is none (or it was not written to its end)."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return None
            raise
        try:
            return json.loads(body)
        except ValueError:
            return None

    def read_lines(self, name: str, limit: int) -> list[Any]:
        """Return the first documents of a gzipped file of JSON lines; none when there is no such file."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return []
            raise
        with gzip.open(body, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in islice(lines, limit)]

    def write(self, name: str, document: Any) -> None:
        """Write a JSON document, replacing an earlier one."""
        plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
        self.write_text(name, json.dumps(plain, indent=2, default=str), "application/json")

    def write_once(self, name: str, document: Any) -> Any:
        """Write a JSON document unless there is one; return the one that stands.

        Two writers at the same moment: S3's conditional write lets one win, the other gets what won.
        """
        existing = self.read(name)
        if existing is not None:
            return existing
        plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=json.dumps(plain, indent=2, default=str).encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error_code(error) not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
            return self.read(name)
        return plain

    def write_text(self, name: str, text: str, content_type: str) -> None:
        """Write a text document, replacing an earlier one."""
        self._s3.put_object(
            Bucket=self._bucket, Key=self._prefix + name, Body=text.encode(), ContentType=content_type
        )

    def read_text(self, name: str) -> str | None:
        """Return a text document, or None when there is none; what is no UTF-8 is shown as such."""
        try:
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return None
            raise
        return body.decode(errors="replace")

    def names(self, below: str) -> Iterator[str]:
        """Yield the names of the documents below a part of the folder, in order."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + below
        ):
            for item in page.get("Contents", []):
                yield item["Key"].removeprefix(self._prefix)
