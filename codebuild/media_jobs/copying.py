"""Copy one version of an object from the old bucket into the new one, on the server's side."""

from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from media_jobs import properties
from media_jobs.errors import ChangedMeanwhileError
from media_jobs.listing import GONE
from media_jobs.objects import Buckets, Version

MEBIBYTE = 1024 * 1024
SMALLEST_PART = 8 * MEBIBYTE
MOST_PARTS = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

CHANGED = GONE | {"PreconditionFailed", "412"}
"""Errors that say: the source is no longer what was listed."""


def copy(buckets: Buckets, key: str, version: Version, limit: int, **more: str) -> str:
    """Copy a version; return the ETag of what was made.

    What S3 copies in one request, it copies with headers, metadata and tags; the candidate's encryption is
    its bucket's default.

    Parameters
    ----------
    limit
        Bytes that S3 copies in one request; what is larger is copied in parts.
    more
        More parameters of CopyObject, such as `IfNoneMatch`.

    Raises
    ------
    ChangedMeanwhileError
        The source is gone or was overwritten since it was listed.
    """
    source = {"Bucket": buckets.source, "Key": key, **version.request}
    try:
        if version.size > limit:
            return _copy_in_parts(buckets, key, version, source, limit, **more)
        answer = buckets.s3.copy_object(
            Bucket=buckets.candidate,
            Key=key,
            CopySource=source,
            CopySourceIfMatch=version.etag,
            StorageClass=version.storage_class,
            **more,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in CHANGED:
            raise ChangedMeanwhileError(key) from error
        raise
    etag: str = answer["CopyObjectResult"]["ETag"]
    return etag


def redirect_of(s3: Any, bucket: str, key: str, version: Version) -> dict[str, str]:
    """Return the one header that S3 does not copy by itself, as a parameter of CopyObject.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    found = properties.read(s3, bucket, key, version).headers
    return {name: found[name] for name in ("WebsiteRedirectLocation",) if name in found}


def _copy_in_parts(
    buckets: Buckets, key: str, version: Version, source: dict[str, str], limit: int, **more: str
) -> str:
    s3 = buckets.s3
    found = properties.read(s3, buckets.source, key, version)
    conditions = {name: more[name] for name in ("IfNoneMatch",) if name in more}
    upload = {"Bucket": buckets.candidate, "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(
        **upload,
        **found.headers,
        Metadata=found.metadata,
        Tagging=urlencode(found.tags),
        StorageClass=version.storage_class,
    )["UploadId"]
    try:
        parts = []
        size = max(min(SMALLEST_PART, limit), -(-version.size // MOST_PARTS))
        for number, start in enumerate(range(0, version.size, size), 1):
            answer = s3.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource=source,
                CopySourceIfMatch=version.etag,
                CopySourceRange=f"bytes={start}-{min(start + size, version.size) - 1}",
            )
            parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        etag: str = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **conditions)[
            "ETag"
        ]
    except BaseException:
        # Parts cost money for as long as nobody completes or aborts the upload.
        s3.abort_multipart_upload(**upload)
        raise
    return etag
