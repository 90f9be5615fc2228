"""Validate and test each Terraform module in a copy, so that nothing is written into the source tree."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "terraform"
INIT = ("init", "-backend=false", "-input=false", "-no-color")
CHECKS = (("validate", "-no-color"), ("test", "-no-color"))


def run(environment: Mapping[str, str], module: Path, arguments: tuple[str, ...]) -> bool:
    """Run one Terraform command in a module, print it when it tests or fails, return whether it succeeded."""
    command = ["terraform", *arguments]
    done = subprocess.run(command, cwd=module, env=environment, text=True, capture_output=True, check=False)
    if arguments[0] == "test" or done.returncode:
        print(f"{module.name}: {' '.join(command)}\n{done.stdout}{done.stderr}", flush=True)
    return done.returncode == 0


def check(environment: Mapping[str, str], module: Path) -> bool:
    """Validate and test a module, return whether both succeeded.

    A module that is handed a provider under another name is valid only with a caller that hands it over: it
    is validated with the root.
    """
    checks = CHECKS[1:] if "configuration_aliases" in (module / "versions.tf").read_text() else CHECKS
    return all(run(environment, module, arguments) for arguments in checks)


def main() -> int:
    """Check the root and every module that carries tests; return 1 when one fails."""
    with tempfile.TemporaryDirectory(prefix="terraform-test-") as directory:
        root = Path(directory) / "terraform"
        shutil.copytree(
            SOURCE, root, symlinks=True, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*")
        )
        plugins = Path(directory) / "plugins"
        plugins.mkdir()
        environment = {
            **os.environ,
            "TF_PLUGIN_CACHE_DIR": str(plugins),
            "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        modules = [root, *sorted({file.parents[1] for file in root.glob("modules/*/tests/*.tftest.hcl")})]
        # One after the other: Terraform's plugin cache is not made for two at once.
        failed = [module.name for module in modules if not run(environment, module, INIT)]
        if not failed:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                passed = pool.map(partial(check, environment), modules)
                failed = [module.name for module, good in zip(modules, passed, strict=True) if not good]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
