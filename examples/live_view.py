"""Show a run while it runs: state by state with elapsed times, and how far the copy of each store is.

On a terminal one table is redrawn; anywhere else (a log of a build) a line is printed for each change.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from examples.client import WritingClient
from examples.environment import EnvironmentFailedError, KnowMeEnvironment
from examples.executions import Visit

_PROGRESS = ".progress.json"
_LABEL_WIDTH = 19
_SHOWN_ROWS = 30
_SECONDS_BETWEEN_NOTES = 10


class View(Protocol):
    """Something that shows the state of a run."""

    def update(self, visits: list[Visit], notes: list[str]) -> None:
        """Show the states of a run, and lines about the copy and the client."""


class PlainView:
    """A line for each state that is entered, each that took long, and the notes now and then."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._noted_at: float | None = None
        self._entered: set[tuple[str, str, datetime]] = set()
        self._left: set[tuple[str, str, datetime]] = set()
        self._notes: list[str] = []

    def update(self, visits: list[Visit], notes: list[str]) -> None:
        """Print what is new."""
        for visit in visits:
            key = (visit.execution, visit.state, visit.entered)
            at = visit.entered.astimezone().strftime("%H:%M:%S")
            if key not in self._entered:
                self._entered.add(key)
                self._print(f"{at}  {visit.label:<{_LABEL_WIDTH}}  {visit.state}")
            if visit.left and key not in self._left:
                self._left.add(key)
                if (seconds := visit.seconds(visit.left)) >= 1:
                    at = visit.left.astimezone().strftime("%H:%M:%S")
                    self._print(
                        f"{at}  {visit.label:<{_LABEL_WIDTH}}  {visit.state}: done in {elapsed(seconds)}"
                    )
        if notes != self._notes and self._is_time_for_notes():
            self._notes = notes
            for note in notes:
                self._print(f"          {note}")

    def _is_time_for_notes(self) -> bool:
        now = self._now()
        if self._noted_at is not None and now - self._noted_at < _SECONDS_BETWEEN_NOTES:
            return False
        self._noted_at = now
        return True

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class TableView:
    """One table, redrawn."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def update(self, visits: list[Visit], notes: list[str]) -> None:
        """Redraw."""
        self._live.update(render(visits, notes, datetime.now(UTC)))


def render(visits: list[Visit], notes: list[str], now: datetime) -> RenderableType:
    """Return the table of a run's states and the lines below it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in ("mark", "state", "runbook", "time"):
        table.add_column(name, justify="right" if name == "time" else "left")
    hidden = max(0, len(visits) - _SHOWN_ROWS)
    if hidden:
        table.add_row("", Text(f"… {hidden} earlier states", style="dim"), "", "")
    for visit in visits[hidden:]:
        mark = Text("✔", style="green") if visit.left else Text("▶", style="yellow")
        style = "" if visit.left else "bold"
        table.add_row(
            mark,
            Text(visit.state, style=style),
            Text(visit.label, style="dim"),
            elapsed(visit.seconds(now)),
        )
    return Group(table, *(Text(note, style="cyan") for note in notes))


def elapsed(seconds: float) -> str:
    """Return a duration as a person says it: ``0.4 s``, ``41 s``, ``2 min 05 s``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


@contextmanager
def view(console: Console) -> Iterator[View]:
    """Choose how to show a run."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        yield TableView(live)


class Watcher:
    """Looks at a run and shows it; one call is one look.

    Parameters
    ----------
    environment
        Whose run it is.
    run_id
        The run.
    view
        Where to show it.
    client
        The client whose state is shown too.
    """

    def __init__(
        self, environment: KnowMeEnvironment, run_id: str, view: View, client: WritingClient | None = None
    ) -> None:
        self._environment = environment
        self._run_id = run_id
        self._view = view
        self._client = client

    def look(self, _: Any = None) -> None:
        """Read the histories and the progress documents, and show them."""
        visits = self._environment.executions.visits(self._run_id)
        notes = progress(self._environment, self._run_id)
        if self._client is not None:
            figures, photos = self._client.figures(), self._client.photos.figures()
            state = "no write succeeds now" if figures.in_outage else "writing"
            longest = figures.longest_outage_seconds(datetime.now(UTC).timestamp())
            notes.append(
                f"client: {figures.acknowledged} writes and {photos.acknowledged} requests about photos "
                f"acknowledged, {state}, downtime {longest:.1f} s"
            )
        self._view.update(visits, notes)


def progress(environment: KnowMeEnvironment, run_id: str) -> list[str]:
    """Return how far each job is that works now, from the documents of the run folder.

    Database and media bucket move at the same time: several jobs may work.
    """
    try:
        files = set(environment.run_files(run_id))
        return [
            describe(environment.run_document(run_id, f"jobs/{job}{_PROGRESS}"))
            for job in running_jobs(files)
        ]
    except (EnvironmentFailedError, ClientError, BotoCoreError):
        # The run folder may not be there yet, or the document may just be written; the next look tells more.
        return []


def running_jobs(files: set[str]) -> list[str]:
    """Return the jobs that told how far they are, and not yet how they ended."""
    return sorted(
        name.removeprefix("jobs/").removesuffix(_PROGRESS)
        for name in files
        if name.startswith("jobs/")
        and name.endswith(_PROGRESS)
        and f"{name.removesuffix(_PROGRESS)}.json" not in files
    )


def describe(document: dict[str, Any]) -> str:
    """Return a progress document as a line: ``restore: data 40 %, 400 of 1,000 bytes``."""
    total = document.get("total") or 0
    share = f"{100 * document['done'] / total:.0f} %, " if total else ""
    return (
        f"{document['job']}: {document['phase']} {share}{document['done']:,} of {total:,} {document['unit']}"
    )
