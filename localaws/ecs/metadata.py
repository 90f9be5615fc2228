"""The task metadata endpoint (version 4) and the credentials endpoint of task roles.

True: every container has its own address to ask, with its network address, names and status. Not true: no
statistics. On AWS the endpoint is 169.254.170.2; here it is on loopback, which the SDKs accept for
credentials too.
"""

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from localaws.runtime import Runtime

if TYPE_CHECKING:
    from localaws.ecs.task import Container, Task

CREDENTIALS_LIFETIME = timedelta(minutes=50)
"""Told to the SDKs; a little less than what the credentials really live."""


class Metadata:
    """Answers containers that ask about themselves."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[str, tuple[Task, Container, str | None]] = {}
        self._lock = threading.Lock()
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = answer(self.path)
                body = json.dumps(document if document is not None else {"message": "not found"}).encode()
                self.send_response(200 if document is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing: these requests are of no interest."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        runtime.background("ecs/metadata", self._server.serve_forever)
        runtime.on_shutdown(self._server.shutdown)

    def register(self, task: "Task", container: "Container", role_arn: str | None) -> str:
        """Return the token under which a container finds itself."""
        token = secrets.token_hex(16)
        with self._lock:
            self._known[token] = (task, container, role_arn)
        return token

    def forget(self, task: "Task") -> None:
        """Answer no more for a task."""
        with self._lock:
            self._known = {token: known for token, known in self._known.items() if known[0] is not task}

    def url(self, token: str) -> str:
        """Return ECS_CONTAINER_METADATA_URI_V4."""
        return f"http://127.0.0.1:{self._server.server_port}/v4/{token}"

    def credentials_url(self, token: str) -> str:
        """Return AWS_CONTAINER_CREDENTIALS_FULL_URI."""
        return f"http://127.0.0.1:{self._server.server_port}/credentials/{token}"

    def _answer(self, path: str) -> dict[str, Any] | None:
        kind, _, rest = path.strip("/").partition("/")
        token, _, detail = rest.partition("/")
        known = self._known.get(token)
        if known is None:
            return None
        task, container, role = known
        if kind == "credentials":
            return self._credentials(task, role) if role else None
        if kind == "v4" and detail == "":
            return _container(task, container)
        if kind == "v4" and detail in ("task", "taskWithTags"):
            return {
                "Cluster": task.cluster.arn,
                "TaskARN": task.task_arn,
                "Family": task.definition.family,
                "Revision": str(task.definition.revision),
                "DesiredStatus": task.desired_status,
                "KnownStatus": task.status,
                "LaunchType": task.request.get("launchType") or "FARGATE",
                "AvailabilityZone": f"{self._runtime.region}a",
                "Containers": [_container(task, each) for each in task.containers],
            }
        return None

    def _credentials(self, task: "Task", role: str) -> dict[str, Any]:
        given = self._runtime.role_environment(role, task.id)
        return {
            "RoleArn": role,
            "AccessKeyId": given["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": given["AWS_SECRET_ACCESS_KEY"],
            "Token": given["AWS_SESSION_TOKEN"],
            "Expiration": (datetime.now(UTC) + CREDENTIALS_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def _container(task: "Task", container: "Container") -> dict[str, Any]:
    return {
        "DockerId": f"{task.id}-{container.name}",
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.definition["image"],
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster.arn,
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": task.task_arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.status,
        "Type": "NORMAL",
        "ContainerARN": container.arn,
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.address]}],
    }
