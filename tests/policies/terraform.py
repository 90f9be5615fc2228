"""checkov over the whole of `terraform/`: the root, and every module as the root calls it.

Each of these ways, because each sees what the others miss:

* with the defaults of the variables, and with `everything.tfvars`: what only some environments have;
* with the modules connected, and with each on its own, what others give it taken as known. When modules
  need each other, checkov does not find out the values of their variables, and says nothing of a rule whose
  value it does not know; when they are apart, it does not see what belongs together (the rules CKV2);
* as it is written, and with the skips taken away: a skip that then skips nothing is a fault.
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

# module.database, module.api[0].url, module.media[var.generations.media.active].bucket, module.web[*].name
_OF_A_MODULE = re.compile(r"(?<![.\w])module(\.\w+|\[(?:[^\[\]]|\[[^\[\]]*\])*\])+")
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


@dataclass(frozen=True)
class Way:
    """One way to look at `terraform/`; a tree of files is needed for each pair of the first two."""

    skips: bool
    connected: bool
    values: Path | None

    def tree(self, directory: Path) -> Path:
        """Return where the copy is."""
        return directory / f"{'written' if self.skips else 'bare'}-{'whole' if self.connected else 'apart'}"


WAYS = [
    Way(skips, connected, values)
    for skips in (True, False)
    for connected in (True, False)
    for values in (None, EVERYTHING)
]


def examine(pool: Executor) -> Examination:
    """Run checkov and compare what it finds with what was accepted.

    Raises
    ------
    SystemExit
        checkov is not installed, crashed, or could not read a file.
    """
    with tempfile.TemporaryDirectory(prefix="policies-") as name:
        directory = Path(name)
        for way in WAYS:
            if not way.tree(directory).exists():
                copy(way.tree(directory), keep_skips=way.skips, connected=way.connected)
        runs = [(way, pool.submit(run, way.tree(directory), way)) for way in WAYS]
        results = [(way, future.result()) for way, future in runs]
    passed = {
        (check["check_id"], _without_index(check["resource"]))
        for way, result in results
        for check in result["passed_checks"]
        if way.skips
    }
    found = [block for way, result in results for block in blocks(result) if not way.skips]
    left = [block for way, result in results for block in blocks(result) if way.skips]
    return Examination(
        "checkov over terraform/",
        f"{len(passed)} passed on {len({resource for _, resource in passed})} resources",
        [
            finding(block)
            for block in {(block.file, block.first, block.rule): block for block in left}.values()
        ],
        acceptances(skips(SOURCE), found),
    )


def copy(target: Path, *, keep_skips: bool, connected: bool) -> None:
    """Copy `terraform/` without its tests, line by line.

    On request every skip becomes an ordinary comment, and what one module gives another a known text.
    """
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("tests", ".terraform*", "*.tfstate*"))
    for file in target.rglob("*.tf"):
        text = file.read_text()
        if not keep_skips:
            text = text.replace("checkov:skip=", "checkov:taken-away=")
        if not connected:
            text = _OF_A_MODULE.sub('"known"', text)
        file.write_text(text)


def run(tree: Path, way: Way) -> dict[str, Any]:
    """Run checkov over a tree; return its results: lists of passed, failed and skipped checks."""
    if not CHECKOV.exists():
        raise SystemExit(f"{CHECKOV.relative_to(ROOT)} is missing: start this with `make policies`")
    command = [
        *(str(CHECKOV), "--directory", str(tree), "--framework", "terraform"),
        *("--skip-download", "--download-external-modules", "false"),
        *("--output", "json", "--compact", "--soft-fail"),
        *(("--var-file", str(way.values)) if way.values else ()),
        *(() if way.connected else ("--skip-check", "CKV2_*")),
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
            _without_index(check["resource"]),
            check["check_id"],
            check["check_name"],
        )
        for check in results["failed_checks"]
    ]


def _without_index(resource: str) -> str:
    return re.sub(r"\[[^\[\]]*\]", "", resource)


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
