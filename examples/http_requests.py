"""One request on a connection of its own, as a client behind a load balancer that just moved sends it."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_ANSWER_TIMEOUT_SECONDS = 10
_SHOWN_BYTES = 200


class RequestFailedError(Exception):
    """There was no answer, or another one than was wanted; the message says which."""


@dataclass(frozen=True)
class Response:
    """What was answered."""

    status: int
    content_type: str
    body: bytes


def send(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Send one request and read the whole answer, whatever its status.

    Raises
    ------
    RequestFailedError
        Nobody answered, or the answer was cut off.
    """
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, answer.getheader("Content-Type", ""), answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise RequestFailedError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def expect(
    status: int, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Send one request and return the body of its answer.

    Raises
    ------
    RequestFailedError
        The answer has another status, or there is none.
    """
    answer = send(method, url, body, headers)
    if answer.status != status:
        shown = answer.body[:_SHOWN_BYTES].decode(errors="replace")
        raise RequestFailedError(f"{answer.status} {shown}")
    return answer.body
