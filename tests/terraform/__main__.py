"""Validate and test each Terraform module in a copy, so that nothing is written into the source tree."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "terraform"


def commands(module: Path) -> list[list[str]]:
    """Return the commands that check one module, in order."""
    checks = [
        ["terraform", "init", "-backend=false", "-input=false", "-no-color"],
        ["terraform", "validate", "-no-color"],
    ]
    if any(module.rglob("*.tftest.hcl")):
        checks.append(["terraform", "test", "-no-color"])
    return checks


def main() -> int:
    """Check the root and every module that carries tests; return 1 when one fails."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="terraform-test-") as directory:
        copy = Path(directory) / "terraform"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
        plugins = Path(directory) / "plugins"
        plugins.mkdir()
        environment = {
            **os.environ,
            "TF_PLUGIN_CACHE_DIR": str(plugins),
            "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        modules = [
            copy,
            *sorted(module for module in copy.glob("modules/*") if any(module.rglob("*.tftest.hcl"))),
        ]
        for module in modules:
            for command in commands(module):
                done = subprocess.run(
                    command, cwd=module, env=environment, text=True, capture_output=True, check=False
                )
                if command[1] == "test" or done.returncode:
                    print(
                        f"{module.relative_to(copy.parent)}: {' '.join(command)}\n{done.stdout}{done.stderr}"
                    )
                if done.returncode:
                    failed.append(f"{module.name}: {command[1]}")
                    break
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
