"""The `terraform` program: the one on PATH when it is new enough, otherwise the pinned release.

A downloaded release is checked against the checksums that HashiCorp publishes beside it.
https://developer.hashicorp.com/terraform/install
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
from urllib.error import URLError
from urllib.request import urlopen

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from terraform_jobs.errors import ProvisionFailed

PINNED = "1.11.4"
OLDEST = (1, 11, 0)
"""Write-only arguments came with 1.11."""

RELEASES = "https://releases.hashicorp.com/terraform"
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
DOWNLOAD_TIMEOUT = 60

Fetch = Callable[[str], bytes]


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


def version_of(program: Path) -> tuple[int, ...] | None:
    """Return the version of a `terraform` program, None when it does not say."""
    done = subprocess.run([str(program), "version", "-json"], capture_output=True, text=True, check=False)
    try:
        text = json.loads(done.stdout)["terraform_version"]
        return tuple(int(part) for part in text.split("-")[0].split("."))
    except (ValueError, KeyError):
        return None


def find(directory: Path) -> Path | None:
    """Return a program that is new enough: on PATH, or installed earlier into `directory`."""
    candidates = (shutil.which("terraform"), shutil.which("terraform", path=str(directory)))
    for program in candidates:
        version = version_of(Path(program)) if program else None
        if program and version and OLDEST <= version < (2,):
            return Path(program)
    return None


def install(directory: Path, fetch: Fetch = fetch) -> Path:
    """Return a program that is new enough; download the pinned release into `directory` when there is none.

    Raises
    ------
    ProvisionFailed
        The release cannot be downloaded, or is not what HashiCorp published.
    """
    return find(directory) or _download(directory, fetch)


def _download(directory: Path, fetch: Fetch) -> Path:
    machine = platform.machine().lower()
    if machine not in ARCHITECTURES:
        raise ProvisionFailed(
            f"There is no pinned Terraform for a {machine} machine.", f"Put Terraform {PINNED} on PATH."
        )
    name = f"terraform_{PINNED}_linux_{ARCHITECTURES[machine]}.zip"
    try:
        sums = fetch(f"{RELEASES}/{PINNED}/terraform_{PINNED}_SHA256SUMS").decode()
        archive = fetch(f"{RELEASES}/{PINNED}/{name}")
    except OSError as error:
        raise ProvisionFailed(
            f"Terraform {PINNED} cannot be downloaded from {RELEASES}: {error}.",
            "Let the build reach it, or use a build image with Terraform on PATH.",
        ) from error
    published = {file: checksum for checksum, file in (line.split() for line in sums.splitlines() if line)}
    expected = published.get(name)
    found = hashlib.sha256(archive).hexdigest()
    if found != expected:
        raise ProvisionFailed(
            f"{name} has SHA-256 {found}, HashiCorp published {expected}.",
            "Something between here and releases.hashicorp.com changes downloads: find it before you go on.",
        )
    directory.mkdir(parents=True, exist_ok=True)
    packed = directory / name
    packed.write_bytes(archive)
    with zipfile.ZipFile(packed) as release:
        release.extract("terraform", directory)
    packed.unlink()
    program = directory / "terraform"
    program.chmod(0o755)
    if os.access(program, os.X_OK) and version_of(program):
        return program
    raise ProvisionFailed(f"{program} does not run on this machine.", "Use a Linux build image.")
