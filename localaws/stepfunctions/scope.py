"""Where the states of an execution run: time limits, waiting, and stopping everything below at once."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from localaws.stepfunctions.errors import Stopped

Result = TypeVar("Result")


class Scope:
    """An execution, a branch of a Parallel or an iteration of a Map.

    Stopping a scope wakes what waits in it, stops the scopes below it and runs what was registered with
    `on_stop` (stop the build, stop the child execution).
    """

    def __init__(self, parent: "Scope | None" = None) -> None:
        self._condition = threading.Condition()
        self._stopped = False
        self._actions: dict[int, Callable[[], None]] = {}
        self._serial = 0
        self._parent = parent
        self._handle = parent.on_stop(self.stop) if parent is not None else None

    @property
    def stopped(self) -> bool:
        """Whether the scope was stopped."""
        return self._stopped

    def check(self) -> None:
        """Raise Stopped when the scope was stopped."""
        if self._stopped:
            raise Stopped

    def on_stop(self, action: Callable[[], None]) -> int:
        """Register what to do when the scope is stopped; return a handle for `forget`.

        When the scope is stopped already the action is run at once.
        """
        with self._condition:
            if not self._stopped:
                self._serial += 1
                self._actions[self._serial] = action
                return self._serial
        action()
        return 0

    def forget(self, handle: int) -> None:
        """Remove what `on_stop` registered."""
        with self._condition:
            self._actions.pop(handle, None)

    def close(self) -> None:
        """Detach from the scope above: what ran here ended by itself."""
        if self._parent is not None and self._handle is not None:
            self._parent.forget(self._handle)

    def stop(self) -> None:
        """Stop this scope and all below it; returns when every registered action has run."""
        with self._condition:
            if self._stopped:
                return
            self._stopped = True
            actions = list(self._actions.values())
            self._actions.clear()
            self._condition.notify_all()
        for action in reversed(actions):
            action()

    def wait(self, seconds: float) -> None:
        """Sleep, unless the scope is stopped meanwhile.

        Raises
        ------
        Stopped
            At once when the scope is stopped.
        """
        deadline = time.monotonic() + seconds
        with self._condition:
            while not self._stopped:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._condition.wait(min(left, threading.TIMEOUT_MAX))
        raise Stopped

    def result(self, future: "Future[Result]", deadline: float | None = None) -> Result:
        """Wait for a future until a moment of `time.monotonic()`.

        Raises
        ------
        Stopped
            The scope was stopped; the future is left alone.
        TimeoutError
            The moment passed.
        """

        def wake(_: "Future[Any]") -> None:
            with self._condition:
                self._condition.notify_all()

        future.add_done_callback(wake)
        with self._condition:
            while not self._stopped and not future.done():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                self._condition.wait(left)
        self.check()
        return future.result()


def in_thread(name: str, function: Callable[..., Result], *args: Any) -> "Future[Result]":
    """Run a blocking call in a daemon thread of its own and return its future."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
