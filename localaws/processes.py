"""Local processes: started in a group of their own, watched, and never left behind.

A process ends with the server in three ways. An orderly stop ends its group. When the server is killed, the
kernel kills the process (PR_SET_PDEATHSIG). What that leaves (children of children) is found by `reap`, which
the next `up` or `down` calls: every process is registered in a file with its start time, so a recycled
process id is never mistaken for ours.

A server that holds gigabytes is slow to fork: the kernel copies its page tables, and all threads wait. So the
death signal and the user are set by `setpriv` on the way to the program, which lets Python use vfork. Where
there is no such `setpriv`, the child sets them itself, after a fork.
"""

import ctypes
import errno
import functools
import json
import os
import pwd
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass
from logging import Logger
from pathlib import Path
from typing import IO, Any

import psutil

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 10.0
START_TIME_TOLERANCE = 1.0
"""Seconds; psutil computes start times from the boot time, which drifts a little."""

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends (runs after fork)."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@functools.cache
def _setpriv() -> str | None:
    """Return the path of a `setpriv` that knows the death signal (util-linux 2.33 and newer), or None."""
    path = shutil.which("setpriv")
    if path is None:
        return None
    tried = subprocess.run([path, "--pdeathsig", "KILL", "true"], capture_output=True, check=False)
    return path if tried.returncode == 0 else None


def _start(
    command: list[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    output: IO[bytes] | int | None,
    user: str | None,
) -> "subprocess.Popen[bytes]":
    """Start a program that dies with the calling thread.

    Raises
    ------
    OSError
        The program or the directory is not there, or may not be used.
    """
    group = pwd.getpwnam(user).pw_gid if user else None
    through: list[str] = []
    by_the_child: dict[str, Any] = {}
    if (setpriv := _setpriv()) is not None:
        # setpriv would tell it in the output, where nobody looks.
        _find_program(command[0], environment, directory)
        through = [setpriv, "--pdeathsig", "KILL"]
        through += ["--reuid", user, "--regid", str(group), "--clear-groups"] if user else []
        through.append("--")
    else:
        by_the_child = {"user": user, "group": group, "extra_groups": [] if user else None}
        by_the_child["preexec_fn"] = _die_with_parent  # one prctl call, libc is loaded: safe after fork
    return subprocess.Popen(
        [*through, *command],
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **by_the_child,
    )


def _find_program(name: str, environment: Mapping[str, str], directory: Path) -> None:
    """Raise the OSError that executing a program would raise."""
    if "/" in name:
        places = [directory / name]
    else:
        places = [Path(place, name) for place in os.get_exec_path(environment)]
    found = [place for place in places if place.is_file()]
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    if not any(os.access(place, os.X_OK) for place in found):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)


@dataclass(frozen=True)
class Crash:
    """A process that ended by itself with a failure.

    Attributes
    ----------
    name, pid:
        Which one.
    exit_status:
        As `subprocess` has it: negative is a signal.
    at:
        Seconds since the epoch.
    """

    name: str
    pid: int
    exit_status: int
    at: float


