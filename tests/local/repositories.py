"""Git repositories of an API and of a web app that can be built, as a provider would hold them."""

import json
import subprocess
from pathlib import Path

WEB_BUILD = """
const fs = require("fs");
fs.mkdirSync("build/static/js", { recursive: true });
fs.writeFileSync("build/static/js/main.0a1b2c3d.js", "fetch('" + process.env.REACT_APP_API_URL + "')");
fs.writeFileSync("build/index.html", "<script src='/static/js/main.0a1b2c3d.js'></script>");
"""


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
    for repository in (api, web):
        repository.mkdir()
        git(repository, "init", "--quiet", "--initial-branch", "main")
    commit(api, "Begin", Dockerfile="FROM scratch\n", src__app_dot_py="1\n")
    commit(web, "Begin", **_web_files())


def _web_files() -> dict[str, str]:
    package = {"name": "web", "version": "1.0.0", "scripts": {"build": "node build.js"}}
    lock = {
        "name": "web",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": {"name": "web", "version": "1.0.0"}},
    }
    return {
        "package_dot_json": json.dumps(package),
        "package-lock_dot_json": json.dumps(lock),
        "build_dot_js": WEB_BUILD,
    }
