"""PostgreSQL's client programs.

Found (or installed) as new as the newest server, run so that they die with the job.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from job_support.errors import JobError
from job_support.progress import say

PROGRAMS = ("pg_dump", "pg_restore", "psql")
INSTALLERS = {
    "dnf": ["dnf", "install", "--assumeyes", "--quiet", "postgresql{major}"],
    "apt-get": ["apt-get", "install", "--yes", "--quiet", "postgresql-client-{major}"],
}


def directories() -> Iterator[Path]:
    """Yield where client programs may lie: PATH first, then the packages' own directories."""
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        if directory:
            yield Path(directory)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    yield from sorted(Path("/usr").glob("pgsql-*/bin"), reverse=True)


def version_of(program: Path) -> int | None:
    """Return a program's major version, None when it does not run."""
    try:
        answer = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found[1]) if found else None


def find(major: int, places: Iterator[Path]) -> tuple[Path, int] | None:
    """Return the first directory that has all programs at `major` or newer, and their version."""
    for place in places:
        if all((place / program).is_file() for program in PROGRAMS):
            version = version_of(place / "pg_dump")
            if version is not None and version >= major:
                return place, version
    return None


def install(major: int) -> bool:
    """Install the client package with the system's package manager; return whether it said yes."""
    for manager, command in INSTALLERS.items():
        if shutil.which(manager):
            arguments = [part.format(major=major) for part in command]
            say(f"Installing client tools: {' '.join(arguments)}")
            try:
                return subprocess.run(arguments, timeout=600, check=False).returncode == 0
            except (OSError, subprocess.SubprocessError) as error:
                say(f"{manager} failed: {error}")
    return False


@dataclass(frozen=True)
class ClientTools:
    """A directory with pg_dump, pg_restore and psql of one major version."""

    directory: Path
    major: int
    _running: set[subprocess.Popen[str]] = field(default_factory=set)

    @classmethod
    def at_least(cls, major: int) -> "ClientTools":
        """Find tools as new as the newest server, installing them when none are there.

        pg_dump refuses servers newer than itself, and an older pg_restore does not know a newer archive.

        Raises
        ------
        JobError
            `ClientToolsTooOld`.
        """
        found = find(major, directories())
        if found is None and install(major):
            found = find(major, directories())
        if found is None:
            raise JobError(
                "ClientToolsTooOld",
                f"The build has no pg_dump, pg_restore and psql of version {major} or newer, and could "
                f"not install them.",
                f"Use a build image that has the package postgresql{major} (or postgresql-client-{major}), "
                "or let the build reach its package repository.",
            )
        return cls(*found)

    def run(
        self,
        program: str,
        arguments: list[str],
        environment: dict[str, str],
        *,
        error_name: str,
        on_line: Callable[[str], None] = lambda _: None,
        output: Path | None = None,
    ) -> None:
        """Run a program to its end; it never outlives the job.

        Parameters
        ----------
        program, arguments
            One of `PROGRAMS` and its arguments (never a secret).
        environment
            libpq's variables; nothing else of ours is passed but PATH.
        error_name
            Name of the error when it fails.
        on_line
            Called with each line it says.
        output
            Where its standard output goes; together with its messages when absent.

        Raises
        ------
        JobError
            With its last messages as the cause.
        """
        command = [str(self.directory / program), *arguments]
        base = {"PATH": os.environ.get("PATH", ""), "LC_MESSAGES": "C", "LANG": "C.UTF-8"}
        last: list[str] = []
        with ExitStack() as stack:
            process = subprocess.Popen(
                command,
                env=base | environment,
                stdin=subprocess.DEVNULL,
                stdout=stack.enter_context(output.open("wb")) if output else subprocess.PIPE,
                stderr=subprocess.PIPE if output else subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            stack.callback(self._ended, process)
            self._running.add(process)
            for line in process.stderr or process.stdout or ():
                text = line.rstrip("\n")
                last = [*last[-11:], text]
                on_line(text)
            code = process.wait()
        if code:
            faults = [
                line for line in last if re.search(r"error|fatal|detail|hint", line, re.IGNORECASE)
            ] or last
            raise JobError(
                error_name,
                f"{program} ended with exit code {code}: {' / '.join(faults[-6:])}",
                "Read the build's log for what came before, put it right and start the run again.",
            )

    def _ended(self, process: subprocess.Popen[str]) -> None:
        end(process)
        self._running.discard(process)

    def end_all(self) -> None:
        """End every program that runs in another thread."""
        for process in list(self._running):
            end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a program and its children (pg_dump and pg_restore run one per job), kindly first."""
    for kind, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, kind)
            process.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
