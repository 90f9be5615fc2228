"""The server: moto behind one door that knows who calls, and the modules that make services real."""

import importlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from localaws.images import Images
from localaws.postgresql import PostgreSQL, PostgreSQLNotFoundError
from localaws.runtime import Runtime
from localaws.terraform_mirror import configuration_file

MODULES = (
    # What makes a service real, in order. A line here is all that a new module needs.
    "localaws.sts",
    "localaws.s3",
    "localaws.s3control",
    "localaws.sqs",
    "localaws.ec2",
    "localaws.secretsmanager",
    "localaws.awslambda",
    "localaws.codebuild",
    "localaws.ecr",
    "localaws.codeconnections",
    "localaws.codepipeline",
    "localaws.rds",
    "localaws.elbv2",
    "localaws.acm",
    "localaws.wafv2",
    "localaws.cloudfront",
    "localaws.ecs",
    "localaws.applicationautoscaling",
    "localaws.codedeploy",
    "localaws.events",
    "localaws.scheduler",
    "localaws.stepfunctions",
    "localaws.cloudformation",
)

CONTROL = "/_localaws/"


@dataclass(frozen=True)
class Options:
    """What a server is started with.

    Attributes
    ----------
    directory:
        Everything it writes goes below it.
    port:
        Where it listens, on loopback addresses.
    images:
        The images file (localaws.images), or None.
    """

    directory: Path
    port: int
    images: Path | None = None


def build_runtime(options: Options) -> Runtime:
    """Return the runtime of a new server."""
    postgresql = PostgreSQL()
    try:
        tools = [postgresql.binaries()]
    except PostgreSQLNotFoundError:
        tools = []  # builds do without; RDS names the remedy when an instance is asked for
    images = Images(options.images, tools, terraform_environment(options.directory))
    return Runtime(options.directory, options.port, images, postgresql)


def terraform_environment(directory: Path) -> dict[str, str]:
    """Return what Terraform needs in a build to find its provider: nothing, or a mirror's configuration."""
    file = configuration_file(os.environ, directory / "terraform.rc")
    return {} if file is None else {"TF_CLI_CONFIG_FILE": str(file)}


StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Door:
    """The WSGI application: control paths, then who calls, then faults, then moto.

    Parameters
    ----------
    runtime:
        Of this server.
    """

    def __init__(self, runtime: Runtime) -> None:
        # moto reads its configuration at import: only now is everything in place.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        from localaws.authorisation import Gate
        from localaws.faults import Faults

        self._runtime = runtime
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._gate = Gate(runtime.administrator, runtime.account_id, runtime.requests)
        self.faults = Faults()
        self._started_at = time.time()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL):
            return self._control(path.removeprefix(CONTROL), environ, start_response)
        return self._call(environ, start_response)

    def _call(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        from localaws.authorisation import RequestContext, authorise
        from localaws.operations import OPERATION_KEY, Refusal, identify
        from localaws.principals import ENVIRON_KEY, Principal
        from localaws.unimplemented import refusal

        begun = time.monotonic()
        operation = identify(environ)
        principal: Principal | None = None
        answered: list[tuple[str, list[tuple[str, str]]]] = []
        try:
            principal = self._gate.principal(operation, session_token(environ))
            environ |= {ENVIRON_KEY: principal, OPERATION_KEY: operation}
            authorise(RequestContext(principal, operation, environ))
            self.faults.check(operation, principal)
            service = self._runtime.services.get(operation.service)
            if service is None:
                body = self._moto_answer(environ, answered)
            else:
                body = _own_answer(service, operation, environ, answered)
            status, headers = answered[0]
            if _unrouted(status, body, operation.action):
                raise refusal(operation)
        except NotImplementedError as error:
            status, headers, body = self._refuse(refusal(operation, str(error)), operation, environ)
        except Refusal as error:
            status, headers, body = self._refuse(error, operation, environ)
        except Exception as error:
            self._runtime.log.exception("%s:%s", operation.service, operation.action)
            failure = Refusal(500, "InternalFailure", f"{type(error).__name__}: {error}")
            status, headers, body = self._refuse(failure, operation, environ)
        self._gate.record(principal, operation, int(status.split()[0]), time.monotonic() - begun)
        start_response(status, headers)
        return [body]

    def _moto_answer(
        self, environ: dict[str, Any], answered: list[tuple[str, list[tuple[str, str]]]]
    ) -> bytes:
        parts = self._moto(environ, lambda status, headers, *_: answered.append((status, headers)))
        try:
            return b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()

    @staticmethod
    def _refuse(
        error: Any, operation: Any, environ: dict[str, Any]
    ) -> tuple[str, list[tuple[str, str]], bytes]:
        from localaws.operations import wire_error

        number, headers, body = wire_error(error, operation, environ.get("CONTENT_TYPE", ""))
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        headers["Content-Length"] = str(len(body))
        return f"{number} {error.code}", list(headers.items()), body

    def _control(self, name: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        from localaws.faults import Fault

        for prefix, route in self._runtime.routes.items():
            if name.startswith(prefix):
                return self._route(route, name.removeprefix(prefix), environ, start_response)
        method = environ["REQUEST_METHOD"]
        kind, status, body = "application/json", "200 OK", b"{}"
        match method, name:
            case "GET", "status":
                body = json.dumps(self.status(), indent=2).encode()
            case "GET", "certificate-bundle.pem":
                kind, body = "application/x-pem-file", self._runtime.certificates.authority.read_bytes()
            case "GET", "faults":
                body = json.dumps([fault.model_dump() for fault in self.faults.armed]).encode()
            case "DELETE", "faults":
                self.faults.clear()
            case "POST", "faults":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                try:
                    self.faults.add(Fault.model_validate_json(environ["wsgi.input"].read(length)))
                except ValidationError as error:
                    status, body = (
                        "400 Bad Request",
                        error.json(include_url=False, include_input=False).encode(),
                    )
            case _:
                status, body = (
                    "404 Not Found",
                    json.dumps({"message": f"{method} {name} is unknown"}).encode(),
                )
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _route(
        self, route: Any, path: str, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        from localaws.operations import Refusal, identify

        operation = identify(environ)
        try:
            self._gate.principal(operation, session_token(environ))
            signed = operation.access_key is not None
        except Refusal:
            signed = False
        number, headers, body = route(path, environ, signed)
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(f"{number} Answer", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def status(self) -> dict[str, Any]:
        """Return what `status` shows: server, services, processes, crashes."""
        runtime = self._runtime
        return {
            "server": "localaws",
            "pid": os.getpid(),
            "port": runtime.port,
            "endpoint": runtime.endpoint,
            "directory": str(runtime.directory),
            "started_at": self._started_at,
            "environment": runtime.environment(),
            "services": [name.rpartition(".")[2] for name in MODULES],
            "instances": {service: listing() for service, listing in runtime.instances.items()},
            "processes": [
                {"name": process.name, "pid": process.pid, "started_at": process.started_at}
                for process in runtime.processes.running
            ],
            "addresses": runtime.addresses.owners,
            "crashes": runtime.processes.crashes,
            "failures": runtime.failures,
        }


def _own_answer(
    service: Callable[[Any, dict[str, Any]], dict[str, Any]],
    operation: Any,
    environ: dict[str, Any],
    answered: list[tuple[str, list[tuple[str, str]]]],
) -> bytes:
    """Answer a call of a service that moto does not have; all of those speak JSON."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = json.dumps(service(operation, json.loads(environ["wsgi.input"].read(length) or b"{}"))).encode()
    kind = environ.get("CONTENT_TYPE", "application/x-amz-json-1.0")
    answered.append(("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))]))
    return body


def session_token(environ: dict[str, Any]) -> str | None:
    """Return the session token of a request: a header, or in a presigned address a parameter."""
    header = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    values = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Security-Token")
    return header or (values[0] if values else None)


def _unrouted(status: str, body: bytes, action: str) -> bool:
    """Return whether moto has no route for the request: an empty 404, or Flask's own page."""
    if not status.startswith("404"):
        return False
    return b"<title>404 Not Found</title>" in body or (not body and action == "Unknown")


def list_services_once() -> None:
    """Let moto remember which services it has: it lists its folder twice for every request, under a lock."""
    from moto import backends

    services = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services


class Server:
    """A running server.

    Parameters
    ----------
    options:
        What to start.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.runtime = build_runtime(options)
        self._prepare_moto()
        self.door = Door(self.runtime)
        for name in MODULES:
            importlib.import_module(name).install(self.runtime)
        self._listener = _listen(options.port, self.door)
        self._thread = threading.Thread(target=self._listener.serve_forever, name="server", daemon=True)

    def _prepare_moto(self) -> None:
        os.environ["MOTO_PORT"] = str(self.options.port)
        from moto.core.config import default_user_config

        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        default_user_config["iam"] = {"load_aws_managed_policies": True}
        list_services_once()

    def start(self) -> None:
        """Answer requests, in a thread."""
        (self.options.directory / "aws-config").write_text("")
        (self.options.directory / "aws-credentials").write_text("")
        self._thread.start()
        self.runtime.log.info("listening on %s", self.runtime.endpoint)

    def stop(self) -> None:
        """Stop what runs on the server, then the server."""
        self.runtime.shut_down()
        self._listener.shutdown()
        self._listener.server_close()


def _listen(port: int, application: Any) -> Any:
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class RequestHandler(MotoRequestHandler):  # type: ignore[misc]
        disable_nagle_algorithm = True
        # Headers and body leave together: now and then Terraform's provider gives up a connection on which
        # the body comes a moment after the headers, and asks once more for what was done already.
        wbufsize = 256 * 1024
        timeout = 600  # an idle connection must not keep its thread for ever

        def log(self, *_: Any, **__: Any) -> None:
            """Say nothing: requests.jsonl has every request."""

    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=RequestHandler)
    server.daemon_threads = True
    return server


def serve(options: Options) -> None:
    """Run a server in this process until SIGINT or SIGTERM, then stop everything that runs on it.

    Raises
    ------
    OSError
        The port is taken.
    localaws.images.ImagesFileError
        The images file cannot be read.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    log = logging.getLogger("localaws")
    log.setLevel(logging.INFO)
    handler = logging.FileHandler(options.directory / "server.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    server = Server(options)
    server.start()
    try:
        stop.wait()
    finally:
        log.info("stopping")
        server.stop()
