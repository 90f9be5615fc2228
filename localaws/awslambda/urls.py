"""Function URLs: `http://localhost:<port>/_localaws/lambda-url/<id>/` instead of a host name of its own.

Event and answer have payload format 2.0: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html.
True: method, path, query, headers, cookies in both directions, bodies in base64 unless they are text,
the largest request. Not true: the resource policy of a function is not evaluated (AuthType is); CORS and
streaming are kept and have no effect; the address is a path, so `/` in a page means this server.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from moto.awslambda.models import FunctionUrlConfig, LambdaFunction

from localaws.awslambda.environment import Outcome
from localaws.runtime import RouteAnswer, Runtime

PREFIX = "lambda-url/"

LARGEST_BYTES = 6 * 1024 * 1024
"""Of a request's or an answer's payload."""

TEXT = ("text/", "application/json", "application/javascript", "application/xml")
"""Content types whose bodies the function gets as they are; any other arrives in base64, forms too."""

JSON = ("Content-Type", "application/json")


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name, variable in (("content-type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH")):
        if environ.get(variable):
            headers[name] = environ[variable]
    return headers


def _event(environ: dict[str, Any], path: str, host: str, body: bytes) -> bytes:
    headers = _headers(environ)
    cookies = [each.strip() for each in headers.pop("cookie", "").split(";") if each.strip()]
    query = environ.get("QUERY_STRING", "")
    encoded = not headers.get("content-type", "text/plain").lower().startswith(TEXT)
    if not encoded:
        try:
            body.decode()
        except UnicodeDecodeError:
            encoded = True
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": host,
            "domainName": host,
            "domainPrefix": host,
            "http": {
                "method": environ["REQUEST_METHOD"],
                "path": path,
                "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": encoded and bool(body),
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            values.setdefault(name, []).append(value)
        event["queryStringParameters"] = {name: ",".join(found) for name, found in values.items()}
    if body:
        event["body"] = base64.b64encode(body).decode() if encoded else body.decode()
    return json.dumps(event).encode()


def _answer(outcome: Outcome) -> RouteAnswer:
    if outcome.failed:
        return _failure()
    returned = json.loads(outcome.payload or b"null")
    if not isinstance(returned, dict) or "statusCode" not in returned:
        text = returned if isinstance(returned, str) else json.dumps(returned)
        return 200, [JSON], text.encode()
    body = returned.get("body") or ""
    content = body if isinstance(body, str) else json.dumps(body)
    try:
        status = int(returned["statusCode"])
        raw = base64.b64decode(content) if returned.get("isBase64Encoded") else content.encode()
    except ValueError:
        return _failure()
    headers = {str(name): str(value) for name, value in (returned.get("headers") or {}).items()}
    if not any(name.lower() == "content-type" for name in headers):
        headers |= [JSON]
    cookies = [("Set-Cookie", str(cookie)) for cookie in returned.get("cookies") or []]
    return status, [*headers.items(), *cookies], raw


def _failure() -> RouteAnswer:
    return 502, [JSON], b'{"Message":"Internal Server Error"}'


class FunctionUrls:
    """The URLs of all functions.

    Parameters
    ----------
    runtime:
        Of the server.
    invoke:
        Runs an event on a function.
    """

    def __init__(self, runtime: Runtime, invoke: Callable[[LambdaFunction, bytes], Outcome]) -> None:
        self._runtime = runtime
        self._invoke = invoke
        self._configurations: dict[str, FunctionUrlConfig] = {}

    def install(self) -> None:
        """Give every URL an address on this server."""
        urls = self
        stock_init = FunctionUrlConfig.__init__

        def init(self: FunctionUrlConfig, function: LambdaFunction, config: dict[str, Any]) -> None:
            stock_init(self, function, config)
            identifier = uuid.uuid4().hex
            self.url = f"{urls._runtime.endpoint}/_localaws/{PREFIX}{identifier}/"
            urls._configurations[identifier] = self

        FunctionUrlConfig.__init__ = init
        self._runtime.routes[PREFIX] = self.answer

    def answer(self, path: str, environ: dict[str, Any], signed: bool) -> RouteAnswer:
        """Answer a request to a URL; `path` starts with its identifier."""
        identifier, _, rest = path.partition("/")
        configuration = self._configurations.get(identifier)
        # A URL whose configuration was deleted or replaced is gone.
        if configuration is None or configuration.function.url_config is not configuration:
            return 404, [JSON], b'{"Message":"Not Found"}'
        if configuration.config.get("AuthType") == "AWS_IAM" and not signed:
            return 403, [JSON], b'{"Message":"Forbidden"}'
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > LARGEST_BYTES:
            return 413, [JSON], b'{"Message":"Request Entity Too Large"}'
        body = environ["wsgi.input"].read(length)
        return _answer(self._invoke(configuration.function, _event(environ, f"/{rest}", identifier, body)))
