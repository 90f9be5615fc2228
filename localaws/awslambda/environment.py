"""One execution environment: a process of the function, used for one event at a time."""

import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localaws.awslambda.packages import INTERPRETER
from localaws.awslambda.runtime_api import Answer, Invocation, RuntimeApi
from localaws.log_stream import LogStream
from localaws.processes import Process
from localaws.runtime import Runtime

INIT_SECONDS = 10.0
"""Time to start that is not counted against the function's timeout."""

TAIL_BYTES = 4096
POLL_SECONDS = 0.02
LOG_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """What an environment is made from; a function that changes gets new environments.

    Attributes
    ----------
    name, arn, version, handler, role, region:
        Of the function.
    memory_megabytes, timeout_seconds:
        Of the function.
    variables:
        Its environment variables.
    task, opt, runtime:
        Directories of the code, the layers (or None) and AWS's runtime.
    log_group, log_format, log_level:
        Where it logs and how.
    """

    name: str
    arn: str
    version: str
    handler: str
    role: str
    region: str
    memory_megabytes: int
    timeout_seconds: float
    variables: tuple[tuple[str, str], ...]
    task: Path
    opt: Path | None
    runtime: Path
    log_group: str
    log_format: str
    log_level: str | None


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to.

    Attributes
    ----------
    payload:
        The answer, or the error as JSON.
    failed:
        Whether it is an error of the function.
    log:
        The last 4 KB that the invocation logged.
    """

    payload: bytes
    failed: bool
    log: bytes


def error(kind: str, message: str) -> bytes:
    """Return an error as Lambda words it."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


