"""What is done at the provider or in the console on AWS: below `/_localaws/codeconnections/`.

- `POST connections {"connection": "<name or ARN>"}` approves a connection (`"status": "ERROR"` breaks it).
- `POST repositories {"name": "owner/name", "path": "…"}` lets a directory of this machine stand for it; what
  it holds already is not a push.
- `POST pushes {"repository": "owner/name"}` says that somebody pushed, and answers what was found.
- `GET` of the first two lists them.
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from localaws.codeconnections.connections import Connections
from localaws.codeconnections.pushes import Pushes
from localaws.codeconnections.repositories import Repositories, RepositoryError
from localaws.runtime import RouteAnswer

PATH = "codeconnections/"


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Approval(_Wish):
    connection: str
    status: Literal["AVAILABLE", "PENDING", "ERROR"] = "AVAILABLE"


class _Registration(_Wish):
    name: str
    path: Path


class _Pushed(_Wish):
    repository: str


class Control:
    """Answers the control paths.

    Parameters
    ----------
    connections, repositories, pushes:
        Of the server.
    """

    def __init__(self, connections: Connections, repositories: Repositories, pushes: Pushes) -> None:
        self._connections = connections
        self._repositories = repositories
        self._pushes = pushes

    def route(self, rest: str, environ: dict[str, Any], _signed: bool) -> RouteAnswer:
        """Answer one request."""
        answers: dict[tuple[str, str], Callable[[bytes], Any]] = {
            ("GET", "connections"): lambda _: self._listed(),
            ("POST", "connections"): self._approve,
            ("GET", "repositories"): lambda _: self._repositories.names(),
            ("POST", "repositories"): self._register,
            ("POST", "pushes"): self._push,
        }
        answer = answers.get((environ["REQUEST_METHOD"], rest.strip("/")))
        if answer is None:
            return _answer(
                HTTPStatus.NOT_FOUND, {"message": f"{environ['REQUEST_METHOD']} {rest} is unknown"}
            )
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            return _answer(HTTPStatus.OK, answer(body))
        except ValidationError as error:
            faults = json.loads(error.json(include_url=False, include_input=False))
            return _answer(HTTPStatus.BAD_REQUEST, {"message": "The request is wrong.", "faults": faults})
        except (RepositoryError, LookupError) as error:
            return _answer(HTTPStatus.BAD_REQUEST, {"message": str(error.args[0])})

    def _listed(self) -> list[dict[str, str]]:
        return [
            {"name": connection.name, "arn": connection.arn, "status": connection.status}
            for connection in self._connections.all()
        ]

    def _approve(self, body: bytes) -> dict[str, str]:
        wish = _Approval.model_validate_json(body)
        connection = self._connections.named(wish.connection)
        if connection is None:
            names = ", ".join(known.name for known in self._connections.all()) or "none"
            raise LookupError(f"There is no connection {wish.connection}. There is: {names}.")
        connection.status = wish.status
        return {"name": connection.name, "arn": connection.arn, "status": connection.status}

    def _register(self, body: bytes) -> dict[str, str]:
        wish = _Registration.model_validate_json(body)
        self._repositories.register(wish.name, wish.path)
        self._pushes.remember(wish.name)
        return {"name": wish.name, "path": str(wish.path)}

    def _push(self, body: bytes) -> dict[str, Any]:
        wish = _Pushed.model_validate_json(body)
        found = self._pushes.check(wish.repository)
        return {"pushes": [{"branch": push.branch, "commit": push.commit} for push in found]}


def _answer(status: int, document: Any) -> RouteAnswer:
    return status, [("Content-Type", "application/json")], json.dumps(document).encode()
