"""Run the tools that a person would run, without leaving anything behind."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_LAST_LINES = 25
_GRACE_SECONDS = 10


class CommandFailedError(Exception):
    """A tool ended with an exit code other than 0; the message has its last lines and where the rest is."""


def run(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path = PROJECT,
    timeout_seconds: float = 600,
) -> str:
    """Run a command in a process group of its own and return its standard output.

    Whatever ends the wait (Ctrl-C, a timeout) ends the whole group, so no grandchild outlives it.

    Parameters
    ----------
    arguments
        Program and arguments.
    log
        Standard error, and a copy of standard output, are appended here.
    environment
        Variables besides those of this process.
    directory
        Where the command runs.
    timeout_seconds
        Afterwards the command is stopped and counts as failed.

    Raises
    ------
    CommandFailedError
        The exit code is not 0, or the time is over.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(argument) for argument in arguments]
    with log.open("a", encoding="utf-8") as errors:
        errors.write(f"$ {' '.join(command)}\n")
        errors.flush()
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            end_group(process)
            raise CommandFailedError(
                f"{Path(command[0]).name} did not end within {timeout_seconds:.0f} s; its output is in {log}"
            ) from None
        except BaseException:
            end_group(process)
            raise
        errors.write(output)
    if process.returncode != 0:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
        raise CommandFailedError(
            f"{Path(command[0]).name} ended with exit code {process.returncode}. Its output is in {log}, "
            f"which ends:\n{last}"
        )
    return output


def end_group(process: subprocess.Popen[str]) -> None:
    """Interrupt a process group as Ctrl-C does, wait a little, then insist."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=_GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
