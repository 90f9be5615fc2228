"""The part of a run's folder in S3 that Terraform writes and reads."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError


class RunFolder:
    """Files below `s3://<artifacts bucket>/runs/<run id>`; the bucket's own default encryption applies.

    Parameters
    ----------
    url
        `s3://bucket/prefix`.
    s3
        A boto3 S3 client.
    """

    def __init__(self, url: str, s3: Any) -> None:
        parts = urlsplit(url)
        self.url = url
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")
        self._s3 = s3

    def put(self, name: str, path: Path, content_type: str = "application/octet-stream") -> None:
        """Upload a file."""
        self._s3.upload_file(
            str(path), self._bucket, f"{self._prefix}/{name}", ExtraArgs={"ContentType": content_type}
        )

    def put_json(self, name: str, document: Any) -> None:
        """Write a JSON document."""
        body = json.dumps(document, indent=2, ensure_ascii=False).encode()
        self._s3.put_object(
            Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=body, ContentType="application/json"
        )

    def get_json(self, name: str) -> Any | None:
        """Return a JSON document; None when the folder has none of that name."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return json.loads(body)

    def get(self, name: str, path: Path) -> bool:
        """Download a file; False when the folder has none of that name."""
        try:
            self._s3.download_file(self._bucket, f"{self._prefix}/{name}", str(path))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
        return True
