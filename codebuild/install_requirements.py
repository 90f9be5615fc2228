"""Install what the jobs need, unless the machine has exactly that already.

`python3 codebuild/install_requirements.py` from the root of the source bundle: the names of
`codebuild/requirements.in` at the versions of `requirements.txt`. An image that brings them starts its job
two seconds sooner, and jobs run while the app is stopped. Uses only the standard library: it runs before
anything is installed.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REQUIREMENTS = Path("codebuild/requirements.in")
CONSTRAINTS = Path("requirements.txt")


def wanted(requirements: str, constraints: str) -> dict[str, str | None]:
    """Return each required distribution with its pinned version, None when nothing pins it.

    Extras count as distributions of their own that cannot be looked up: `psycopg[binary]` asks for `psycopg`
    and, as pip names it, `psycopg-binary`.
    """
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", constraints, re.MULTILINE))
    names: list[str] = []
    for line in requirements.splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[([A-Za-z0-9,._-]+)\])?", line.strip())
        if match:
            name, extras = match.groups()
            names += [name, *(f"{name}-{extra}" for extra in (extras or "").split(",") if extra)]
    return {name: pins.get(name) for name in names}


def installed(name: str) -> str | None:
    """Return the installed version of a distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def missing(found: Callable[[str], str | None] = installed) -> list[str]:
    """Return the distributions that are not there at the pinned version."""
    pinned = wanted(REQUIREMENTS.read_text(), CONSTRAINTS.read_text())
    return [name for name, pin in pinned.items() if pin is None or found(name) != pin]


def main() -> int:
    """Install when something is missing; return pip's exit code."""
    names = missing()
    if not names:
        return 0
    sys.stdout.write(f"Installing {', '.join(names)} …\n")
    sys.stdout.flush()
    options = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    files = ["--requirement", str(REQUIREMENTS), "--constraint", str(CONSTRAINTS)]
    return subprocess.run([sys.executable, "-m", "pip", "install", *options, *files], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
