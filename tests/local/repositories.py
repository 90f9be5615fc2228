"""Git repositories of an API and of a web app that can be built, as a provider would hold them."""

import shutil
import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "repositories"


def git(directory: Path, *arguments: str) -> str:
    """Run git in a repository."""
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(directory: Path, message: str, **files: str) -> str:
    """Write files and commit them; return the hash."""
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", message)
    return git(directory, "rev-parse", "HEAD")


def begin(api: Path, web: Path) -> None:
    """Make both repositories, with a first commit each."""
    for repository, example in ((api, "api"), (web, "web-app")):
        shutil.copytree(EXAMPLES / example, repository)
        git(repository, "init", "--quiet", "--initial-branch", "main")
    commit(api, "Begin", src__app_dot_py="1\n")
    commit(web, "Begin")