class ExecutionEnvironment:
    """A process of a function.

    Parameters
    ----------
    runtime:
        Of the server.
    settings:
        What to run.
    logs:
        Logs client of the function's role.
    """

    def __init__(self, runtime: Runtime, settings: Settings, logs: object) -> None:
        self.settings = settings
        self.last_used = time.monotonic()
        self._begun = time.monotonic()
        identifier = uuid.uuid4().hex
        stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{settings.version}]{identifier}"
        self._log = LogStream(logs, settings.log_group, stream)
        self._api = RuntimeApi(settings.arn)
        self._directory = runtime.directory / "lambda" / "environments" / identifier
        self._directory.mkdir(parents=True)
        self._tail: list[bytes] = []
        self._drained = threading.Event()
        self._marker = b""
        reader, self._output = os.pipe()
        threading.Thread(target=self._read, args=(reader,), name="function output", daemon=True).start()
        self._reported_init = False
        self.process: Process = runtime.processes.spawn(
            f"lambda {settings.name}",
            # -S: nothing of this machine's site-packages; PYTHONPATH has all that AWS has
            [sys.executable, "-S", "-m", "awslambdaric", settings.handler],
            environment=self._environment(runtime, stream),
            directory=settings.task,
            output=self._output,
        )

    def _environment(self, runtime: Runtime, stream: str) -> Mapping[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
        settings = self.settings
        opt = settings.opt
        python = [settings.task]
        python += [opt / "python", opt / "python" / "lib" / INTERPRETER / "site-packages"] if opt else []
        reserved = {
            "_HANDLER": settings.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{INTERPRETER}",
            "AWS_LAMBDA_FUNCTION_NAME": settings.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_megabytes),
            "AWS_LAMBDA_FUNCTION_VERSION": settings.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": settings.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(settings.task),
            "LAMBDA_RUNTIME_DIR": str(settings.runtime),
            **runtime.role_environment(settings.role, settings.name),
        }
        if settings.log_format == "JSON":
            reserved |= {
                "AWS_LAMBDA_LOG_FORMAT": "JSON",
                "AWS_LAMBDA_LOG_LEVEL": settings.log_level or "INFO",
            }
        libraries = [settings.task, settings.task / "lib", *([opt / "lib"] if opt else [])]
        defaults = {
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "PATH": f"{opt}/bin:/usr/local/bin:/usr/bin:/bin" if opt else "/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "HOME": str(self._directory),
            "TMPDIR": str(self._directory),
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        }
        variables = {**defaults, **dict(settings.variables), **reserved}
        given = variables.get("PYTHONPATH")
        paths = [*map(str, python), *([given] if given else []), str(settings.runtime)]
        return {**variables, "PYTHONPATH": ":".join(paths)}

    # ------------------------------------------------------------------ invocations

    def invoke(self, event: bytes, request_id: str, headers: Mapping[str, str]) -> Outcome:
        """Run one event and return what came of it. Never raises for what the function does."""
        settings = self.settings
        self._tail = []
        cold = not self._api.ready.is_set()
        failure = self._start(request_id) if cold else None
        initialised = (time.monotonic() - self._begun) * 1000
        self._write(f"START RequestId: {request_id} Version: {settings.version}")
        begun = time.monotonic()
        if failure is None:
            deadline = int((time.time() + settings.timeout_seconds) * 1000)
            root = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
            trace = f"Root={root};Parent={uuid.uuid4().hex[:16]};Sampled=0"
            self._api.send(
                Invocation(request_id, event, deadline, {"Lambda-Runtime-Trace-Id": trace, **headers})
            )
            payload, failed = self._wait(request_id, begun + settings.timeout_seconds)
        else:
            payload, failed = failure, True
        milliseconds = (time.monotonic() - begun) * 1000
        report = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {milliseconds:.2f} ms",
            f"Billed Duration: {int(milliseconds) + 1} ms",
            f"Memory Size: {settings.memory_megabytes} MB",
            f"Max Memory Used: {self._memory()} MB",
        ]
        report += [f"Init Duration: {initialised:.2f} ms"] if cold else []
        self._write(f"END RequestId: {request_id}")
        self._drain("\t".join(report) + "\t")
        self.last_used = time.monotonic()
        return Outcome(payload, failed, b"".join(self._tail)[-TAIL_BYTES:])

    def _start(self, request_id: str) -> bytes | None:
        """Wait until the function is loaded; return the error when it is not."""
        limit = self._begun + INIT_SECONDS + self.settings.timeout_seconds
        while not self._api.ready.wait(POLL_SECONDS):
            answer = self._answer()
            if answer is not None:
                self.close()
                return answer.body
            if not self.process.running:
                return self._exit_error(request_id)
            if time.monotonic() > limit:
                self.close()
                return self._timeout_error(request_id)
        return None

    def _wait(self, request_id: str, deadline: float) -> tuple[bytes, bool]:
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self.close()
                return self._timeout_error(request_id), True
            try:
                answer = self._api.answers.get(timeout=min(remaining, POLL_SECONDS * 5))
            except queue.Empty:
                if self.process.running:
                    continue
                late = self._answer()
                if late is None:
                    return self._exit_error(request_id), True
                answer = late
            return answer.body, answer.kind != "response"

    def _answer(self) -> Answer | None:
        try:
            return self._api.answers.get_nowait()
        except queue.Empty:
            return None

    def _timeout_error(self, request_id: str) -> bytes:
        message = (
            f"RequestId: {request_id} Error: Task timed out after {self.settings.timeout_seconds:.2f} seconds"
        )
        self._write(message)
        return error("Sandbox.Timedout", message)

    def _exit_error(self, request_id: str) -> bytes:
        status = self.process.exit_status or 0
        if status == 0:
            reason = "Runtime exited without providing a reason"
        elif status < 0:
            name = signal.strsignal(-status) or str(-status)
            reason = f"Runtime exited with error: signal: {name.lower()}"
        else:
            reason = f"Runtime exited with error: exit status {status}"
        message = f"RequestId: {request_id} Error: {reason}"
        self._write(message)
        return error("Runtime.ExitError", message)

    def _memory(self) -> int:
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 1_048_576

    # ------------------------------------------------------------------ output

    def _write(self, line: str) -> None:
        os.write(self._output, line.encode() + b"\n")

    def _drain(self, last: str) -> None:
        """Write a line and wait until it was read: everything that the function wrote comes before it."""
        self._drained.clear()
        self._marker = last.encode() + b"\n"
        os.write(self._output, self._marker)
        self._drained.wait(LOG_SECONDS)

    def _read(self, reader: int) -> None:
        with open(reader, "rb") as stream:
            for line in stream:
                self._tail.append(line)
                self._log.write(line.decode(errors="replace"))
                if line == self._marker:
                    self._drained.set()

    @property
    def alive(self) -> bool:
        """Whether it can take another event."""
        return self.process.running

    def close(self) -> None:
        """End the process."""
        self.process.kill()

    def dispose(self) -> None:
        """End everything: process, Runtime API and log."""
        self.close()
        self._api.close()
        os.close(self._output)
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)
