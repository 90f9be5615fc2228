"""Artifacts of a build: which files, under which names, as a zip or one by one."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from localaws.codebuild.specification import Artifacts


class ArtifactsError(Exception):
    """Nothing matches, or the place is not known; the message is CodeBuild's."""


def matching(root: Path, artifacts: Artifacts) -> Iterator[tuple[str, Path]]:
    """Yield (name in the artifact, file) for what the buildspec lists.

    Raises
    ------
    ArtifactsError
        No base directory or no file matches.
    """
    bases = sorted(root.glob(artifacts.base_directory)) if artifacts.base_directory else [root]
    bases = [base for base in bases if base.is_dir()]
    if not bases:
        raise ArtifactsError(f"no matching base directory path found for {artifacts.base_directory}")
    seen: set[str] = set()
    for base in bases:
        for pattern in artifacts.files:
            relative = pattern.removeprefix(f"{base}/") if pattern.startswith("/") else pattern
            for file in sorted(base.glob(relative if relative != "**" else "**/*")):
                inside = file.relative_to(base).as_posix()
                excluded = any(fnmatchcase(inside, skipped) for skipped in artifacts.exclude_paths)
                name = file.name if artifacts.discard_paths else inside
                if file.is_file() and not excluded and name not in seen:
                    seen.add(name)
                    yield name, file
    if not seen:
        raise ArtifactsError("no matching artifact paths found")


def prefix(destination: Mapping[str, Any], project: str, build: str, name: str | None) -> str:
    """Return the object key of an artifact, without the `.zip` or the files.

    `path`, then the build id when `namespaceType` is BUILD_ID, then the name.
    """
    chosen = name if name and destination.get("overrideArtifactName") else destination.get("name") or project
    parts = [
        str(destination.get("path") or "").strip("/"),
        build if destination.get("namespaceType") == "BUILD_ID" else "",
        "" if chosen == "/" else chosen.strip("/"),
    ]
    return str(PurePosixPath(*[part for part in parts if part])) if any(parts) else ""


def upload(
    s3: Any,
    destination: Mapping[str, Any],
    key: str,
    files: Iterator[tuple[str, Path]],
    encryption_key: str | None = None,
) -> str:
    """Store an artifact and return its ARN. An artifact of a pipeline is encrypted with the key, if any."""
    bucket = str(destination["location"]).removeprefix("arn:aws:s3:::")
    if destination.get("packaging", "NONE") == "ZIP":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in files:
                archive.write(file, name)
        encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": encryption_key}
            if encryption_key and destination["type"] == "CODEPIPELINE"
            else {}
        )
        s3.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue(), **encryption)
    else:
        for name, file in files:
            s3.upload_file(str(file), bucket, f"{key}/{name}" if key else name)
    return f"arn:aws:s3:::{bucket}/{key}"
