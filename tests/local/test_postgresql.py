"""Finding PostgreSQL: what counts as usable, and what a person is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localaws import postgresql
from localaws.postgresql import Installation, PostgreSQL, PostgreSQLNotFoundError, select


def installation(
    version: str, directory: str = "/somewhere", tls: bool = True, missing: tuple[str, ...] = ()
):
    return Installation(Path(directory), version, tls, missing)


def test_the_first_usable_installation_of_a_major_counts_and_the_newest_major_is_first():
    # Given two of one major and a newer one
    found = [installation("15.3", "/a"), installation("15.18", "/b"), installation("17.10", "/c")]
    # When
    chosen = select(found)
    # Then
    assert {major: str(each.directory) for major, each in chosen.items()} == {17: "/c", 15: "/a"}
    assert list(chosen) == [17, 15]


@pytest.mark.parametrize(
    ("unusable", "reason"),
    [
        (installation("16.1", tls=False), "built without TLS"),
        (installation("16.1", missing=("pg_dump",)), "no pg_dump"),
    ],
)
def test_what_lacks_tls_or_a_program_is_not_used_and_says_so(unusable: Installation, reason: str):
    assert select([unusable]) == {}
    assert reason in str(unusable)


def test_a_directory_without_a_server_is_no_installation(tmp_path: Path):
    assert postgresql.inspect(tmp_path) is None


def test_the_explicit_variable_goes_before_everything_else(tmp_path: Path):
    # Given
    explicit, also = tmp_path / "explicit", tmp_path / "also"
    environment = {"POSTGRESQL_BINARIES": f"{explicit}{os.pathsep}{also}", "PATH": "/usr/bin"}
    # When
    found = list(postgresql.candidates(environment))
    # Then
    assert found[:2] == [explicit, also]


def test_a_major_that_is_not_installed_is_refused_with_the_remedy():
    with pytest.raises(PostgreSQLNotFoundError, match=r"PostgreSQL 8 is not installed.*POSTGRESQL_BINARIES"):
        PostgreSQL().binaries(8)


def test_nothing_found_is_exit_code_1_with_every_way_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys):
    # Given a machine without PostgreSQL
    monkeypatch.setattr(postgresql, "installations", list)
    # When
    code = postgresql.main([])
    # Then
    assert code == 1
    told = capsys.readouterr().err
    assert all(way in told for way in ("apt-get install", "pip install", "POSTGRESQL_BINARIES"))


def test_quiet_prints_nothing():
    result = subprocess.run(
        [sys.executable, "-m", "localaws.postgresql", "--quiet"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
