"""The run folder in S3: what a run keeps, and where its parts find each other's results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError


class RunFolder:
    """Documents and files below `s3://<artifacts bucket>/runs/<run id>`.

    Objects are encrypted by the bucket's default encryption, whichever key its owner chose.

    Parameters
    ----------
    url
        `s3://bucket/prefix`.
    s3
        A boto3 S3 client; its transfers use multipart uploads in parallel for large files.
    """

    def __init__(self, url: str, s3: Any) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self._s3 = s3

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def read_json(self, name: str) -> Any | None:
        """Return the document, or None when there is none."""
        try:
            body = self._s3.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        return json.loads(body)

    def write_json(self, name: str, document: Any) -> None:
        """Write (or replace) a document."""
        self._s3.put_object(
            Bucket=self.bucket,
            Key=self._key(name),
            Body=json.dumps(document, indent=2, ensure_ascii=False, default=str).encode(),
            ContentType="application/json",
        )

    def upload(
        self,
        path: Path,
        name: str,
        on_bytes: Callable[[int], None] | None = None,
        *,
        content_type: str = "application/octet-stream",
    ) -> None:
        """Upload a file; `on_bytes` is told how many bytes went, from several threads."""
        extra = {"ContentType": content_type}
        self._s3.upload_file(str(path), self.bucket, self._key(name), Callback=on_bytes, ExtraArgs=extra)

    def download(self, name: str, path: Path, on_bytes: Callable[[int], None] | None = None) -> bool:
        """Download a file, False when the folder has none of that name.

        `on_bytes` is told how many bytes came, from several threads.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._s3.download_file(self.bucket, self._key(name), str(path), Callback=on_bytes)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return False
            raise
        return True

    def describe(self, name: str) -> dict[str, str]:
        """Return `{"key", "etag"}` of a file, as S3 Batch Operations names a manifest."""
        found = self._s3.head_object(Bucket=self.bucket, Key=self._key(name))
        return {"key": self._key(name), "etag": found["ETag"].strip('"')}
