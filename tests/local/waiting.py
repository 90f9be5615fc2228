"""Waiting for what becomes true by itself."""

import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], seconds: float = 90, pause: float = 0.2) -> Any:
    """Return the first true value of a condition.

    Parameters
    ----------
    seconds
        How long it may take.
    pause
        Between two looks, in seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(pause)
    raise AssertionError(f"it did not become true within {seconds:.0f} s")
