"""What every job is handed: its inputs and the means to work with them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from job_support.errors import JobError
from job_support.progress import Progress, say
from job_support.run_folder import RunFolder

from database_jobs.client_tools import ClientTools
from database_jobs.connections import Server, major
from database_jobs.inputs import JobInputs


@dataclass
class JobContext:
    """A job's surroundings.

    Parameters
    ----------
    inputs
        The checked options.
    folder
        The run folder.
    progress
        Where the job tells how far it is.
    directory
        A private temporary directory, deleted when the job ends.
    secrets
        A boto3 Secrets Manager client.
    servers
        By side (`source`, `candidate`); the command line makes those that the job needs.
    """

    inputs: JobInputs
    folder: RunFolder
    progress: Progress
    directory: Path
    secrets: Any
    servers: dict[str, Server]

    @property
    def source(self) -> Server:
        """The server of the old generation."""
        return self.servers["source"]

    @property
    def candidate(self) -> Server:
        """The server of the new generation."""
        return self.servers["candidate"]

    def client_tools(self) -> ClientTools:
        """Return client programs as new as the newest server of this job."""
        versions = []
        for server in self.servers.values():
            with server.connect("postgres") as connection:
                versions.append(major(connection))
        tools = ClientTools.at_least(max(versions))
        say(f"Client tools {tools.major} from {tools.directory} for servers {versions}")
        return tools


@contextmanager
def watching(look: Callable[[], None], *, seconds: float = 2.0) -> Iterator[None]:
    """Call `look` every few seconds while the block runs.

    What goes wrong while looking is told once and ends it.
    """
    stop = Event()

    def watch() -> None:
        while not stop.wait(seconds):
            try:
                look()
            except Exception as error:
                say(f"Progress is no longer measured: {error}")
                return

    thread = Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Lend a pool of threads.

    When the block fails or is interrupted, it is left at once and nothing new begins.
    """
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def required(condition: object, name: str, cause: str, remedy: str) -> None:
    """Raise `JobError(name, cause, remedy)` unless the condition holds."""
    if not condition:
        raise JobError(name, cause, remedy)
