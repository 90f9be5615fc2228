"""Sources of a build: an object or a folder in S3, an artifact of a pipeline, or nothing."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

IMPLEMENTED = ("S3", "NO_SOURCE", "CODEPIPELINE")

REVISION_METADATA = "codepipeline-artifact-revision-id"
"""User metadata of a pipeline's artifact: the revision that it came from."""

OBJECT_ARN = "arn:aws:s3:::"


class SourceError(Exception):
    """The source cannot be fetched."""


def fetch(source: Mapping[str, Any], version: str | None, target: Path, s3: Any) -> str:
    """Fetch a source into `target` and return its version (`CODEBUILD_RESOLVED_SOURCE_VERSION`), maybe empty.

    Raises
    ------
    SourceError
        It does not exist, may not be read, or is not a zip archive.
    """
    target.mkdir(parents=True)
    if source["type"] == "NO_SOURCE":
        return ""
    of_pipeline = source["type"] == "CODEPIPELINE"
    location = version if of_pipeline and version else source["location"]
    bucket, _, key = str(location).removeprefix(OBJECT_ARN).partition("/")
    try:
        if key.endswith("/") or not key:
            return _folder(bucket, key, target, s3)
        wanted = {"VersionId": version} if version and not of_pipeline else {}
        answer = s3.get_object(Bucket=bucket, Key=key, **wanted)
        unpack(answer["Body"].read(), target)
    except ClientError as error:
        said = error.response["Error"]
        raise SourceError(f"{said['Code']}: {said.get('Message', '')} for {bucket}/{key}") from error
    except zipfile.BadZipFile as error:
        raise SourceError(f"{bucket}/{key} is not a zip archive") from error
    if of_pipeline:
        return str(answer["Metadata"].get(REVISION_METADATA, ""))
    return str(answer.get("VersionId") or answer["ETag"].strip('"'))


def _folder(bucket: str, prefix: str, target: Path, s3: Any) -> str:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            name = entry["Key"].removeprefix(prefix)
            file = (target / name).resolve()
            if name.endswith("/") or not file.is_relative_to(target.resolve()):
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, entry["Key"], str(file))
    return ""


def unpack(archive: bytes, target: Path) -> None:
    """Unpack a zip archive, permissions included."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for entry in opened.infolist():
            file = Path(opened.extract(entry, target))
            mode = entry.external_attr >> 16 & 0o777
            if mode and not entry.is_dir():
                file.chmod(mode | 0o400)
