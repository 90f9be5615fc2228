"""checkov over the whole of `terraform/`: the root, and every module as the root calls it.

Twice: with the defaults of the variables, and with `everything.tfvars`, so that what only some environments
have is looked at too. And each of these once as it is written, and once with its skips taken away: a skip
that then skips nothing is a fault.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.policies.findings import Acceptance, Examination, Finding

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "terraform"
CHECKOV = ROOT / "build" / "policies" / "venv" / "bin" / "checkov"
EVERYTHING = Path(__file__).with_name("everything.tfvars")

_SKIP = re.compile(r"checkov:skip=\s*(?P<rule>[A-Z0-9_]+)\s*(?::(?P<reason>.*))?$")


@dataclass(frozen=True)
class Skip:
    """A comment that accepts a finding: file below `terraform/`, line from 1."""

    file: str
    line: int
    rule: str
    reason: str


@dataclass(frozen=True)
class Block:
    """What checkov found in a block of Terraform: file below `terraform/`, first and last line."""

    file: str
    first: int
    last: int
    resource: str
    rule: str
    says: str

    def holds(self, skip: Skip) -> bool:
        """Say whether a comment stands in this block and names this rule."""
        return (skip.file, skip.rule) == (self.file, self.rule) and self.first <= skip.line <= self.last


def examine(pool: Executor) -> Examination:
    """Run checkov and compare what it finds with what was accepted.

    Raises
    ------
    SystemExit
        checkov is not installed, crashed, or could not read a file.
    """
    with tempfile.TemporaryDirectory(prefix="policies-") as directory:
        written, bare = Path(directory, "written"), Path(directory, "bare")
        copy(written, keep_skips=True)
        copy(bare, keep_skips=False)
        runs = {
            (tree, values): pool.submit(run, tree, values)
            for tree in (written, bare)
            for values in (None, EVERYTHING)
        }
        results = {key: future.result() for key, future in runs.items()}
    passed = {
        (check["check_id"], check["resource"])
        for (tree, _), result in results.items()
        for check in result["passed_checks"]
        if tree == written
    }
    found = [block for (tree, _), result in results.items() if tree == bare for block in blocks(result)]
    left = [block for (tree, _), result in results.items() if tree == written for block in blocks(result)]
    return Examination(
        "checkov over terraform/",
        f"{len(passed)} passed on {len({resource for _, resource in passed})} resources",
        [finding(block) for block in left],
        acceptances(skips(SOURCE), found),
    )


def copy(target: Path, *, keep_skips: bool) -> None:
    """Copy `terraform/` without its tests, on request with every skip made an ordinary comment."""
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("tests", ".terraform*", "*.tfstate*"))
    if not keep_skips:
        for file in target.rglob("*.tf"):
            file.write_text(file.read_text().replace("checkov:skip=", "checkov:taken-away="))


def run(tree: Path, values: Path | None) -> dict[str, Any]:
    """Run checkov over a tree; return its results: lists of passed, failed and skipped checks."""
    if not CHECKOV.exists():
        raise SystemExit(f"{CHECKOV.relative_to(ROOT)} is missing: start this with `make policies`")
    command = [
        *(str(CHECKOV), "--directory", str(tree), "--framework", "terraform"),
        *("--skip-download", "--download-external-modules", "false"),
        *("--output", "json", "--compact", "--soft-fail"),
        *(("--var-file", str(values)) if values else ()),
    ]
    # Nothing of the person's own: no configuration file, no key of checkov's platform, no account.
    own = ("CKV_", "CHECKOV_", "BC_", "PRISMA_", "AWS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        command, cwd=tree, env=environment, text=True, capture_output=True, check=False, timeout=300
    )
    try:
        answer = json.loads(done.stdout)
        results: dict[str, Any] = answer["results"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit(
            f"checkov gave no results (exit code {done.returncode}):\n{done.stdout}{done.stderr}"
        ) from None
    if results["parsing_errors"]:
        listed = "\n".join(f"  {file}" for file in results["parsing_errors"])
        raise SystemExit(f"checkov cannot read, and so does not check:\n{listed}")
    return results


def blocks(results: Mapping[str, Any]) -> list[Block]:
    """Return what failed."""
    return [
        Block(
            check["file_path"].lstrip("/"),
            *check["file_line_range"],
            check["resource"],
            check["check_id"],
            check["check_name"],
        )
        for check in results["failed_checks"]
    ]


def finding(block: Block) -> Finding:
    """Say where a finding is and how it is closed."""
    return Finding(
        f"terraform/{block.file}:{block.first}",
        block.rule,
        f"{block.resource}: {block.says}",
        f"Fix it, or write inside the block: #checkov:skip={block.rule}:<why it is right here>",
    )


def skips(source: Path) -> list[Skip]:
    """Return every skip that is written below a folder, wherever it stands."""
    return [
        Skip(str(file.relative_to(source)), number, match["rule"], (match["reason"] or "").strip())
        for file in sorted(source.rglob("*.tf"))
        if "tests" not in file.relative_to(source).parts and ".terraform" not in file.parts
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if (match := _SKIP.search(line))
    ]


def acceptances(written: Iterable[Skip], found: Iterable[Block]) -> list[Acceptance]:
    """Say of each skip whether something is found without it."""
    listed = list(found)
    return [
        Acceptance(
            f"terraform/{skip.file}:{skip.line}",
            skip.rule,
            skip.reason,
            any(block.holds(skip) for block in listed),
        )
        for skip in written
    ]
