"""What an image name means on a machine without containers: a command, a directory and a PATH.

True: an image that is not listed cannot be pulled. Not true: a process sees this machine's file system, not
the image's; `pip install` in a build goes where this Python's programs are.

The file (`--images`) is JSON; paths are relative to it, names are shell patterns and the first match counts:

    {"containers": {"*/know-me-api:*": {"entrypoint": [], "command": ["python", "-m", "examples.api"],
                                        "directory": ".."}},
     "builds": {"*": {"path": ["tools"], "environment": {"LANG": "C.UTF-8"}}}}
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class UnknownImageError(LookupError):
    """No entry of the images file matches: the counterpart of an image that cannot be pulled."""


class ImagesFileError(ValueError):
    """The images file is not readable; the message lists every fault."""


@dataclass(frozen=True)
class ContainerImage:
    """A container image: what ECS starts when the task definition says nothing else.

    Attributes
    ----------
    entrypoint, command:
        As in the image's configuration.
    directory:
        Working directory.
    path:
        Value of PATH.
    """

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    directory: Path
    path: str


@dataclass(frozen=True)
class BuildImage:
    """A build image: its tools and what its own environment says.

    Attributes
    ----------
    path:
        Value of PATH.
    environment:
        Variables of the image.
    """

    path: str
    environment: Mapping[str, str]


class _Container(BaseModel):
    model_config = ConfigDict(extra="forbid")
    entrypoint: list[str] = []
    command: list[str] = []
    directory: str = "."
    path: list[str] = []


class _Build(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: list[str] = []
    environment: dict[str, str] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    containers: dict[str, _Container] = {}
    builds: dict[str, _Build] = {}


def standard_path(extra: Sequence[str] = (), terraform: str | None = None) -> str:
    """Return a PATH: `extra`, this Python's programs, Terraform's directory, then the system's."""
    directories = [
        *extra,
        str(Path(sys.executable).parent),
        *([str(Path(terraform).parent)] if terraform else []),
    ]
    return os.pathsep.join(dict.fromkeys([*directories, *SYSTEM_PATH]))


class Images:
    """Looks images up.

    Parameters
    ----------
    file:
        The JSON file, or None when there is none.
    tools:
        Directories that every build image has on its PATH (PostgreSQL's client programs).
    build_environment:
        Variables that every build image has.

    Raises
    ------
    ImagesFileError
        The file cannot be read.
    """

    def __init__(
        self,
        file: Path | None = None,
        tools: Sequence[Path] = (),
        build_environment: Mapping[str, str] | None = None,
    ) -> None:
        self._file = file
        self._tools = [str(tool) for tool in tools]
        self._build_environment = dict(build_environment or {})
        self._terraform = shutil.which("terraform")
        try:
            self._entries = _File.model_validate_json(file.read_bytes()) if file else _File()
        except OSError as error:
            raise ImagesFileError(f"{file}: {error.strerror}") from error
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
            )
            raise ImagesFileError(f"{file}: {faults}") from error

    def container(self, image: str) -> ContainerImage:
        """Return what a container image runs.

        Raises
        ------
        UnknownImageError
            No pattern matches; the message names the images file.
        """
        for pattern, entry in self._entries.containers.items():
            if fnmatchcase(image, pattern):
                base = self._file.parent if self._file else Path.cwd()
                extra = [str((base / part).resolve()) for part in entry.path]
                return ContainerImage(
                    tuple(entry.entrypoint),
                    tuple(entry.command),
                    (base / entry.directory).resolve(),
                    standard_path(extra),
                )
        where = (
            f"{self._file} has no entry for it" if self._file else "the server was started without --images"
        )
        raise UnknownImageError(f"image {image} is not known here: {where}")

    def build(self, image: str) -> BuildImage:
        """Return the tools of a build image; all have Python, psql and Terraform."""
        found = next(
            (entry for pattern, entry in self._entries.builds.items() if fnmatchcase(image, pattern)),
            _Build(),
        )
        base = self._file.parent if self._file else Path.cwd()
        extra = [str((base / part).resolve()) for part in found.path]
        return BuildImage(
            standard_path([*extra, *self._tools], self._terraform),
            {**self._build_environment, **found.environment},
        )
