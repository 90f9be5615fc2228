"""The awslogs log driver: what a container prints goes to CloudWatch Logs, line by line."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localaws.runtime import Runtime

BATCH = 1000
INTERVAL = 0.5


class LogCopier:
    """Copies one container's output to one log stream.

    Parameters
    ----------
    runtime:
        The server's insides.
    path:
        File that the container writes to.
    group, stream:
        Where the lines go.
    create_group:
        Whether a missing group is made (awslogs-create-group).
    """

    def __init__(self, runtime: Runtime, path: Path, group: str, stream: str, create_group: bool) -> None:
        self._runtime = runtime
        self._path = path
        self._group = group
        self._stream = stream
        self._create_group = create_group
        self._offset = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(
        cls, runtime: Runtime, definition: Mapping[str, Any], task: str, directory: Path
    ) -> "LogCopier | None":
        """Return the copier that a container definition asks for, or None when it logs elsewhere."""
        configuration = definition.get("logConfiguration") or {}
        if configuration.get("logDriver") != "awslogs":
            return None
        options = configuration.get("options") or {}
        name = definition["name"]
        prefix = options.get("awslogs-stream-prefix")
        return cls(
            runtime,
            directory / f"{name}.log",
            options["awslogs-group"],
            f"{prefix}/{name}/{task}" if prefix else task,
            options.get("awslogs-create-group") == "true",
        )

    def create(self) -> None:
        """Create the stream; botocore's ClientError when the group does not exist."""
        logs = self._runtime.client("logs")
        if self._create_group and not any(
            group["logGroupName"] == self._group
            for group in logs.describe_log_groups(logGroupNamePrefix=self._group)["logGroups"]
        ):
            logs.create_log_group(logGroupName=self._group)
        logs.create_log_stream(logGroupName=self._group, logStreamName=self._stream)

    def start(self) -> None:
        """Copy in a thread until `finish`."""
        self._thread = self._runtime.background(f"ecs/logs/{self._stream}", self._run)

    def finish(self) -> None:
        """Copy what is left and end."""
        self._ended.set()
        if self._thread:
            self._thread.join(10)

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._copy(final=False)
        self._copy(final=True)

    def _copy(self, *, final: bool) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = len(data) if final else data.rfind(b"\n") + 1
        self._offset += end
        lines = data[:end].decode(errors="replace").splitlines()
        stamp = int(time.time() * 1000)
        for start in range(0, len(lines), BATCH):
            self._runtime.client("logs").put_log_events(
                logGroupName=self._group,
                logStreamName=self._stream,
                logEvents=[
                    {"timestamp": stamp, "message": line or " "} for line in lines[start : start + BATCH]
                ],
            )
