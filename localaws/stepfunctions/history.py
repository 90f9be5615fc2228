"""The history of an execution: numbered events, readable while it is written."""

import datetime
import threading
from typing import Any

from localaws.stepfunctions.errors import RUNTIME, StateError

MAXIMUM_EVENTS = 25_000
"""Service quota of a standard workflow; the execution fails when it is reached."""


class History:
    """Events in order. Thread safe: branches write into one history."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._closed = False

    def add(self, kind: str, previous: int, key: str | None = None, **details: Any) -> int:
        """Append an event and return its id.

        Parameters
        ----------
        kind:
            Type, for example `TaskStateEntered`.
        previous:
            Id of the event before it on the same path, 0 for none.
        key:
            Name of the structure that carries the details.

        Raises
        ------
        StateError
            The quota of 25,000 events is reached.
        """
        with self._lock:
            if self._closed:
                return previous
            if len(self._events) >= MAXIMUM_EVENTS - 1:
                raise StateError(
                    RUNTIME,
                    f"The execution reached the maximum number of history events ({MAXIMUM_EVENTS}).",
                )
            return self._append(kind, previous, key, details)

    def close(self, kind: str, key: str, **details: Any) -> None:
        """Append the last event; what comes later is dropped."""
        with self._lock:
            if not self._closed:
                self._append(kind, len(self._events), key, details)
                self._closed = True

    def _append(self, kind: str, previous: int, key: str | None, details: dict[str, Any]) -> int:
        event: dict[str, Any] = {
            "timestamp": datetime.datetime.now(datetime.UTC),
            "type": kind,
            "id": len(self._events) + 1,
            "previousEventId": previous,
        }
        if key is not None:
            event[key] = {name: value for name, value in details.items() if value is not None}
        self._events.append(event)
        return len(self._events)

    def events(self) -> list[dict[str, Any]]:
        """Return a copy of the events so far."""
        with self._lock:
            return list(self._events)
