"""The timeline of a run: when each state of each of its executions began and ended."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from know_me.executions import history
from know_me.settings import Settings

WORK = frozenset({"TaskStateEntered", "TaskStateExited", "ParallelStateEntered", "ParallelStateExited"})

CHILDREN = (
    ("migrate", ""),
    ("provision", "-provision-candidate"),
    ("move-media", "-move-media-ahead"),
    ("move-database", "-move-database"),
    ("move-media", "-move-media"),
    ("provision", "-provision-cutover"),
    ("return", "-return"),
    ("provision", "-provision-return"),
)
"""State machine and suffix of each execution that a migration may consist of."""


class Entry(BaseModel):
    """A state, from its first entry to its last exit."""

    machine: str
    state: str
    entered_at: datetime
    left_at: datetime | None = None
    visits: int = 1

    @property
    def seconds(self) -> float | None:
        """How long it took, None when it did not end."""
        return None if self.left_at is None else (self.left_at - self.entered_at).total_seconds()


def entries(machine: str, events: Iterable[dict[str, Any]]) -> list[Entry]:
    """Turn an execution's history into entries, in order; states that do no work are left out."""
    found: dict[str, Entry] = {}
    for event in events:
        if event["type"] not in WORK:
            continue
        if event["type"].endswith("Entered"):
            name = event["stateEnteredEventDetails"]["name"]
            if name in found:
                found[name].visits += 1
            else:
                found[name] = Entry(machine=machine, state=name, entered_at=event["timestamp"])
        else:
            name = event["stateExitedEventDetails"]["name"]
            if name in found:
                found[name].left_at = event["timestamp"]
    return list(found.values())


def timeline(states: Any, settings: Settings, executions: Iterable[tuple[str, str]]) -> list[Entry]:
    """Return the entries of several executions, in order of time.

    Parameters
    ----------
    executions : iterable of (machine, name)
        Those that do not exist are left out.
    """
    everything: list[Entry] = []
    for machine, name in executions:
        try:
            everything += entries(machine, history(states, settings.execution_arn(machine, name)))
        except states.exceptions.ExecutionDoesNotExist:
            continue
    return sorted(everything, key=lambda entry: entry.entered_at)


def executions_of(run_id: str, runbook: str) -> list[tuple[str, str]]:
    """Return machine and name of every execution that a run may consist of."""
    if runbook == "provision":
        return [("provision", run_id)]
    return [(machine, f"{run_id}{suffix}") for machine, suffix in CHILDREN]
