"""Name every tool that the project needs and this machine lacks, all at once, with how to get it.

Run by the Makefile with the system's Python before anything is installed, so it uses the standard
library only: `python3 -m localaws.prerequisites`. Nothing here is simulated.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """A tool the project needs.

    Parameters
    ----------
    name:
        What a person calls it.
    command:
        Arguments that print its version; the first one is looked up on PATH.
    minimum:
        Lowest version that works, as (major, minor).
    remedy:
        How to get it, in one sentence.
    """

    name: str
    command: Sequence[str]
    minimum: tuple[int, int]
    remedy: str


TOOLS = (
    Tool(
        "Python",
        (sys.executable, "--version"),
        (3, 11),
        "install python3 (3.11 or newer) and python3-venv, for example `apt-get install python3-venv`",
    ),
    Tool(
        "Node.js",
        ("node", "--version"),
        (20, 0),
        "install Node.js 20 or newer: https://nodejs.org/en/download",
    ),
    Tool("npm", ("npm", "--version"), (9, 0), "it comes with Node.js: https://nodejs.org/en/download"),
    Tool(
        "Terraform",
        ("terraform", "version"),
        (1, 11),
        "install Terraform 1.11 or newer: https://developer.hashicorp.com/terraform/install",
    ),
)


def version_of(tool: Tool) -> tuple[int, int] | None:
    """Return the (major, minor) that the tool prints, or None when it is missing or prints no version."""
    if shutil.which(tool.command[0]) is None:
        return None
    printed = subprocess.run(tool.command, capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", printed.stdout + printed.stderr)
    return (int(found[1]), int(found[2])) if found else None


def missing(
    tools: Sequence[Tool] = TOOLS, version: Callable[[Tool], tuple[int, int] | None] = version_of
) -> list[str]:
    """Return one sentence for each tool that is absent or too old, in the order of the table."""
    sentences = []
    for tool in tools:
        found = version(tool)
        needed = ".".join(map(str, tool.minimum))
        if found is None:
            sentences.append(f"{tool.name} {needed} or newer is not installed: {tool.remedy}.")
        elif found < tool.minimum:
            have = ".".join(map(str, found))
            sentences.append(f"{tool.name} is {have}, needed is {needed} or newer: {tool.remedy}.")
    if sys.platform != "linux":
        sentences.append(
            "The local AWS gives every database and task a loopback address of its own, which works on Linux"
            " only: use a Linux machine, a virtual machine or WSL 2."
        )
    try:
        import ensurepip  # noqa: F401  (absent from Debian's python3 without python3-venv)
    except ImportError:
        sentences.append(
            "Python's venv module is incomplete: install it, for example `apt-get install python3-venv`."
        )
    return sentences


def main() -> int:
    """Print what is missing; return 0 when nothing is, 1 otherwise."""
    sentences = missing()
    for sentence in sentences:
        print(f"missing: {sentence}", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
