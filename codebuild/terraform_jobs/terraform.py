"""Running the `terraform` program: its output streamed, its errors kept, a stop passed on once."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from terraform_jobs.errors import ProvisionFailed, failure_of

LOCK_TIMEOUT = "10m"
"""How long a command waits for another run's state lock."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

PROGRESS = re.compile(
    r"^\S.*: (Refreshing state\.\.\.|Reading\.\.\.|Still reading\.\.\.|Read complete after |Preparing import)"
    r"|^(Acquiring|Releasing) state lock\. This may take"
)
FOOTER = re.compile(r"\n─+\n+Saved the plan to:")


@dataclass(frozen=True)
class Scope:
    """What a plan is about, when it is not everything.

    Attributes
    ----------
    destroy
        Delete instead of making.
    targets, replace
        Addresses: only these and what they depend on; make these anew.
    """

    destroy: bool = False
    targets: Sequence[str] = ()
    replace: Sequence[str] = ()

    def options(self) -> list[str]:
        """Return the options of `terraform plan`."""
        return [
            *(["-destroy"] if self.destroy else []),
            *(f"-target={address}" for address in self.targets),
            *(f"-replace={address}" for address in self.replace),
        ]


class Stopped(Exception):  # noqa: N818 - not an error of ours
    """Somebody stopped the build, or its time was up."""


@contextmanager
def stop_signals_raise() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`, once: a second signal does not disturb the clean end."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    before = {each: signal.signal(each, stop) for each in STOP_SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def stop_signals_wait() -> Iterator[None]:
    """Hold stop signals back while something must not be cut in half; the first one is raised afterwards."""
    arrived: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _frame: arrived.append(number)) for each in STOP_SIGNALS
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if arrived:
            signal.raise_signal(arrived[0])


class Terraform:
    """A root module and the program that applies it.

    Parameters
    ----------
    program
        Path of `terraform`.
    directory
        The root module.
    """

    def __init__(self, program: Path, directory: Path) -> None:
        self.program = program
        self.directory = directory

    def initialise(self, backend: Path) -> None:
        """Install providers exactly as locked; connect to the state by a file of backend values."""
        self._stream(
            "init", "-input=false", "-lockfile=readonly", "-reconfigure", f"-backend-config={backend}"
        )

    def select_workspace(self, name: str) -> None:
        """Select the workspace; create it when it is missing."""
        self._stream("workspace", "select", "-or-create=true", name)

    def plan(self, plan: Path, variable_files: Sequence[Path], scope: Scope) -> tuple[bool, str]:
        """Write a plan.

        Returns
        -------
        bool
            Whether it would change anything.
        str
            The plan as a person reads it: what Terraform said while it planned. Asking for it afterwards
            (`terraform show`) would load the providers once more.
        """
        files = [f"-var-file={file}" for file in variable_files]
        code, said = self._stream(
            "plan", "-input=false", f"-lock-timeout={LOCK_TIMEOUT}", "-detailed-exitcode", f"-out={plan}",
            *files, *scope.options(), accept=(0, 2),
        )  # fmt: skip
        return code == 2, readable(said)

    def apply(self, plan: Path) -> None:
        """Apply a plan, exactly."""
        self._stream("apply", "-input=false", f"-lock-timeout={LOCK_TIMEOUT}", str(plan))

    def show_json(self, plan: Path) -> Any:
        """Return the plan as a document."""
        return json.loads(self._capture("show", "-json", str(plan)))

    def state(self) -> Any:
        """Return the state as a document; empty when there is none yet."""
        return json.loads(self._capture("state", "pull") or "{}")

    def _command(self, arguments: Sequence[str]) -> list[str]:
        command, *rest = arguments
        if command in ("workspace", "state"):  # their flags come after the subcommand
            return [str(self.program), f"-chdir={self.directory}", *arguments]
        return [str(self.program), f"-chdir={self.directory}", command, "-no-color", *rest]

    def _capture(self, *arguments: str) -> str:
        """Run a command that only reads, return its standard output."""
        done = subprocess.run(self._command(arguments), capture_output=True, text=True, check=False)
        if done.returncode:
            raise failure_of(f"terraform {arguments[0]}", done.stderr)
        return done.stdout

    def _stream(self, *arguments: str, accept: Sequence[int] = (0,)) -> tuple[int, str]:
        """Run a command whose output goes to the log as it comes; return exit code and standard output."""
        name = f"terraform {arguments[0]}"
        said: list[str] = []
        complained: list[str] = []
        readers: list[threading.Thread] = []
        process: subprocess.Popen[str] | None = None
        try:
            # A program that was started and that nobody knows would go on by itself.
            with stop_signals_wait():
                # A session of its own: Terraform ends cleanly on the first stop signal and lets go of
                # everything, state included, on the second. So it gets exactly one, from us.
                process = subprocess.Popen(
                    self._command(arguments),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                readers += _reading(
                    (process.stdout, sys.stdout, said), (process.stderr, sys.stderr, complained)
                )
            code = process.wait()
        except Stopped as stopped:
            if process:
                process.send_signal(signal.SIGINT)
                process.wait()
            raise ProvisionFailed(
                f"{name} was stopped ({stopped}): somebody stopped the build, or its time was up. "
                "Terraform ended cleanly and the state says what it had done.",
                "Start the run again.",
            ) from stopped
        finally:
            for reader in readers:
                reader.join()
        if code not in accept:
            raise failure_of(name, "".join(complained))
        return code, "".join(said)


def readable(said: str) -> str:
    """Return what `terraform plan` said without its progress and without what to type next."""
    kept = [line for line in said.splitlines() if not PROGRESS.search(line)]
    return FOOTER.split("\n".join(kept), maxsplit=1)[0].strip() + "\n"


def _reading(*streams: tuple[IO[str] | None, IO[str], list[str]]) -> list[threading.Thread]:
    """Start to pass streams on: from where, to which log, and remembered in which list."""
    readers = [threading.Thread(target=_echo, args=each) for each in streams]
    for reader in readers:
        reader.start()
    return readers


def _echo(stream: IO[str], log: IO[str], said: list[str]) -> None:
    """Pass lines on to the log and remember them."""
    for line in stream:
        log.write(line)
        log.flush()
        said.append(line)
