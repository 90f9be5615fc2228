"""The data plane of an application load balancer: an HTTP(S) listener that follows its rules."""

import fnmatch
import http.client
import random
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from localaws.elbv2.targets import Target, TargetGroups

HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
CHUNK = 64 * 1024


class ListenerServer(ThreadingHTTPServer):
    """The socket of one listener.

    Parameters
    ----------
    address, port:
        Where to listen.
    certificate:
        (certificate, key) of an HTTPS listener; None for HTTP.
    actions:
        Returns the actions for a request: the first rule that matches, else the default.
    targets:
        The target groups that `forward` chooses from.
    idle_timeout:
        Returns the load balancer's idle timeout in seconds.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: str,
        port: int,
        certificate: tuple[Path, Path] | None,
        actions: Callable[["Request"], list[dict[str, Any]]],
        targets: TargetGroups,
        idle_timeout: Callable[[], float],
    ) -> None:
        super().__init__((address, port), Handler)
        self.secure = certificate is not None
        self.actions = actions
        self.targets = targets
        self.idle_timeout = idle_timeout
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # The handshake is left to the connection's own thread.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(
            target=self.serve_forever, name=f"listener {self.server_address}", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop to listen; requests in flight are answered."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to report."""


class Request:
    """What rules look at."""

    def __init__(self, handler: "Handler") -> None:
        self.method = handler.command
        parts = urlsplit(handler.path)
        self.path = parts.path
        self.query = parse_qsl(parts.query, keep_blank_values=True)
        self.headers = handler.headers
        self.host = (handler.headers.get("Host") or "").rsplit(":", 1)[0].lower()
        self.source = str(handler.client_address[0])


def rule_matches(conditions: list[Mapping[str, Any]], request: Request) -> bool:
    """Whether every condition of a rule holds for a request."""
    return all(_holds(condition, request) for condition in conditions)


def _holds(condition: Mapping[str, Any], request: Request) -> bool:
    kind = condition["Field"]
    settings: Mapping[str, Any] = next(
        (value for key, value in condition.items() if key.endswith("Config") and value), {}
    )
    values = settings.get("Values") or condition.get("Values") or []
    if kind == "path-pattern":
        return any(fnmatch.fnmatchcase(request.path, value) for value in values)
    if kind == "host-header":
        return any(fnmatch.fnmatchcase(request.host, value.lower()) for value in values)
    if kind == "http-request-method":
        return request.method in values
    if kind == "http-header":
        header = request.headers.get(settings.get("HttpHeaderName", ""), "")
        return any(fnmatch.fnmatchcase(header, value) for value in values)
    if kind == "query-string":
        return any(
            each["Value"] == value and each.get("Key") in (None, key)
            for each in values
            for key, value in request.query
        )
    return False  # source-ip: everything is loopback here


