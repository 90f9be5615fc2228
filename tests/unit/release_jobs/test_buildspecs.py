"""The buildspecs of a release: what they run exists, and is bash."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from release_jobs.command_line import parser

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("api-image", "web", "web-release")
every_buildspec = pytest.mark.parametrize("name", NAMES)


def buildspec(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "codebuild" / f"{name}.buildspec.yml").read_text())
    return document


def commands(name: str) -> list[str]:
    return [command for phase in buildspec(name)["phases"].values() for command in phase["commands"]]


@every_buildspec
def test_every_command_is_bash(name: str) -> None:
    for command in commands(name):
        checked = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, f"{command}\n{checked.stderr}"


@every_buildspec
def test_a_phase_that_fails_ends_the_build(name: str) -> None:
    assert {phase["on-failure"] for phase in buildspec(name)["phases"].values()} == {"ABORT"}


@every_buildspec
def test_every_job_is_called_as_its_command_line_wants_it(name: str) -> None:
    # Given the calls of our jobs
    calls = [
        call
        for command in commands(name)
        for call in re.findall(r"python3 -m release_jobs ([^|;&]+)", command)
    ]
    assert bool(calls) == (name != "web")
    for call in calls:
        # When variables stand for themselves, then the parser takes every argument
        words = [word.strip('"') for word in call.replace("$CONTAINER_PORT", "8000").split()]
        assert parser().parse_args(words).job in ("image-exists", "describe", "release-web")


@every_buildspec
def test_every_variable_is_given_by_the_project_the_pipeline_or_codebuild(name: str) -> None:
    # Given what Terraform gives the project
    builds = (ROOT / "terraform" / "modules" / "delivery" / "builds.tf").read_text()
    given = set(re.findall(r"^\s+([A-Z][A-Z_]+)\s+=", builds, re.MULTILINE))
    # When a command uses a variable
    used = {found for command in commands(name) for found in re.findall(r"\$\{?([A-Z][A-Za-z_]+)", command)}
    # Then somebody gives it: the pipeline COMMIT and the artifacts' directories
    known = given | {"COMMIT", "CODEBUILD_BUILD_ID", "PYTHONPATH"}
    assert {each for each in used if not each.startswith("CODEBUILD_SRC_DIR")} <= known
    artifacts = {"CODEBUILD_SRC_DIR", *(f"CODEBUILD_SRC_DIR_{each}" for each in ("Api", "Web", "WebBuild"))}
    assert {each for each in used if each.startswith("CODEBUILD_SRC_DIR")} <= artifacts
