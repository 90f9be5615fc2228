"""The media bucket of the stand-in API: what Django's storage for S3 does, in a few lines.

A column holds a path that is relative to the storage, as Django's `FileField` keeps it; the key of the object
is that path below ``media/``. What `collectstatic` gathers lies beside it, below ``static/``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

MEDIA_PREFIX = "media/"
STATIC_PREFIX = "static/"
_CHUNK_BYTES = 65536
_STATIC_FILES = Path(__file__).with_name("static")
_STATIC_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_MISSING = ("NoSuchKey", "404")


class MediaUnavailableError(Exception):
    """S3 does not serve this now: it refused, or cannot be reached."""


class FileMissingError(Exception):
    """The object that a row refers to is not in the bucket."""


@dataclass(frozen=True)
class StoredFile:
    """An object that is being read; `chunks` can be read once."""

    content_type: str
    length: int
    chunks: Iterator[bytes]


class MediaStore:
    """The bucket that this environment uses now.

    Parameters
    ----------
    client
        boto3 client of S3.
    bucket
        Its name.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def put(
        self,
        key: str,
        body: bytes,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        cache_control: str | None = None,
    ) -> None:
        """Store an object, over any that has its key.

        Raises
        ------
        MediaUnavailableError
            It may be stored or not.
        """
        optional = {"CacheControl": cache_control, "Tagging": urlencode(tags) if tags else None}
        self._call(
            "put_object",
            Key=key,
            Body=body,
            ContentType=content_type,
            Metadata=dict(metadata or {}),
            **{name: value for name, value in optional.items() if value},
        )

    def open(self, key: str) -> StoredFile:
        """Begin to read an object.

        Raises
        ------
        FileMissingError
            There is no such object.
        MediaUnavailableError
            It cannot be read now.
        """
        found = self._call("get_object", Key=key)
        return StoredFile(
            content_type=found.get("ContentType", "application/octet-stream"),
            length=int(found["ContentLength"]),
            chunks=found["Body"].iter_chunks(_CHUNK_BYTES),
        )

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted already.

        Raises
        ------
        MediaUnavailableError
            It may be deleted or not.
        """
        self._call("delete_object", Key=key)

    def _call(self, operation: str, **parameters: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self.bucket, **parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                raise FileMissingError(f"{parameters['Key']} is not in the bucket {self.bucket}") from error
            raise MediaUnavailableError(f"{operation}: {error}") from error
        except BotoCoreError as error:
            raise MediaUnavailableError(f"{operation}: {error}") from error


def open_store(bucket: str) -> MediaStore:
    """Return the store, with the credentials that this process was given."""
    # Short limits: somebody waits for the answer, and asks again when it is 503.
    config = Config(
        connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2}, max_pool_connections=32
    )
    return MediaStore(boto3.client("s3", config=config), bucket)


def collect_static(store: MediaStore, directory: Path = _STATIC_FILES) -> int:
    """Store every static file, with what browsers need to know of it; returns how many.

    Raises
    ------
    MediaUnavailableError
        S3 refused one.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in files:
        store.put(
            STATIC_PREFIX + path.relative_to(directory).as_posix(),
            path.read_bytes(),
            _STATIC_TYPES[path.suffix],
            cache_control="public, max-age=86400",
        )
    return len(files)
