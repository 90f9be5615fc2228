"""Perform a job: its result is recorded whatever happens, a signal ends it at once."""

import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from job_support.errors import JobError, JobInterruptedError
from job_support.progress import now, say
from job_support.run_folder import RunFolder

Figures = dict[str, Any]
SUCCEEDED, FAILED, USAGE = 0, 1, 2


def perform(
    name: str, run_id: str, folder: RunFolder, work: Callable[[], Figures], *, error_name: str
) -> int:
    """Do the work and record its result in `jobs/<name>.json`; return the exit code.

    Parameters
    ----------
    name
        What the job is called in the run folder.
    work
        Returns the figures of the result.
    error_name
        Name of the error when the unexpected happens.
    """
    started_at, started = now(), time.monotonic()
    error: JobError | None = None
    figures: Figures = {}
    say(f"Job {name} of run {run_id} begins.")
    try:
        figures = work()
    except JobError as failure:
        error = failure
    except Exception as failure:
        traceback.print_exc()
        error = JobError(
            error_name,
            f"Job {name} met an unexpected {type(failure).__name__}: {str(failure).strip()}.",
            "Read the build's log, put it right and start the run again.",
        )
    seconds = round(time.monotonic() - started, 3)
    folder.write_json(f"jobs/{name}.json", result(name, run_id, started_at, seconds, error, figures))
    if error is not None:
        say_error(f"{error.name}: {error.cause} {error.remedy}")
        return FAILED
    say(f"Job {name} is done after {seconds} s.")
    return SUCCEEDED


def result(
    job: str, run_id: str, started_at: str, seconds: float, error: JobError | None, figures: Figures
) -> dict[str, Any]:
    """Return the document `jobs/<job>.json`."""
    return {
        "job": job,
        "run_id": run_id,
        "status": "failed" if error else "succeeded",
        "started_at": started_at,
        "finished_at": now(),
        "seconds": seconds,
        "error": {"name": error.name, "cause": error.cause, "remedy": error.remedy} if error else None,
        "figures": figures,
    }


def refuse(name: str, run_id: str, folder_url: str, s3: Callable[[], Any], error: JobError) -> int:
    """Tell that the options were wrong, and record it where the run folder itself is usable."""
    say_error(error.cause)
    if folder_url.startswith("s3://"):
        try:
            document = result(name, run_id, now(), 0.0, error, {})
            RunFolder(folder_url, s3()).write_json(f"jobs/{name}.json", document)
        except Exception as failure:
            say_error(f"The refusal could not be recorded in {folder_url}: {failure}")
    return USAGE


def say_error(message: str) -> None:
    """Tell a person on standard error."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def end_on_signals(error_name: str) -> None:
    """Let a signal that ends the build raise `JobInterruptedError` in the main thread, once."""

    def interrupt(number: int, _: FrameType | None) -> None:
        # The job is being ended: one exception is enough, and ends every child on its way out.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise JobInterruptedError(error_name, signal.Signals(number).name)

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
