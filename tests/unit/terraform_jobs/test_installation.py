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
        file.writestr(zipfile.ZipInfo("terraform"), content)
    return archive.getvalue()


@pytest.fixture
def no_terraform(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without terraform."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


PINNED = installation.read_pinned()
NAME = f"terraform_{PINNED.version}_linux_amd64.zip"
WORKING = f'#!/bin/sh\necho \'{{"terraform_version": "{PINNED.version}"}}\'\n'


@pytest.fixture
def version_file(tmp_path: Path) -> Path:
    """Pins a release that a test made."""
    file = tmp_path / "terraform-version.json"
    checksum = hashlib.sha256(release(WORKING)).hexdigest()
    file.write_text(json.dumps({"version": PINNED.version, "sha256": {"linux_amd64": checksum}}))
    return file


def test_both_architectures_of_the_builds_are_pinned() -> None:
    assert set(PINNED.sha256) == {"linux_amd64", "linux_arm64"}


def test_program_of_that_version_on_path_is_used(build: Build, tmp_path: Path) -> None:
    assert installation.install(tmp_path / "install") == build.home / "bin" / "terraform"


@pytest.mark.parametrize("version", ["1.10.5", "1.11.3", "1.12.0", "2.0.0"])
def test_program_of_another_version_is_passed_over(build: Build, tmp_path: Path, version: str) -> None:
    # Given
    build.script(version=version)
    # When
    found = installation.find(tmp_path / "install", PINNED)
    # Then
    assert found is None


@pytest.mark.usefixtures("no_terraform")
def test_download_with_the_pinned_sum_is_installed_once(tmp_path: Path, version_file: Path) -> None:
    # Given
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return release(WORKING)

    # When
    program = installation.install(tmp_path / "install", fetch, version_file)
    again = installation.install(tmp_path / "install", fetch, version_file)
    # Then
    assert program == again == tmp_path / "install" / "terraform"
    assert asked == [f"https://releases.hashicorp.com/terraform/{PINNED.version}/{NAME}"]


@pytest.mark.usefixtures("no_terraform")
@pytest.mark.parametrize(("kept", "downloads"), [(release(WORKING), 0), (b"changed", 1)])
def test_archive_that_is_kept_is_checked_again(
    tmp_path: Path, version_file: Path, kept: bytes, downloads: int
) -> None:
    # Given an archive of an earlier build
    (tmp_path / "install").mkdir()
    (tmp_path / "install" / NAME).write_bytes(kept)
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return release(WORKING)

    # When, then one that is not the release any more is fetched again
    program = installation.install(tmp_path / "install", fetch, version_file)
    assert installation.version_of(program) == PINNED.numbers
    assert len(asked) == downloads


@pytest.mark.usefixtures("no_terraform")
def test_download_that_is_not_the_pinned_one_is_not_installed(tmp_path: Path) -> None:
    # Given the project's own pinned sums, and something else to download
    with pytest.raises(ProvisionFailed, match="SHA-256"):
        installation.install(tmp_path / "install", lambda _: release(WORKING))
    assert not (tmp_path / "install").exists()


@pytest.mark.parametrize("content", ["", "{}", '{"version": "1.11", "sha256": {}}'])
def test_version_file_that_pins_nothing_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "terraform-version.json"
    file.write_text(content)
    with pytest.raises(ProvisionFailed, match=r"terraform-version\.json does not say"):
        installation.read_pinned(file)


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
