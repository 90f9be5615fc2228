"""Start and stop the local AWS through its own command line, as a person would."""

import json
import os
import shlex
import sys
import urllib.request
from pathlib import Path
from typing import Any

from examples.commands import PROJECT, CommandFailedError, run

_UP_SECONDS = 120


class LocalServer:
    """One local AWS.

    Parameters
    ----------
    port
        Where it listens.
    directory
        Everything that it writes; None for its default.
    log
        Output of its command line.
    """

    def __init__(self, port: int, directory: Path | None, log: Path) -> None:
        self.port = port
        self.log = log
        self._directory = directory

    @property
    def endpoint(self) -> str:
        """URL of every service."""
        return f"http://localhost:{self.port}"

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.status()
        except OSError:
            return False
        return True

    def status(self) -> dict[str, Any]:
        """Return services, processes and crashes."""
        url = f"{self.endpoint}/_localaws/status"
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own endpoint
            return dict(json.load(response))

    def up(self) -> None:
        """Start it, or do nothing when it runs."""
        self._command("up", "--images", str(PROJECT / "examples" / "images.json"))

    def down(self) -> None:
        """Stop it and every process that it started."""
        self._command("down")

    def reset(self) -> None:
        """Empty it."""
        self._command("reset")

    def variables(self) -> dict[str, str]:
        """Return the variables that point the AWS tools at it."""
        printed = self._command("env")
        variables = dict(
            word.split("=", 1)
            for line in printed.splitlines()
            for word in shlex.split(line.removeprefix("export "), comments=True)
            if "=" in word
        )
        if "AWS_ENDPOINT_URL" not in variables:
            raise CommandFailedError(f"python -m localaws env printed no AWS_ENDPOINT_URL; see {self.log}")
        return variables

    def use(self) -> None:
        """Point this process, and what it starts, at this server and at nothing else."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(self.variables())

    def fail_next(
        self,
        service: str,
        action: str,
        error: str,
        message: str,
        *,
        principal: str | None = None,
        resource: str | None = None,
    ) -> None:
        """Make the next call of one action fail.

        Parameters
        ----------
        principal, resource
            Only of a caller with this in its ARN; of S3's calls, only on this bucket or object.
        """
        body = {
            "service": service,
            "action": action,
            "error": error,
            "message": message,
            "principal": principal,
            "resource": resource,
        }
        self._faults("POST", body)

    def clear_faults(self) -> None:
        """Forget every fault that was ordered."""
        self._faults("DELETE", None)

    def set_single_copy_limit(self, limit: int) -> None:
        """Let S3 copy no more than so many bytes in one request: in AWS it is 5 GiB."""
        self._control("POST", "s3/single-copy-limit", {"bytes": limit})

    def _faults(self, method: str, body: dict[str, Any] | None) -> None:
        self._control(method, "faults", body)

    def _control(self, method: str, path: str, body: dict[str, Any] | None) -> None:
        request = urllib.request.Request(  # noqa: S310 - our own endpoint
            f"{self.endpoint}/_localaws/{path}",
            json.dumps(body).encode() if body else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - our own endpoint
            pass

    def _command(self, name: str, *more: str) -> str:
        place = ["--directory", str(self._directory)] if self._directory else []
        command = [sys.executable, "-m", "localaws", name, "--port", str(self.port), *place, *more]
        return run(command, log=self.log, timeout_seconds=_UP_SECONDS)
