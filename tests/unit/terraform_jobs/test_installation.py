"""Which terraform is used, and what a download must be."""

import hashlib
import io
import json
import platform
import zipfile
from pathlib import Path

import pytest
from terraform_jobs import installation
from terraform_jobs.errors import ProvisionFailed

from .conftest import Build


def release(content: str) -> bytes:
    """A zip with a program in it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("terraform", content)
    return archive.getvalue()


@pytest.fixture
def no_terraform(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without terraform."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


NAME = f"terraform_{installation.PINNED}_linux_amd64.zip"
WORKING = '#!/bin/sh\necho \'{"terraform_version": "1.11.4"}\'\n'


def test_new_enough_program_on_path_is_used(build: Build, tmp_path: Path) -> None:
    assert installation.install(tmp_path / "install") == build.home / "bin" / "terraform"


@pytest.mark.parametrize("version", ["1.10.5", "0.12.31", "2.0.0"])
def test_program_of_another_time_is_passed_over(build: Build, tmp_path: Path, version: str) -> None:
    # Given
    build.script(version=version)
    # When
    found = installation.find(tmp_path / "install")
    # Then
    assert found is None


@pytest.mark.usefixtures("no_terraform")
def test_download_with_the_published_checksum_is_installed_once(tmp_path: Path) -> None:
    # Given
    archive = release(WORKING)
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        if url.endswith("SHA256SUMS"):
            return f"{hashlib.sha256(archive).hexdigest()}  {NAME}\n".encode()
        return archive

    # When
    program = installation.install(tmp_path, fetch)
    again = installation.install(tmp_path, fetch)
    # Then
    assert program == again == tmp_path / "terraform"
    assert [url.rsplit("/", 1)[1] for url in asked] == [
        f"terraform_{installation.PINNED}_SHA256SUMS",
        NAME,
    ]
    assert all(url.startswith("https://releases.hashicorp.com/") for url in asked)


@pytest.mark.usefixtures("no_terraform")
@pytest.mark.parametrize("sums", [f"{'0' * 64}  {NAME}\n", f"{'0' * 64}  another.zip\n"])
def test_download_that_hashicorp_did_not_publish_is_not_installed(tmp_path: Path, sums: str) -> None:
    # When
    with pytest.raises(ProvisionFailed, match="SHA-256"):
        installation.install(
            tmp_path, lambda url: sums.encode() if url.endswith("SUMS") else release(WORKING)
        )
    # Then
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_terraform")
def test_unreachable_release_is_one_clear_error(tmp_path: Path) -> None:
    def fetch(url: str) -> bytes:
        raise OSError("no route")

    with pytest.raises(ProvisionFailed, match=r"cannot be downloaded .* no route"):
        installation.install(tmp_path, fetch)


def test_version_that_is_not_json_is_no_version(tmp_path: Path) -> None:
    # Given
    program = tmp_path / "terraform"
    program.write_text("#!/bin/sh\necho " + json.dumps("hello") + "\n")
    program.chmod(0o755)
    # Then
    assert installation.version_of(program) is None
