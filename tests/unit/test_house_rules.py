"""Rules of the house that a reader can check with grep, checked on every run."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("app.py", "cdk.json", "orchestrator", "lambdas", "statemachines", "codebuild", "terraform")
LOCAL = re.compile(r"localaws|local[ -]aws|\bmoto\b|localhost|127\.0\.0\.1|_localaws", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.>}])/(?:work|root|opt/tf-plugins|opt/pypi)/?\b")

# Who may import whom, by top-level package: everything else is a wrong arrow.
IMPORTS_ALLOWED = {
    "orchestrator": {"orchestrator"},
    "lambdas": {"know_me", "lambdas"},
    "codebuild": {"database_jobs", "job_support", "media_jobs", "release_jobs", "terraform_jobs"},
    "localaws": {"localaws"},
    "examples": {"examples"},
}
OUR_PACKAGES = {
    "orchestrator",
    "lambdas",
    "know_me",
    "codebuild",
    "database_jobs",
    "job_support",
    "media_jobs",
    "release_jobs",
    "terraform_jobs",
    "localaws",
    "examples",
    "tests",
}


def tracked(*places: str) -> Iterator[Path]:
    """Yield the files that git tracks or would track below the places."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file():
            yield path


def lines_matching(pattern: re.Pattern[str], *places: str) -> list[str]:
    """Return `file:line: text` for each line that matches."""
    found = []
    for path in tracked(*places):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def test_product_code_does_not_know_the_local_aws() -> None:
    # Given the code that runs on AWS, when it is searched for the local one, then nothing is found
    assert lines_matching(LOCAL, *PRODUCT) == []


def test_no_file_names_a_path_of_a_machine() -> None:
    this_file = Path(__file__).relative_to(ROOT).as_posix()
    found = [line for line in lines_matching(MACHINE_PATH, ".") if not line.startswith(this_file)]
    assert found == []


@pytest.mark.parametrize("place", IMPORTS_ALLOWED)
def test_imports_point_one_way(place: str) -> None:
    # Given the modules of one part
    wrong = []
    for path in tracked(place):
        if path.suffix != ".py":
            continue
        siblings = (
            {file.stem for file in path.parent.glob("*.py")} if place in ("lambdas", "codebuild") else set()
        )
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and node.module and not node.level
                else []
            )
            for name in names:
                package = name.split(".")[0]
                # When they import one of our packages, then it is one they may know
                if package in OUR_PACKAGES - IMPORTS_ALLOWED[place] and package not in siblings:
                    wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == []


def test_job_packages_do_not_know_each_other() -> None:
    packages = {"database_jobs", "media_jobs", "release_jobs", "terraform_jobs"}
    # What they share knows none of them.
    for package in (*packages, "job_support"):
        others = "|".join(sorted(packages - {package}))
        assert lines_matching(re.compile(rf"\b(?:import|from) (?:{others})\b"), f"codebuild/{package}") == []
