"""What can happen to an object while it is looked at, and how many are named."""

from collections.abc import Sequence

NAMED = 20
"""Objects that an error names; the rest are counted."""


class ChangedMeanwhileError(Exception):
    """An object was overwritten or deleted between two looks at it: look again."""


def named(keys: Sequence[str], count: int | None = None) -> str:
    """Return the first keys for a sentence, and how many more there are."""
    total = len(keys) if count is None else count
    listed = ", ".join(keys[:NAMED])
    return f"{listed} and {total - NAMED:,} more" if total > NAMED else listed