class Process:
    """A running, or ended, local process. Made by `Supervisor.spawn`."""

    def __init__(self, name: str, arguments: Sequence[str], popen: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self.arguments = list(arguments)
        self.pid = popen.pid
        self.started_at = time.time()
        self._popen = popen
        self._ended = threading.Event()
        self._descendants: set[psutil.Process] = set()
        self.stopping = False

    @property
    def running(self) -> bool:
        """Whether the process has not been seen to end."""
        return not self._ended.is_set()

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._popen.returncode if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait up to `timeout` seconds for the end; return the exit status, or None when it still runs."""
        self._ended.wait(timeout)
        return self.exit_status

    def send(self, number: int) -> None:
        """Send a signal to every process of the group; nothing happens when it has ended."""
        # Remembered while their parents still run: the end of a container also ends what left its session.
        if self.running:
            with suppress(psutil.NoSuchProcess):
                self._descendants.update(psutil.Process(self.pid).children(recursive=True))
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def terminate(self, grace: float = GRACE_SECONDS, number: int = signal.SIGTERM) -> int | None:
        """End the group: `number`, then SIGKILL after `grace` seconds; return its status. No crash."""
        self.stopping = True
        if self.running:
            self.send(number)
            self.wait(grace)
        self.send(signal.SIGKILL)
        return self.wait(GRACE_SECONDS)

    def kill(self) -> int | None:
        """End the group at once."""
        return self.terminate(grace=0, number=signal.SIGKILL)

    def _finish(self) -> None:
        self._popen.wait()
        self._ended.set()

    def _end_descendants(self) -> None:
        for descendant in self._descendants:
            with suppress(psutil.NoSuchProcess):
                descendant.kill()  # psutil knows a recycled process id from the one it saw


class Supervisor:
    """Starts and watches local processes.

    Parameters
    ----------
    registry:
        Directory with one small file per running process, for `reap`.
    log:
        Where crashes are told.
    """

    def __init__(self, registry: Path, log: Logger) -> None:
        self._registry = registry
        self._log = log
        self._processes: dict[int, Process] = {}
        self._crashes: deque[Crash] = deque(maxlen=100)
        self._lock = threading.Lock()
        self._closed = False
        self._starts: queue.SimpleQueue[
            tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]
        ]
        self._starts = queue.SimpleQueue()
        registry.mkdir(parents=True, exist_ok=True)
        # PR_SET_PDEATHSIG fires when the *thread* that forked ends, and request threads end with the request:
        # one thread that lives as long as the server does every fork.
        threading.Thread(target=self._fork_for_others, name="spawner", daemon=True).start()

    def _fork_for_others(self) -> None:
        while True:
            start, result = self._starts.get()
            try:
                result.set_result(start())
            except BaseException as error:
                result.set_exception(error)

    def spawn(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        directory: Path,
        output: Path | int,
        user: str | None = None,
        on_exit: Callable[[Process], None] | None = None,
    ) -> Process:
        """Start a process in a session and process group of its own.

        Parameters
        ----------
        name:
            How `status` calls it.
        arguments:
            Program and arguments; the program is looked up on the PATH of `environment`.
        environment:
            The whole environment: nothing is inherited.
        directory:
            Working directory.
        output:
            File that standard output and error are appended to, or a file descriptor (stays open here).
        user:
            Account to run as, when we are root.
        on_exit:
            Called in a thread of its own with the ended process.

        Raises
        ------
        OSError
            The program cannot be started.
        RuntimeError
            The server is stopping.
        """
        if self._closed:
            raise RuntimeError(f"the server is stopping: {name} is not started")
        command = [str(part) for part in arguments]
        opened = output.open("ab") if isinstance(output, Path) else None
        target = output if isinstance(output, int) else opened

        def start() -> "subprocess.Popen[bytes]":
            return _start(command, environment=environment, directory=directory, output=target, user=user)

        result: Future[subprocess.Popen[bytes]] = Future()
        try:
            self._starts.put((start, result))
            process = Process(name, command, result.result())
        finally:
            if opened:
                opened.close()
        with self._lock:
            self._processes[process.pid] = process
            self._entry(process.pid).write_text(
                json.dumps(
                    {"pid": process.pid, "name": name, "started_at": process.started_at, "arguments": command}
                )
            )
        threading.Thread(
            target=self._watch, args=(process, on_exit), name=f"watch {name}", daemon=True
        ).start()
        if self._closed:
            process.kill()
        return process

    def _entry(self, pid: int) -> Path:
        return self._registry / f"{pid}.json"

    def _watch(self, process: Process, on_exit: Callable[[Process], None] | None) -> None:
        process._finish()
        status = process.exit_status or 0
        with self._lock:
            self._processes.pop(process.pid, None)
            if status != 0 and not process.stopping:
                self._crashes.append(Crash(process.name, process.pid, status, time.time()))
                self._log.warning("%s (process %d) ended with %d", process.name, process.pid, status)
        # What the leader left behind in its group must not outlive it.
        process.send(signal.SIGKILL)
        process._end_descendants()
        self._entry(process.pid).unlink(missing_ok=True)
        if on_exit is not None:
            try:
                on_exit(process)
            except Exception:
                self._log.exception("after the end of %s", process.name)

    @property
    def running(self) -> list[Process]:
        """Processes that run, oldest first."""
        with self._lock:
            return sorted(self._processes.values(), key=lambda process: process.started_at)

    @property
    def crashes(self) -> list[dict[str, object]]:
        """The latest processes that ended by themselves with a failure, oldest first."""
        with self._lock:
            return [asdict(crash) for crash in self._crashes]

    def stop_all(self) -> None:
        """End every process, all at the same time, and wait. Nothing can be started afterwards."""
        self._closed = True
        threads = [threading.Thread(target=process.terminate) for process in self.running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def reap(registry: Path) -> list[str]:
    """Kill what a killed server left behind; return a line per process.

    A process is ours when its session was opened by a registered process: same session id, not older than
    the registration, and the leader (when it lives) started at the registered time.
    """
    ended: list[str] = []
    for entry in sorted(registry.glob("*.json")) if registry.is_dir() else []:
        try:
            recorded = json.loads(entry.read_text())
        except ValueError:  # the server died while it wrote the file
            entry.unlink()
            continue
        for process in _session(recorded["pid"], recorded["started_at"]):
            with suppress(psutil.NoSuchProcess):
                ended.append(
                    f"{recorded['name']}: process {process.pid} ({' '.join(process.cmdline())[:80]})"
                )
                process.kill()
                process.wait(GRACE_SECONDS)
        entry.unlink()
    return ended


def _session(leader: int, started_at: float) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            if os.getsid(process.pid) != leader:
                continue
            age = process.create_time() - started_at
            if process.pid == leader and abs(age) > START_TIME_TOLERANCE:
                return []  # the process id was given to somebody else
            if age >= -START_TIME_TOLERANCE and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members
