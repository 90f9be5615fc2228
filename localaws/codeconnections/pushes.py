"""Pushes: a branch of a registered repository has another commit than before.

A push that is told (`check`) is passed on before the answer; otherwise the watcher notices it within
`INTERVAL_SECONDS`, and takes several pushes in between for one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from localaws.codeconnections.repositories import DirectoryRepository, Repositories, RepositoryError
from localaws.runtime import Runtime

INTERVAL_SECONDS = 2.0


@dataclass(frozen=True)
class Push:
    """Somebody pushed.

    Attributes
    ----------
    repository:
        `owner/name`.
    branch:
        That was pushed to; `*` when the repository is a plain directory, which has every branch.
    commit:
        Its new commit.
    changed:
        Paths that the push changed.
    """

    repository: str
    branch: str
    commit: str
    changed: tuple[str, ...]

    @property
    def any_branch(self) -> bool:
        """Whether the repository has no branches of its own."""
        return self.branch == DirectoryRepository.BRANCH


class Pushes:
    """Notices pushes and tells those who listen.

    Parameters
    ----------
    repositories:
        That are watched.
    """

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._heads: dict[str, dict[str, str]] = {}
        self._listeners: list[Callable[[Push], None]] = []
        self._lock = threading.Lock()

    def listen(self, listener: Callable[[Push], None]) -> None:
        """Call `listener` with every push from now on."""
        self._listeners.append(listener)

    def remember(self, name: str) -> None:
        """Take what a repository holds now as known: only what comes after is a push.

        Raises
        ------
        RepositoryError
            It cannot be read.
        """
        with self._lock:
            self._heads[name] = self._repositories.get(name).heads()

    def check(self, name: str) -> list[Push]:
        """Find what was pushed to a repository since it was last looked at, and tell it.

        Raises
        ------
        RepositoryError
            The repository is not known, or cannot be read.
        """
        with self._lock:
            repository = self._repositories.get(name)
            heads, known = repository.heads(), self._heads.get(name, {})
            self._heads[name] = heads
            found = [
                Push(
                    name,
                    branch,
                    commit,
                    tuple(repository.changed(known.get(branch), commit, [*known.values()])),
                )
                for branch, commit in heads.items()
                if known.get(branch) != commit
            ]
            for push in found:
                for listener in self._listeners:
                    listener(push)
        return found

    def watch(self, runtime: Runtime) -> None:
        """Look at every repository from time to time until the server stops."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(INTERVAL_SECONDS):
                for name in self._repositories.names():
                    try:
                        self.check(name)
                    except (RepositoryError, OSError) as error:
                        # A repository in the middle of a change, or gone: the next round sees more.
                        runtime.log.warning("repository %s: %s", name, error)

        runtime.background("watching repositories", run)
        runtime.on_shutdown(stop.set)
