"""What a build installs, and when it need not."""

from pathlib import Path

import install_requirements
import pytest

CONSTRAINTS = "boto3==1.2.3\n    # via -r requirements.in\npsycopg==3.3.9\npsycopg-binary==3.3.9\n"


def test_every_requirement_has_its_pinned_version() -> None:
    assert install_requirements.wanted("# jobs\nboto3\npsycopg[binary]\n", CONSTRAINTS) == {
        "boto3": "1.2.3",
        "psycopg": "3.3.9",
        "psycopg-binary": "3.3.9",
    }


def test_the_project_pins_everything_that_the_jobs_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    pinned = install_requirements.wanted(
        install_requirements.REQUIREMENTS.read_text(), install_requirements.CONSTRAINTS.read_text()
    )
    assert pinned and None not in pinned.values()
    assert install_requirements.missing(pinned.get) == []


def test_another_version_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert "boto3" in install_requirements.missing(lambda _name: "0.0.1")


def test_nothing_is_installed_when_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a machine that has exactly what is pinned
    monkeypatch.setattr(install_requirements, "missing", lambda: [])
    monkeypatch.setattr(install_requirements.subprocess, "run", lambda *_a, **_k: pytest.fail("pip was run"))
    # Then pip is not started
    assert install_requirements.main() == 0
