"""Repositories of this machine that stand for `owner/name` at a provider: of git, or a plain directory."""

import hashlib
import io
import os
import re
import subprocess
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+")
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""What git calls a tree without files: the same in every repository."""


class RepositoryError(Exception):
    """A repository, a branch or a commit cannot be used; the message says why, and what to do."""


@dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes
    ----------
    identifier:
        Its id.
    message, author, email, date:
        Of the commit; the date is ISO 8601.
    """

    identifier: str
    message: str
    author: str
    email: str
    date: str


class Repository(Protocol):
    """What a source action and the watcher of pushes need of a repository."""

    def heads(self) -> dict[str, str]:
        """Return branch → id of its latest commit."""

    def commit(self, identifier: str) -> Commit:
        """Return a commit by its id."""

    def archive(self, identifier: str) -> bytes:
        """Return the files of a commit as a zip archive."""

    def changed(self, before: str | None, after: str, others: Sequence[str]) -> list[str]:
        """Return the paths that a push changed.

        Parameters
        ----------
        before, after:
            Commits of the branch; before is None when the branch is new.
        others:
            Commits of the branches that were known: a new branch forked from one of them.
        """


class GitRepository:
    """A git repository: what counts is what is committed.

    Parameters
    ----------
    path:
        Of its working tree, or of a bare repository.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def _git(self, *arguments: str) -> bytes:
        # Nothing of the caller's git counts: neither its variables nor who owns the directory.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(self._path), *arguments],
            capture_output=True,
            env=environment,
            timeout=120,
        )
        if done.returncode:
            raise RepositoryError(
                f"git {arguments[0]} in {self._path}: {done.stderr.decode(errors='replace').strip()}"
            )
        return done.stdout

    def heads(self) -> dict[str, str]:
        """Return branch → id of its latest commit."""
        listed = self._git(
            "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"
        ).decode()
        return {branch: commit for commit, _, branch in (line.partition(" ") for line in listed.splitlines())}

    def commit(self, identifier: str) -> Commit:
        """Return a commit by its id."""
        said = self._git("show", "--no-patch", "--format=%H%n%an%n%ae%n%aI%n%B", f"{identifier}^{{commit}}")
        full, author, email, date, message = said.decode(errors="replace").split("\n", 4)
        return Commit(full, message.strip(), author, email, date)

    def archive(self, identifier: str) -> bytes:
        """Return the files of a commit as a zip archive."""
        return self._git("archive", "--format=zip", identifier)

    def changed(self, before: str | None, after: str, others: Sequence[str]) -> list[str]:
        """Return the paths that a push changed."""
        base = before or self._fork_of(after, others)
        listed = self._git("diff", "--name-only", "-z", base, after).decode(errors="replace")
        return [name for name in listed.split("\0") if name]

    def _fork_of(self, commit: str, others: Sequence[str]) -> str:
        if not others:
            return EMPTY_TREE
        try:
            return self._git("merge-base", commit, *others).decode().strip()
        except RepositoryError:
            return EMPTY_TREE  # no common ancestor with what was known: everything is new


class DirectoryRepository:
    """A plain directory: its commit is what it holds now, whatever the branch.

    Parameters
    ----------
    path:
        The directory.
    """

    BRANCH = "*"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, str]] = {}
        self._signature: tuple[tuple[str, int, int], ...] = ()
        self._latest = ""

    def _files(self) -> list[Path]:
        return sorted(file for file in self._path.rglob("*") if file.is_file())

    def heads(self) -> dict[str, str]:
        """Return `*` → a hash of all files: any branch has them."""
        files = self._files()
        signature = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        if signature != self._signature:
            hashes = {
                file.relative_to(self._path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
                for file in files
            }
            self._latest = hashlib.sha1(repr(hashes).encode(), usedforsecurity=False).hexdigest()
            self._known[self._latest] = hashes
            self._signature = signature
        return {self.BRANCH: self._latest}

    def commit(self, identifier: str) -> Commit:
        """Return the only commit there is."""
        now = self.heads()[self.BRANCH]
        if identifier != now:
            raise RepositoryError(
                f"{self._path} is no git repository and holds {now} only: commit {identifier} is gone."
            )
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._path.stat().st_mtime))
        return Commit(now, f"The files of {self._path.name}", "", "", date)

    def archive(self, identifier: str) -> bytes:
        """Return the files as a zip archive."""
        self.commit(identifier)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in self._files():
                archive.write(file, file.relative_to(self._path).as_posix())
        return buffer.getvalue()

    def changed(self, before: str | None, after: str, others: Sequence[str]) -> list[str]:  # noqa: ARG002
        """Return the paths that differ between two states that were seen."""
        old, new = self._known.get(before or "", {}), self._known.get(after, {})
        return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


class Repositories:
    """The repositories of one server, by `owner/name`."""

    def __init__(self) -> None:
        self._by_name: dict[str, Repository] = {}
        self._lock = threading.Lock()

    def register(self, name: str, path: Path) -> None:
        """Let a git repository or a directory stand for `owner/name`.

        Raises
        ------
        RepositoryError
            The name is none, or there is no such directory.
        """
        if not NAME.fullmatch(name):
            raise RepositoryError(f"{name} is not the name of a repository: write it as owner/name.")
        if not path.is_dir():
            raise RepositoryError(f"{path} is not a directory: give the path of the repository {name}.")
        bare = (path / "HEAD").is_file() and (path / "objects").is_dir()
        # A working tree of git has a directory there, an additional one (git worktree) a file.
        of_git = bare or (path / ".git").exists()
        with self._lock:
            self._by_name[name] = GitRepository(path) if of_git else DirectoryRepository(path)

    def get(self, name: str) -> Repository:
        """Return a repository.

        Raises
        ------
        RepositoryError
            Nothing is registered under the name.
        """
        with self._lock:
            found = self._by_name.get(name)
        if found is None:
            raise RepositoryError(
                f"The repository {name} is not known here: register it with "
                f"`python -m localaws repository {name} PATH`."
            )
        return found

    def head(self, name: str, branch: str) -> str:
        """Return the id of the latest commit of a branch.

        Raises
        ------
        RepositoryError
            There is no such repository or branch.
        """
        heads = self.get(name).heads()
        found = heads.get(branch) or heads.get(DirectoryRepository.BRANCH)
        if found is None:
            raise RepositoryError(f"No Branch [{branch}] found for FullRepositoryName [{name}]")
        return found

    def names(self) -> list[str]:
        """Return the names that are registered."""
        with self._lock:
            return list(self._by_name)
