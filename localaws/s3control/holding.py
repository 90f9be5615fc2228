"""Stops a job in the middle on purpose, so that a test can change something while it runs.

`POST /_localaws/s3control {"pause_after": n}`: the next job that becomes Active waits after n tasks (it stays
Active) until `DELETE` lets go of every job that waits, or it is cancelled. `GET` tells what is asked for and
which jobs wait.
"""

import json
import threading
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localaws.runtime import RouteAnswer

PATH = "s3control"


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pause_after: int = Field(ge=0)


class Hold:
    """One job's stop.

    Attributes
    ----------
    after:
        The job waits when so many tasks are done.
    released:
        Whether it may go on.
    waiting:
        Id of the job while it waits.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self.released = threading.Event()
        self.waiting: str | None = None


class Holds:
    """The stops of one server."""

    def __init__(self) -> None:
        self._asked: Hold | None = None
        self._taken: list[Hold] = []
        self._lock = threading.Lock()

    def take(self) -> Hold | None:
        """Return the stop that the job that begins now has to make, or None."""
        with self._lock:
            hold, self._asked = self._asked, None
            if hold is not None:
                self._taken.append(hold)
            return hold

    def release(self) -> None:
        """Let every job go on, and ask for no further stop."""
        with self._lock:
            self._asked = None
            for hold in self._taken:
                hold.released.set()
            self._taken.clear()

    def route(self, _rest: str, environ: dict[str, Any], _signed: bool) -> RouteAnswer:
        """Answer a request of the control path."""
        match environ["REQUEST_METHOD"]:
            case "POST":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                try:
                    wish = _Wish.model_validate_json(environ["wsgi.input"].read(length))
                except ValidationError as error:
                    text = error.json(include_url=False, include_input=False)
                    return HTTPStatus.BAD_REQUEST, [("Content-Type", "application/json")], text.encode()
                with self._lock:
                    self._asked = Hold(wish.pause_after)
            case "DELETE":
                self.release()
        return HTTPStatus.OK, [("Content-Type", "application/json")], json.dumps(self._state()).encode()

    def _state(self) -> dict[str, Any]:
        with self._lock:
            return {
                "pause_after": self._asked.after if self._asked else None,
                "waiting": [hold.waiting for hold in self._taken if hold.waiting is not None],
            }
