"""The `terraform` program: one version and no other, which `terraform-version.json` names.

It is the one on PATH when that has the version, otherwise the release, checked against the SHA-256 sum that
is pinned beside the version. The archive is kept, and checked again when it is used again. The sum is pinned
rather than fetched: a sum that comes from where the release comes from proves nothing when somebody changes
what is there.

Another version: change it and both sums, from `terraform_<version>_SHA256SUMS` beside the release, after its
signature was checked: https://developer.hashicorp.com/terraform/tutorials/cli/verify-archive
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from terraform_jobs.errors import ProvisionFailed

VERSION_FILE = Path(__file__).resolve().parents[1] / "terraform-version.json"
RELEASES = "https://releases.hashicorp.com/terraform"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
DOWNLOAD_TIMEOUT = 60
"""Seconds."""

Fetch = Callable[[str], bytes]


class Pinned(BaseModel):
    """`terraform-version.json`: the version, and the SHA-256 sum of its release for each platform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    sha256: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in self.version.split("."))


@retry(
    retry=retry_if_exception_type(URLError),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=1, max=10),
    reraise=True,
)
def fetch(url: str) -> bytes:
    """Download, with a few retries."""
    with urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response:  # noqa: S310 - RELEASES is https
        body: bytes = response.read()
        return body


def read_pinned(file: Path = VERSION_FILE) -> Pinned:
    """Return which version is used.

    Raises
    ------
    ProvisionFailed
        The file is missing or says something else.
    """
    try:
        return Pinned.model_validate_json(file.read_text())
    except (OSError, ValidationError) as error:
        raise ProvisionFailed(
            f"{file.name} does not say which Terraform is used: {error}.",
            'It holds {"version": "…", "sha256": {"linux_amd64": "…", "linux_arm64": "…"}}.',
        ) from error


def version_of(program: Path) -> tuple[int, ...] | None:
    """Return the version of a `terraform` program, None when it does not say."""
    done = subprocess.run([str(program), "version", "-json"], capture_output=True, text=True, check=False)
    try:
        text = json.loads(done.stdout)["terraform_version"]
        return tuple(int(part) for part in text.split("-")[0].split("."))
    except (ValueError, KeyError):
        return None


def find(directory: Path, pinned: Pinned) -> Path | None:
    """Return a program of the pinned version: on PATH, or installed earlier into `directory`."""
    candidates = (shutil.which("terraform"), shutil.which("terraform", path=str(directory)))
    for program in candidates:
        if program and version_of(Path(program)) == pinned.numbers:
            return Path(program)
    return None


def install(directory: Path, fetch: Fetch = fetch, version_file: Path = VERSION_FILE) -> Path:
    """Return a program of the pinned version; download it into `directory` when there is none.

    Raises
    ------
    ProvisionFailed
        The release cannot be downloaded, or is not the one that was pinned.
    """
    pinned = read_pinned(version_file)
    return find(directory, pinned) or _unpacked(directory, fetch, pinned)


def _unpacked(directory: Path, fetch: Fetch, pinned: Pinned) -> Path:
    machine = platform.machine().lower()
    target = f"linux_{ARCHITECTURES.get(machine, machine)}"
    expected = pinned.sha256.get(target)
    if expected is None:
        raise ProvisionFailed(
            f"There is no pinned Terraform for a {machine} machine.",
            f"Put Terraform {pinned.version} on PATH, or its sum into {VERSION_FILE.name}.",
        )
    packed = directory / f"terraform_{pinned.version}_{target}.zip"
    if not packed.exists() or _sum(packed.read_bytes()) != expected:
        archive = _fetched(packed.name, fetch, pinned, expected)
        directory.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(archive)
    with zipfile.ZipFile(packed) as release:
        release.extract("terraform", directory)
    program = directory / "terraform"
    program.chmod(0o755)
    if os.access(program, os.X_OK) and version_of(program) == pinned.numbers:
        return program
    raise ProvisionFailed(
        f"{program} is not Terraform {pinned.version}, or does not run on this machine.",
        "Use a Linux build image.",
    )


def _fetched(name: str, fetch: Fetch, pinned: Pinned, expected: str) -> bytes:
    """Download a release and check its sum."""
    try:
        archive = fetch(f"{RELEASES}/{pinned.version}/{name}")
    except OSError as error:
        raise ProvisionFailed(
            f"Terraform {pinned.version} cannot be downloaded from {RELEASES}: {error}.",
            f"Let the build reach it, or use a build image with Terraform {pinned.version} on PATH.",
        ) from error
    found = _sum(archive)
    if found != expected:
        raise ProvisionFailed(
            f"{name} has SHA-256 {found}, {VERSION_FILE.name} says {expected}.",
            "Either something between here and releases.hashicorp.com changes downloads: find it before you "
            "go on; or version and sum in that file do not belong together.",
        )
    return archive


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
