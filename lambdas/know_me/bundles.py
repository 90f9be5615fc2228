"""Bundles of the infrastructure: zips below `bundles/` of the artifacts bucket, checked before they run."""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, Field

PREFIX = "bundles/"

LARGEST_BUNDLE_BYTES = 50 * 1024**2
LARGEST_CONTENT_BYTES = 256 * 1024**2
MOST_FILES = 20_000
MOST_FAULTS = 20

BUILDSPEC = "codebuild/terraform.buildspec.yml"


class S3Object(BaseModel):
    """An object as an event of S3 names it; EventBridge's has the key as it is, not encoded."""

    key: Annotated[str, Field(min_length=1)]
    version_id: Annotated[str, Field(alias="version-id", min_length=1)]
    size: int = 0


class BundleLocation(BaseModel):
    """A version of a bundle, as `provision` takes it."""

    key: str
    version_id: str


def faults_of_location(key: str, size: int) -> list[str]:
    """Return what can be said against a bundle before it is read."""
    faults = []
    if not key.startswith(PREFIX) or not key.endswith(".zip"):
        faults.append(f"its key is not of the form {PREFIX}….zip")
    if quote(key, safe="/") != key:
        faults.append("its key has other characters than letters, digits, dots, hyphens and underscores")
    if size > LARGEST_BUNDLE_BYTES:
        faults.append(f"it has {size:,} bytes; at most {LARGEST_BUNDLE_BYTES:,} are read")
    return faults


def faults_of_bundle(content: bytes) -> list[str]:
    """Return everything that is wrong with a bundle, the first twenty faults.

    Sizes are those that the zip declares; no more than that is ever unpacked.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        return [f"it is no zip: {error}"]
    with archive:
        entries = archive.infolist()
        faults = [
            *_faults_of_size(entries),
            *_faults_of_names(entries),
            *_faults_of_contents({entry.filename for entry in entries}),
        ]
        if not faults:
            faults += _faults_of_data(archive)
    return faults[:MOST_FAULTS]


def _faults_of_size(entries: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    if len(entries) > MOST_FILES:
        yield f"it has {len(entries):,} files; at most {MOST_FILES:,} are taken"
    size = sum(entry.file_size for entry in entries)
    if size > LARGEST_CONTENT_BYTES:
        yield f"its files have {size:,} bytes; at most {LARGEST_CONTENT_BYTES:,} are taken"


def _faults_of_names(entries: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    seen: set[str] = set()
    for entry in entries:
        # What `zipfile` corrects on reading, another program may not.
        name = entry.orig_filename
        shown = name[:120].encode("unicode_escape").decode()
        if not _stays_inside(name):
            yield f"{shown}: it would be unpacked outside of the bundle"
        if name in seen:
            yield f"{shown}: it is there twice"
        seen.add(name)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            yield f"{shown}: it is neither a file nor a folder"
        if entry.flag_bits & 1:
            yield f"{shown}: it is encrypted"


def _stays_inside(name: str) -> bool:
    """Whether a name is that of a file below the folder into which it is unpacked, on any system."""
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and not {"\\", "\0", ":"} & {*name}


def _faults_of_contents(names: set[str]) -> Iterator[str]:
    if not any(
        name.startswith("terraform/") and name.count("/") == 1 and name.endswith(".tf") for name in names
    ):
        yield "it has no terraform/*.tf"
    if BUILDSPEC not in names:
        yield f"it has no {BUILDSPEC}"


def _faults_of_data(archive: zipfile.ZipFile) -> Iterator[str]:
    try:
        broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        yield f"it cannot be unpacked: {error}"
        return
    if broken is not None:
        yield f"{broken}: it is damaged"


def refusal(environment: str, bundle: str, faults: Sequence[str]) -> tuple[str, str]:
    """Return subject and text of the message that says why a bundle is not provisioned."""
    lines = [
        f"The bundle {bundle} is not provisioned in {environment}; nothing was started:",
        "",
        *(f"- {fault}" for fault in faults),
        "",
        "A bundle is a zip with terraform/, codebuild/ and requirements.txt at its top. Put a corrected one "
        "under the same key.",
    ]
    return f"Know Me {environment}: a bundle is refused"[:100], "\n".join(lines)
