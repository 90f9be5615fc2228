"""What a person sees of a run."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from examples.executions import Visit
from examples.live_view import PlainView, describe, elapsed, render, running_jobs

START = datetime(2024, 5, 1, 12, tzinfo=UTC)


def visit(state: str, begins: float, ends: float | None) -> Visit:
    left = None if ends is None else START + timedelta(seconds=ends)
    return Visit("migrate", "run", state, START + timedelta(seconds=begins), left)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (41.2, "41 s"), (59.4, "59 s"), (125, "2 min 05 s")],
)
def test_durations_are_said_as_a_person_says_them(seconds: float, words: str) -> None:
    assert elapsed(seconds) == words


def test_plain_lines_are_printed_once_and_notes_now_and_then() -> None:
    # Given a view that is not on a terminal
    output = io.StringIO()
    clock = iter([0.0, 3.0, 12.0])
    shown = PlainView(Console(file=output, width=120), lambda: next(clock))
    # When the same state is seen twice and then left
    shown.update([visit("Stop the API", 0, None)], ["copy: 10 %"])
    shown.update([visit("Stop the API", 0, None)], ["copy: 10 %"])
    shown.update([], ["copy: 15 %"])
    shown.update([visit("Stop the API", 0, 12), visit("Short [one]", 12, 12.1)], ["copy: 20 %"])
    # Then each change is one line
    lines = [line.split("  ", 1)[-1].strip() for line in output.getvalue().splitlines()]
    assert lines == [
        "migrate              Stop the API",
        "copy: 10 %",
        "migrate              Stop the API: done in 12 s",
        "migrate              Short [one]",
        "copy: 20 %",
    ]


def test_the_table_keeps_the_newest_states_and_says_how_many_it_hides() -> None:
    output = io.StringIO()
    visits = [visit(f"State {number}", number, number + 1) for number in range(40)]
    Console(file=output, width=120).print(render(visits, ["a note"], START + timedelta(seconds=60)))
    text = output.getvalue()
    assert "10 earlier states" in text
    assert "State 9 " not in text
    assert "State 39" in text
    assert "a note" in text


def test_both_stores_are_shown_while_their_jobs_work() -> None:
    # Given a job of each store that works, and one that has ended
    files = {
        "jobs/dump.json",
        "jobs/dump.progress.json",
        "jobs/restore.progress.json",
        "jobs/final-catch-up.progress.json",
        "dump/restore.progress.json",
    }
    # Then those that work are shown
    assert running_jobs(files) == ["final-catch-up", "restore"]


def test_a_job_that_does_not_know_its_total_has_no_share() -> None:
    document = {"job": "restore", "phase": "data", "done": 400, "total": 1000, "unit": "bytes"}
    assert describe(document) == "restore: data 40 %, 400 of 1,000 bytes"
    assert describe(document | {"total": None}) == "restore: data 400 of 0 bytes"
