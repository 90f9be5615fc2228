"""What a client sees of a service that it writes to: promises, failures and outages."""

import threading
import time
from dataclasses import asdict, dataclass, field


@dataclass
class Outage:
    """A time in which writes failed: from the first that failed until the first that was acknowledged again.

    Times are seconds since the epoch; `ended` is None while it lasts.
    """

    began: float
    first_reason: str
    ended: float | None = None
    failures: int = 1

    def seconds(self, now: float) -> float:
        """Return how long it lasted, or has lasted by `now`."""
        return (self.ended if self.ended is not None else now) - self.began


@dataclass
class Figures:
    """What a client saw so far."""

    acknowledged: int = 0
    unanswered: int = 0
    outages: list[Outage] = field(default_factory=list)

    def longest_outage_seconds(self, now: float) -> float:
        """Return the longest outage: the downtime that users saw."""
        return max((outage.seconds(now) for outage in self.outages), default=0.0)

    @property
    def in_outage(self) -> bool:
        """Whether the last thing seen was a failure."""
        return bool(self.outages) and self.outages[-1].ended is None


class Tally:
    """Counts for many threads.

    Every `began` is when the request was sent, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self._figures = Figures()
        self._lock = threading.Lock()

    def figures(self) -> Figures:
        """Return a copy of what was seen so far."""
        with self._lock:
            outages = [Outage(**asdict(outage)) for outage in self._figures.outages]
            return Figures(self._figures.acknowledged, self._figures.unanswered, outages)

    def count_failure(self, began: float, reason: str) -> None:
        """Count a write that was not acknowledged."""
        with self._lock:
            self._figures.unanswered += 1
            if self._figures.in_outage:
                self._figures.outages[-1].failures += 1
            else:
                self._figures.outages.append(Outage(began, reason))

    def count_success(self, began: float) -> None:
        """Count a write that was acknowledged."""
        with self._lock:
            self._figures.acknowledged += 1
            # A write that was sent before the outage began does not end it.
            if self._figures.in_outage and began >= self._figures.outages[-1].began:
                self._figures.outages[-1].ended = time.time()
