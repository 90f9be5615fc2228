"""The layer with the libraries of the steps, installed for the functions' runtime and architecture.

The versions are those of `requirements.txt`. What is installed is kept below `build/` under a hash of
everything that decides it, so that the next synthesis needs neither time nor network. boto3 and what it
brings are left out: the Lambda runtime has them, and they would be nine tenths of the layer.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

IN_THE_RUNTIME = frozenset({"boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six"})
"""Distributions of the Lambda runtime that pip would install as dependencies; jmespath is Powertools' own."""

PLATFORMS = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}


class LayerError(Exception):
    """The libraries could not be installed; the message says why and what to do."""


@dataclass(frozen=True)
class LayerContents:
    """A directory that a layer is made of, and the hash that stands for it."""

    directory: Path
    digest: str


def layer_contents(root: Path, *, python: str, architecture: str) -> LayerContents:
    """Install the libraries of `lambdas/requirements.in`, unless they are there already.

    Parameters
    ----------
    root : Path
        The project.
    python : str
        Version of the runtime, for example `3.13`.
    architecture : str
        `x86_64` or `arm64`.

    Raises
    ------
    LayerError
        pip could not find or fetch them.
    """
    wanted, locked = root / "lambdas" / "requirements.in", root / "requirements.txt"
    digest = hashlib.sha256()
    for part in (wanted.read_bytes(), locked.read_bytes(), Path(__file__).read_bytes()):
        digest.update(hashlib.sha256(part).digest())
    digest.update(f"{python} {architecture}".encode())
    contents = LayerContents(root / "build" / f"layer-{digest.hexdigest()[:16]}", digest.hexdigest())
    if not contents.directory.is_dir():
        contents.directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=contents.directory.parent, prefix="layer-") as unfinished:
            target = Path(unfinished, "layer", "python")
            _install(wanted, locked, target, python, PLATFORMS[architecture])
            _leave_out_the_runtimes_own(target)
            _put_in_place(target.parent, contents.directory)
    return contents


def _install(wanted: Path, locked: Path, target: Path, python: str, platform: str) -> None:
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--requirement", str(wanted), "--constraint", str(locked)),
        *("--target", str(target), "--no-compile", "--only-binary=:all:"),
        *("--platform", platform, "--implementation", "cp", "--python-version", python),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise LayerError(
            f"The libraries of the steps could not be installed for Python {python} on {platform}:\n"
            f"{_errors(finished.stderr)}\n"
            "Check the network and the package index; to see all of it: " + " ".join(command)
        )


def _errors(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    return "\n".join(f"  {line}" for line in lines or output.splitlines()[-5:])


def _leave_out_the_runtimes_own(target: Path) -> None:
    for distribution in list(distributions(path=[str(target)])):
        if distribution.name.lower() in IN_THE_RUNTIME:
            _remove(distribution, target)
    # Console scripts name the interpreter of this machine, and nobody runs them.
    shutil.rmtree(target / "bin", ignore_errors=True)


def _remove(distribution: Distribution, target: Path) -> None:
    for file in distribution.files or []:
        path = target / file
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == target or not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()


def _put_in_place(finished: Path, directory: Path) -> None:
    try:
        finished.rename(directory)
    except OSError:
        if not directory.is_dir():  # another synthesis was faster: the same contents
            raise
