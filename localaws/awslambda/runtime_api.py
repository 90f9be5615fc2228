"""The Runtime API of one execution environment: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

import queue
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Invocation:
    """An event on its way to the function.

    Attributes
    ----------
    request_id:
        Of the invocation.
    event:
        The payload.
    deadline:
        Milliseconds since the epoch.
    headers:
        More headers, such as the client context.
    """

    request_id: str
    event: bytes
    deadline: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What the function said: `response`, `error`, or `init` (an error while it started)."""

    kind: str
    request_id: str
    body: bytes


class RuntimeApi:
    """A small HTTP server that one function process talks to.

    Parameters
    ----------
    function_arn:
        Told with each invocation.
    """

    def __init__(self, function_arn: str) -> None:
        self.ready = threading.Event()
        self._function_arn = function_arn
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def send(self, invocation: Invocation) -> None:
        """Hand an event to the function."""
        self._invocations.put(invocation)

    def close(self) -> None:
        """Stop the server."""
        self._invocations.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _next(self) -> Invocation | None:
        self.ready.set()
        return self._invocations.get()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # headers and body in one packet

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                """Hand out the next invocation."""
                invocation = api._next()
                if invocation is None:
                    self._reply(410, b"")
                    return
                headers = {
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                    "Lambda-Runtime-Deadline-Ms": str(invocation.deadline),
                    "Lambda-Runtime-Invoked-Function-Arn": api._function_arn,
                    **invocation.headers,
                }
                self._reply(200, invocation.event, headers)

            def do_POST(self) -> None:
                """Take an answer."""
                body = self._body()
                parts = self.path.split("/")  # /2018-06-01/runtime/invocation/<id>/response
                kind = "init" if parts[3] == "init" else parts[-1]
                api.answers.put(Answer(kind, parts[4] if kind != "init" else "", body))
                self._reply(202, b'{"status":"OK"}')

            def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _body(self) -> bytes:
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

        return Handler
