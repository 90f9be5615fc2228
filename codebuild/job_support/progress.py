"""What a job tells while it works: lines for people, a document for the runbook."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from job_support.run_folder import RunFolder

Unit = Literal["bytes", "rows", "tables", "objects"]
SECONDS_BETWEEN_DOCUMENTS = 2.0


def now() -> str:
    """Return the time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def say(line: str) -> None:
    """Print a line for the build's log, at once."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)  # noqa: T201


def readable(amount: int, unit: Unit) -> str:
    """Return an amount for people: `12.3 MiB`, `4 tables`."""
    if unit != "bytes":
        return f"{amount:,} {unit}"
    size = float(amount)
    for suffix in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {suffix}" if suffix != "B" else f"{amount} B"
        size /= 1024
    return f"{size:.1f} TiB"


class Progress:
    """How far a job is: `jobs/<job>.progress.json` and a line.

    At most every two seconds. Safe to call from threads.
    """

    def __init__(self, job: str, folder: RunFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._phase = ""
        self._unit: Unit = "bytes"
        self._done = 0
        self._total = 0

    def start(self, phase: str, total: int, unit: Unit) -> None:
        """Begin a phase of the job; always told."""
        with self._lock:
            self._phase, self._total, self._unit, self._done = phase, total, unit, 0
            self._tell()

    def add(self, amount: int) -> None:
        """Tell that so much more is done."""
        with self._lock:
            self._done += amount
            self._tell_now_and_then()

    def set(self, done: int) -> None:
        """Tell how much is done; it never goes back and never passes the total."""
        with self._lock:
            self._done = max(self._done, min(done, self._total))
            self._tell_now_and_then()

    def finish(self) -> None:
        """End the phase: all of it is done; always told."""
        with self._lock:
            self._done = self._total
            self._tell()

    def _tell_now_and_then(self) -> None:
        if self._clock() - self._last >= SECONDS_BETWEEN_DOCUMENTS:
            self._tell()

    def _tell(self) -> None:
        self._last = self._clock()
        say(f"{self._phase}: {readable(self._done, self._unit)} of {readable(self._total, self._unit)}")
        document = {
            "job": self._job,
            "phase": self._phase,
            "done": self._done,
            "total": self._total,
            "unit": self._unit,
            "at": now(),
        }
        try:
            self._folder.write_json(f"jobs/{self._job}.progress.json", document)
        except (BotoCoreError, ClientError) as error:
            # Progress is for people who watch: work that goes well is not given up because nobody could be
            # told.
            say(f"Progress could not be stored: {error}")
