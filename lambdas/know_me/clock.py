"""The time, passed into what needs it."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def is_past(deadline: str) -> bool:
    """Whether an ISO 8601 moment has passed."""
    return utc_now() >= datetime.fromisoformat(deadline)
