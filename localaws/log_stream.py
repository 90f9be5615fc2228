"""Sends lines to a CloudWatch log stream in small batches, for Lambda and CodeBuild."""

import threading
import time
from typing import Any

from botocore.exceptions import ClientError

INTERVAL_SECONDS = 0.25
MAXIMUM_BATCH = 1000
MAXIMUM_MESSAGE = 200_000
"""Characters; CloudWatch takes 256 KB per event."""


class LogStream:
    """One log stream; lines appear within a fraction of a second.

    Parameters
    ----------
    client:
        Logs client of the role that writes.
    group, stream:
        Made when they are missing.
    """

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self.group = group
        self.stream = stream
        self._pending: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._made = False
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._send_until_closed, name=f"logs {stream}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line."""
        event = {"timestamp": int(time.time() * 1000), "message": line[:MAXIMUM_MESSAGE] or " "}
        with self._lock:
            self._pending.append(event)

    def close(self) -> None:
        """Send what is queued and stop."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def flush(self) -> None:
        """Send what is queued."""
        with self._lock:
            events, self._pending = self._pending, []
        for start in range(0, len(events), MAXIMUM_BATCH):
            try:
                self._make()
                self._client.put_log_events(
                    logGroupName=self.group,
                    logStreamName=self.stream,
                    logEvents=events[start : start + MAXIMUM_BATCH],
                )
            except ClientError as error:
                # As in AWS: a role that may not write logs loses them, the work goes on.
                self.error = error

    def _make(self) -> None:
        if self._made:
            return
        for call, arguments in (
            (self._client.create_log_group, {"logGroupName": self.group}),
            (self._client.create_log_stream, {"logGroupName": self.group, "logStreamName": self.stream}),
        ):
            try:
                call(**arguments)
            except self._client.exceptions.ResourceAlreadyExistsException:
                continue
        self._made = True

    def _send_until_closed(self) -> None:
        while not self._closed:
            self._wake.wait(INTERVAL_SECONDS)
            self.flush()
        self.flush()
