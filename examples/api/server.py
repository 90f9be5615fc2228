"""The HTTP side of the stand-in API.

| request | answer |
|---|---|
| ``GET /status/`` | 200 when the database answers and the schema is there, else 503 |
| ``POST /<resources>/`` | 201 with the row, only after the database committed it |
| ``GET /<resources>/`` and ``GET /<resources>/<id>/`` | 200 with rows, 404 |

503 means: nothing was promised, try again. The database refuses writes or is not reachable.
"""

import json
import logging
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from pydantic import ValidationError

from examples.api import database
from examples.api.resources import RESOURCES, Resource

log = logging.getLogger("know-me-api")

_LARGEST_BODY_BYTES = 1_000_000
_MOST_ROWS = 1000
# What the client did wrong. Every other database error is ours, or the database's, and is answered 503.
_CLIENT_ERRORS = (psycopg.errors.IntegrityError, psycopg.errors.DataError)


@dataclass(frozen=True)
class Answer:
    """A status and the JSON document that goes with it."""

    status: HTTPStatus
    document: Any


class Application:
    """Turns requests into answers; knows nothing about sockets.

    Parameters
    ----------
    pool
        Where the rows are.
    """

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    def answer(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Answer one request; never raises."""
        url = urlsplit(target)
        parts = [part for part in url.path.split("/") if part]
        try:
            if method == "GET" and parts == ["status"]:
                return self._status()
            resource = RESOURCES.get(parts[0]) if parts else None
            if resource is None or len(parts) > 2:
                return _refusal(HTTPStatus.NOT_FOUND, f"no such path: {url.path}")
            if method == "POST" and len(parts) == 1:
                return self._create(resource, body)
            if method == "GET":
                return self._read(resource, parts[1:], parse_qs(url.query))
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not allowed on {url.path}")
        except _CLIENT_ERRORS as error:
            return _refusal(HTTPStatus.CONFLICT, str(error).strip())
        except psycopg.Error as error:
            log.warning("503 %s %s: %s: %s", method, url.path, type(error).__name__, str(error).strip())
            return _refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the database does not serve this now: {type(error).__name__}",
            )
        except Exception:
            log.exception("500 %s %s", method, url.path)
            return _refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected; the log of the API has the traceback"
            )

    def _status(self) -> Answer:
        try:
            with self._pool.connection() as connection:
                database.check_schema(connection)
        except database.SchemaMissingError as error:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return Answer(HTTPStatus.OK, {"status": "ok"})

    def _create(self, resource: Resource, body: bytes) -> Answer:
        try:
            parsed = resource.body.model_validate_json(body)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors()
            ]
            return _refusal(HTTPStatus.BAD_REQUEST, "; ".join(faults))
        with self._pool.connection() as connection:
            row = database.insert(connection, resource, parsed)
        # Left the block: the commit was acknowledged by the database, so we may acknowledge it too.
        return Answer(HTTPStatus.CREATED, row)

    def _read(self, resource: Resource, parts: list[str], query: dict[str, list[str]]) -> Answer:
        limit = query.get("limit", ["100"])[0]
        numbers = [*parts, limit]
        if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
            return _refusal(HTTPStatus.BAD_REQUEST, f"expected numbers, got {numbers}")
        identifier = int(parts[0]) if parts else None
        with self._pool.connection() as connection:
            rows = database.select(connection, resource, identifier, min(int(limit), _MOST_ROWS))
        if identifier is None:
            return Answer(HTTPStatus.OK, rows)
        if not rows:
            return _refusal(HTTPStatus.NOT_FOUND, f"{resource.path} has no {identifier}")
        return Answer(HTTPStatus.OK, rows[0])


class _Server(ThreadingHTTPServer):
    # False: `server_close` waits for the requests that are being answered, so SIGTERM never cuts one off.
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128


def make_server(application: Application, address: str, port: int) -> ThreadingHTTPServer:
    """Return a server that listens but does not serve yet; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An idle keep-alive connection must not hold up a stop for longer than this.
        timeout = 5

        def _handle(self) -> None:
            try:
                length = int(self.headers.get("Content-Length") or 0)
            except ValueError:
                length = -1
            if not 0 <= length <= _LARGEST_BODY_BYTES:
                self.close_connection = True
                answer = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_LARGEST_BODY_BYTES} bytes")
            else:
                answer = application.answer(self.command, self.path, self.rfile.read(length))
            payload = json.dumps(answer.document, ensure_ascii=False).encode()
            if stopping.is_set():
                self.close_connection = True
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - names given by the standard library

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name given by the standard library
            if "/status/" not in self.path:
                log.debug(format, *args)

    stopping = threading.Event()

    class Server(_Server):
        def shutdown(self) -> None:
            stopping.set()
            super().shutdown()

    return Server((address, port), Handler)


def _refusal(status: HTTPStatus, message: str) -> Answer:
    return Answer(status, {"error": message})
