"""Function URLs: `http://localhost:<port>/_localaws/lambda-url/<id>/` instead of a host name of its own.

Event and answer have payload format 2.0: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html.
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
from localaws.runtime import Runtime

PREFIX = "lambda-url/"

WebAnswer = tuple[int, dict[str, str], bytes]


def _event(environ: dict[str, Any], path: str, host: str) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers |= {"content-type": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {}
    query = environ.get("QUERY_STRING", "")
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
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
        "isBase64Encoded": encoded,
    }
    if query:
        event["queryStringParameters"] = dict(parse_qsl(query, keep_blank_values=True))
    if text:
        event["body"] = text
    return json.dumps(event).encode()


def _answer(outcome: Outcome) -> WebAnswer:
    if outcome.failed:
        return 502, {"Content-Type": "application/json"}, b'{"Message":"Internal Server Error"}'
    returned = json.loads(outcome.payload or b"null")
    if not isinstance(returned, dict) or "statusCode" not in returned:
        text = returned if isinstance(returned, str) else json.dumps(returned)
        return 200, {"Content-Type": "application/json"}, text.encode()
    body = returned.get("body") or ""
    content = body if isinstance(body, str) else json.dumps(body)
    raw = base64.b64decode(content) if returned.get("isBase64Encoded") else content.encode()
    headers = {str(name): str(value) for name, value in (returned.get("headers") or {}).items()}
    return int(returned["statusCode"]), {"Content-Type": "application/json", **headers}, raw


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

    def answer(self, path: str, environ: dict[str, Any], signed: bool) -> WebAnswer:
        """Answer a request to a URL; `path` starts with its identifier."""
        identifier, _, rest = path.partition("/")
        configuration = self._configurations.get(identifier)
        # A URL whose configuration was deleted or replaced is gone.
        if configuration is None or configuration.function.url_config is not configuration:
            return 404, {"Content-Type": "application/json"}, b'{"Message":"Not Found"}'
        if configuration.config.get("AuthType") == "AWS_IAM" and not signed:
            return 403, {"Content-Type": "application/json"}, b'{"Message":"Forbidden"}'
        return _answer(self._invoke(configuration.function, _event(environ, f"/{rest}", identifier)))