class Handler(BaseHTTPRequestHandler):
    """One client connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: ListenerServer

    def setup(self) -> None:
        """Give idle connections the load balancer's timeout."""
        super().setup()
        self.connection.settimeout(self.server.idle_timeout())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Access logs go to S3 on AWS and nowhere here."""

    def _answer(self) -> None:
        request = Request(self)
        for action in sorted(self.server.actions(request), key=lambda each: each.get("Order") or 0):
            kind = action.get("Type")
            if kind == "fixed-response":
                settings = action["FixedResponseConfig"]
                self._say(
                    int(settings["StatusCode"]),
                    (settings.get("MessageBody") or "").encode(),
                    settings.get("ContentType") or "text/plain",
                )
                return
            if kind == "redirect":
                self._redirect(request, action["RedirectConfig"])
                return
            if kind == "forward":
                self._forward(_group_of(action))
                return
        self._say(501, b"This action is not implemented by the local AWS")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815

    def _say(self, status: int, body: bytes = b"", kind: str = "text/html", **headers: str) -> None:
        """Answer ourselves, as the load balancer does."""
        for _ in self._body():  # what the client still sends must not be taken for its next request
            continue
        if not body and status >= 500:
            words = http.client.responses.get(status, "")
            body = f"<html>\r\n<head><title>{status} {words}</title></head>\r\n</html>\r\n".encode()
        self.send_response_only(status)
        for name, value in {"Server": "awselb/2.0", "Date": self.date_time_string(), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _redirect(self, request: Request, settings: Mapping[str, Any]) -> None:
        present = {
            "protocol": "https" if self.server.secure else "http",
            "host": request.host,
            "port": str(self.server.server_port),
            "path": request.path.lstrip("/"),
            "query": urlsplit(self.path).query,
        }

        def fill(value: str) -> str:
            for name, text in present.items():
                value = value.replace(f"#{{{name}}}", text)
            return value

        protocol = fill(settings.get("Protocol") or "#{protocol}").lower()
        port = fill(settings.get("Port") or "#{port}")
        shown = "" if (protocol, port) in (("http", "80"), ("https", "443")) else f":{port}"
        query = fill(settings.get("Query", "#{query}") or "")
        host, path = fill(settings.get("Host") or "#{host}"), fill(settings.get("Path") or "/#{path}")
        location = f"{protocol}://{host}{shown}{path}"
        self._say(
            301 if settings["StatusCode"] == "HTTP_301" else 302,
            Location=location + (f"?{query}" if query else ""),
        )

    def _forward(self, arn: str | None) -> None:
        target = self.server.targets.choose(arn) if arn else None
        if target is None:
            self._say(503)
            return
        with target.serving():
            self._pass_on(target)

    def _pass_on(self, target: Target) -> None:
        connection = http.client.HTTPConnection(
            target.address, target.port, timeout=self.server.idle_timeout()
        )
        try:
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._send(connection)
                response = connection.getresponse()
            except TimeoutError:
                self.close_connection = True
                self._say(504)
                return
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                self._say(502)
                return
            self._return(response)
        finally:
            connection.close()

    def _send(self, connection: http.client.HTTPConnection) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        chunked = "chunked" in (self.headers.get("Transfer-Encoding") or "").lower()
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP and not name.lower().startswith("x-forwarded-"):
                connection.putheader(name, value)
        before = self.headers.get("X-Forwarded-For")
        client = str(self.client_address[0])
        connection.putheader("X-Forwarded-For", f"{before}, {client}" if before else client)
        connection.putheader("X-Forwarded-Proto", "https" if self.server.secure else "http")
        connection.putheader("X-Forwarded-Port", str(self.server.server_port))
        if "X-Amzn-Trace-Id" not in self.headers:
            connection.putheader("X-Amzn-Trace-Id", f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}")
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for part in self._body():
            connection.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        if chunked:
            connection.send(b"0\r\n\r\n")

    def _body(self) -> Iterator[bytes]:
        """Yield what is left of the request's body."""
        if getattr(self, "_read", None) is self.headers:
            return
        self._read = self.headers
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                continue
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (part := self.rfile.read(min(CHUNK, left))):
            left -= len(part)
            yield part

    def _return(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or response.status in (204, 304) or response.status < 200
        known = response.getheader("Content-Length") is not None
        chunked = not bodiless and not known and self.request_version == "HTTP/1.1"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not bodiless and not known:
            self.close_connection = True
        self.end_headers()
        if bodiless:
            return
        while part := response.read1(CHUNK):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            self.wfile.flush()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")


def _group_of(action: Mapping[str, Any]) -> str | None:
    """Return the target group of a forward action: the only one, or one drawn by weight.

    None when every weight is 0.
    """
    if action.get("TargetGroupArn"):
        return str(action["TargetGroupArn"])
    groups = action["ForwardConfig"]["TargetGroups"]
    weights = [int(each.get("Weight", 1)) for each in groups]
    if not any(weights):
        return None
    return str(random.choices(groups, weights)[0]["TargetGroupArn"])  # noqa: S311 - not a secret
