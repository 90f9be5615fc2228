"""The record of every request: one line of JSON each in `requests.jsonl`."""

import json
import threading
import time
from pathlib import Path
from typing import IO


class RequestRecord:
    """Appends to the record of one server; safe to use from several threads.

    Parameters
    ----------
    file:
        Made with the first line; its directory must exist by then.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file: IO[str] | None = None
        self._lock = threading.Lock()

    def write(
        self,
        principal: str | None,
        service: str,
        action: str,
        resource: str | None,
        status: int,
        seconds: float,
    ) -> None:
        """Write one line about a request that was answered.

        Parameters
        ----------
        principal:
            ARN of the caller, or what kind it is when it has none; None when it is unknown.
        service, action:
            As in boto3 and in the API.
        resource:
            `bucket/key` of an S3 request, otherwise None.
        status:
            HTTP status of the answer.
        seconds:
            How long the answer took.
        """
        line = json.dumps(
            {
                "at": round(time.time(), 3),
                "principal": principal,
                "service": service,
                "action": action,
                "resource": resource,
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
            }
        )
        with self._lock:
            if self._file is None:
                self._file = self._path.open("a", buffering=1)
            self._file.write(line + "\n")
