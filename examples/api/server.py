"""The HTTP side of the stand-in API.

| request | answer |
|---|---|
| ``GET /status/`` | 200 when the database answers and the schema is there, else 503 |
| ``POST /<resources>/`` | 201 with the row, only after the database committed it |
| ``GET /<resources>/`` and ``GET /<resources>/<id>/`` | 200 with rows, 404 |
| ``POST /photos/?owner=<name>`` | 201 with the row, only after the bucket, then the database kept it |
| ``PUT /photos/<id>/`` | 200 with the row, the same way, 404 |
| ``GET /photos/<id>/`` | 200 with the bytes, 404 when row or object is missing |
| ``DELETE /photos/<id>/`` | 200 after row and object are gone, 404 |

503 means: nothing was promised, try again. The database or the bucket refuses writes or is not reachable.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from botocore.exceptions import BotoCoreError
from pydantic import ValidationError

from examples.api import database
from examples.api.media import FileMissingError, MediaUnavailableError
from examples.api.photos import PhotoMissingError, Photos
from examples.api.resources import RESOURCES, Resource

log = logging.getLogger("know-me-api")

_LARGEST_BODY_BYTES = 1_000_000
_MOST_ROWS = 1000
# What the client did wrong. Every other database error is ours, or the database's, and is answered 503.
_CLIENT_ERRORS = (psycopg.errors.IntegrityError, psycopg.errors.DataError)


_LONGEST_OWNER = 150
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """A status and the bytes that go with it, whose length is known before they are read."""

    status: HTTPStatus
    content_type: str
    length: int
    chunks: Iterable[bytes]


class Application:
    """Turns requests into answers; knows nothing about sockets.

    Parameters
    ----------
    pool
        Where the rows are.
    photos
        Where the files are.
    bucket
        Name of the media bucket, for people who ask for the status.
    """

    def __init__(self, pool: database.Pool, photos: Photos, bucket: str) -> None:
        self._pool = pool
        self._photos = photos
        self._bucket = bucket

    def answer(
        self, method: str, target: str, body: bytes = b"", content_type: str = _DEFAULT_CONTENT_TYPE
    ) -> Answer:
        """Answer one request; never raises."""
        url = urlsplit(target)
        parts = [part for part in url.path.split("/") if part]
        try:
            if method == "GET" and parts == ["status"]:
                return self._status()
            if parts and parts[0] == "photos":
                return self._photo(method, parts[1:], parse_qs(url.query), body, content_type)
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
            return _unavailable(method, url.path, "database", error)
        except MediaUnavailableError as error:
            return _unavailable(method, url.path, "media bucket", error)
        except (PhotoMissingError, FileMissingError) as error:
            return _refusal(HTTPStatus.NOT_FOUND, str(error))
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
        # The bucket is named and not asked: a health check comes every few seconds and must stay cheap.
        return _document(HTTPStatus.OK, {"status": "ok", "media_bucket": self._bucket})

    def _photo(
        self, method: str, parts: list[str], query: dict[str, list[str]], body: bytes, content_type: str
    ) -> Answer:
        if method == "POST" and not parts:
            owner = query.get("owner", [""])[0]
            if not 0 < len(owner) <= _LONGEST_OWNER:
                return _refusal(HTTPStatus.BAD_REQUEST, f"owner: 1 to {_LONGEST_OWNER} characters")
            return _document(HTTPStatus.CREATED, self._photos.create(owner, content_type, body))
        if len(parts) != 1 or not _is_number(parts[0]):
            return _refusal(HTTPStatus.NOT_FOUND, "expected POST /photos/?owner=… or /photos/<id>/")
        identifier = int(parts[0])
        actions: dict[str, Callable[[], Answer]] = {
            "GET": lambda: self._read_photo(identifier),
            "PUT": lambda: _document(HTTPStatus.OK, self._photos.replace(identifier, content_type, body)),
            "DELETE": lambda: self._delete_photo(identifier),
        }
        if method not in actions:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not allowed on a photo")
        return actions[method]()

    def _read_photo(self, identifier: int) -> Answer:
        found = self._photos.open(identifier)
        return Answer(HTTPStatus.OK, found.content_type, found.length, found.chunks)

    def _delete_photo(self, identifier: int) -> Answer:
        self._photos.delete(identifier)
        return _document(HTTPStatus.OK, {"id": identifier})

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
        return _document(HTTPStatus.CREATED, row)

    def _read(self, resource: Resource, parts: list[str], query: dict[str, list[str]]) -> Answer:
        limit = query.get("limit", ["100"])[0]
        numbers = [*parts, limit]
        if not all(map(_is_number, numbers)):
            return _refusal(HTTPStatus.BAD_REQUEST, f"expected numbers, got {numbers}")
        identifier = int(parts[0]) if parts else None
        with self._pool.connection() as connection:
            rows = database.select(connection, resource, identifier, min(int(limit), _MOST_ROWS))
        if identifier is None:
            return _document(HTTPStatus.OK, rows)
        if not rows:
            return _refusal(HTTPStatus.NOT_FOUND, f"{resource.path} has no {identifier}")
        return _document(HTTPStatus.OK, rows[0])


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
                content_type = self.headers.get("Content-Type") or _DEFAULT_CONTENT_TYPE
                answer = application.answer(self.command, self.path, self.rfile.read(length), content_type)
            if stopping.is_set():
                self.close_connection = True
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(answer.length))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self._write(answer.chunks)

        def _write(self, chunks: Iterable[bytes]) -> None:
            try:
                for chunk in chunks:
                    self.wfile.write(chunk)
            except (BotoCoreError, OSError) as error:
                # The status is sent already: an answer that is shorter than it said tells the client.
                log.warning("the answer to %s %s was cut off: %s", self.command, self.path, error)
                self.close_connection = True

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


def _document(status: HTTPStatus, document: Any) -> Answer:
    payload = json.dumps(document, ensure_ascii=False).encode()
    return Answer(status, "application/json", len(payload), (payload,))


def _refusal(status: HTTPStatus, message: str) -> Answer:
    return _document(status, {"error": message})


def _unavailable(method: str, path: str, store: str, error: Exception) -> Answer:
    log.warning("503 %s %s: %s: %s", method, path, type(error).__name__, str(error).strip())
    return _refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, f"the {store} does not serve this now: {type(error).__name__}"
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
