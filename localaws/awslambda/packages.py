"""What a function finds on disk: AWS's runtime, its layers and its own code, and nothing of ours."""

import fcntl
import hashlib
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from localaws.codebuild.source import unpack

PROVIDED = ("awslambdaric", "boto3")
"""Distributions that AWS's Python runtime brings; their requirements come along."""

INTERPRETER = f"python{sys.version_info.major}.{sys.version_info.minor}"


def prepare_runtime(directory: Path) -> Path:
    """Link the runtime's distributions, and only those, into a directory (once); return it."""
    target = directory / "var-runtime"
    if not target.exists():
        target.mkdir(parents=True)
        for name in sorted(_with_requirements(PROVIDED)):
            distribution = importlib.metadata.distribution(name)
            tops = {file.parts[0] for file in distribution.files or []}
            for top in tops - {"..", "__pycache__"}:
                source = Path(str(distribution.locate_file(top)))
                link = target / top
                if source.exists() and not link.exists():
                    link.symlink_to(source)
    return target


def _with_requirements(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # optional on this platform
        found.add(name)
        for requirement in requirements:
            if "extra ==" not in requirement:
                waiting.append(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])
    return found


class Packages:
    """Unpacks code and layers, each content once.

    Parameters
    ----------
    directory:
        Where to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def task(self, archive: bytes) -> Path:
        """Return the directory of a function's code: LAMBDA_TASK_ROOT."""
        return self._unpacked("task", [archive])

    def layers(self, archives: list[bytes]) -> Path | None:
        """Return the directory that stands for /opt: the layers one over the other. None without any."""
        return self._unpacked("opt", archives) if archives else None

    def _unpacked(self, kind: str, archives: list[bytes]) -> Path:
        digest = hashlib.sha256()
        for archive in archives:
            digest.update(hashlib.sha256(archive).digest())
        target = self._directory / f"{kind}-{digest.hexdigest()[:32]}"
        with self._locked(target.name):
            if not target.exists():
                unfinished = target.with_suffix(".unfinished")
                unfinished.mkdir()
                for archive in archives:
                    unpack(archive, unfinished)
                unfinished.rename(target)
        return target

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (self._directory / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
