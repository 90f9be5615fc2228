"""cdk-nag's AwsSolutions rules over the stacks of staging and production.

Once as they are, and once with nothing acknowledged: an acknowledgement that then accepts nothing is a fault.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from tests.policies.findings import Acceptance, Examination, Finding

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ("staging", "production")
"""One whose plans may be applied unasked, and the one whose plans are always approved."""

WITHOUT = "--without-acknowledgements"
REPORT = "validation-report.json"


def examine(pool: Executor) -> Examination:
    """Synthesise twice and compare what is found with what was accepted.

    Raises
    ------
    SystemExit
        The stack cannot be synthesised.
    """
    with tempfile.TemporaryDirectory(prefix="policies-") as directory:
        written, bare = Path(directory, "written"), Path(directory, "bare")
        runs = [pool.submit(synthesise, written), pool.submit(synthesise, bare, WITHOUT)]
        assembly, without = (run.result() for run in runs)
        metadata: dict[str, Any] = {}
        resources = 0
        for environment in ENVIRONMENTS:
            stack = f"know-me-{environment}"
            metadata |= json.loads((assembly / f"{stack}.metadata.json").read_text())
            resources += len(json.loads((assembly / f"{stack}.template.json").read_text())["Resources"])
        left = violations(json.loads((assembly / REPORT).read_text()))
        found = violations(json.loads((without / REPORT).read_text()))
    return Examination(
        f"cdk-nag over the stacks of {' and '.join(ENVIRONMENTS)}",
        f"{resources} resources examined",
        [finding(*violation) for violation in left],
        acceptances(metadata, [(path, rule) for path, rule, _ in found]),
    )


def synthesise(directory: Path, *options: str) -> Path:
    """Synthesise in a process of its own; return the folder of the assembly."""
    command = [sys.executable, "-m", "tests.policies.synthesis", str(directory), *options]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise SystemExit(f"the stack cannot be synthesised:\n{done.stdout}{done.stderr}")
    return directory / "assembly"


def violations(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (path of the construct, rule, what it says) of everything that counts as found."""
    return [
        (construct["constructPath"], violation["ruleName"], violation["description"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    ]


def finding(path: str, rule: str, says: str) -> Finding:
    """Say where a finding is and how it is closed."""
    remedy = "Fix it, or beside the construct: orchestrator.permissions.acknowledge(construct, rule, why)"
    if rule.startswith("AwsSolutions-IAM5"):
        remedy = "Name the resource, or give its orchestrator.permissions.Permission the reason"
    return Finding(path, rule, says, remedy)


def acceptances(metadata: Mapping[str, Any], found: Iterable[tuple[str, str]]) -> list[Acceptance]:
    """Return what the constructs acknowledge, and whether something is found at or below them without it."""
    listed = list(found)

    def needed(path: str, rule: str) -> bool:
        return any(other == rule and f"{place}/".startswith(f"{path}/") for place, other in listed)

    return [
        Acceptance(path.lstrip("/"), rule, reason, needed(path.lstrip("/"), rule))
        for path, entries in metadata.items()
        for entry in entries
        if entry["type"] == "aws:cdk:acknowledged-rules"
        # `Annotation::AwsSolutions-S1`: who reports it, and the rule
        for rule, reason in ((name.partition("::")[2], why) for name, why in entry["data"].items())
    ]
