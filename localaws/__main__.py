"""The command line: `python -m localaws up | down | status | env | reset | approve | repository`."""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from localaws.images import Images, ImagesFileError
from localaws.processes import reap

DEFAULT_PORT = 4566
START_SECONDS = 90
STOP_SECONDS = 90
OPTIONS_FILE = "options.json"
LOG_FILE = "server.log"
OUTPUT_FILE = "output.log"

OK, FAILED = 0, 1


class CommandError(Exception):
    """Why a command could not do its work, with the remedy."""


@dataclass(frozen=True)
class Target:
    """Which server a command is about."""

    port: int
    directory: Path

    def status(self) -> dict[str, Any] | None:
        """Return what the server says about itself, or None when none of ours answers on the port."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/_localaws/status", timeout=5
            ) as answer:
                found = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("server") == "localaws" else None


def default_directory(port: int) -> Path:
    """Return where a server on `port` writes when nobody says otherwise."""
    return Path(tempfile.gettempdir()) / f"localaws-{os.getuid()}-{port}"


def holder(port: int) -> str | None:
    """Return who listens on a port, in words, or None when it is free."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            if connection.pid is None:
                return "a process of somebody else"
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                return (
                    f"process {connection.pid} ({' '.join(psutil.Process(connection.pid).cmdline())[:100]})"
                )
            return f"process {connection.pid}"
    return None


def prepare(directory: Path) -> None:
    """Empty the directory for a new server.

    Raises
    ------
    CommandError
        It holds something that is not ours.
    """
    if directory.exists() and any(directory.iterdir()) and not (directory / OPTIONS_FILE).exists():
        raise CommandError(f"{directory} is not empty and is not a local AWS's: choose another --directory.")
    for line in reap(directory / "processes"):
        print(f"ended what an earlier server left behind: {line}", file=sys.stderr)
    clear(directory, keep=(OUTPUT_FILE,))
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # PostgreSQL runs as another user and must find its way in


def clear(directory: Path, keep: tuple[str, ...] = ()) -> None:
    """Remove what is in the directory, except the names to keep."""
    for entry in directory.iterdir() if directory.is_dir() else []:
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def up(options: argparse.Namespace, target: Target) -> int:
    """Start the server, in the background unless told otherwise."""
    running = target.status()
    if running:
        print(f"already running: {running['endpoint']} (process {running['pid']}, {running['directory']})")
        return OK
    if taken := holder(target.port):
        raise CommandError(f"port {target.port} is used by {taken}: stop it, or choose another --port.")
    images = options.images.resolve() if options.images else None
    if images and not images.is_file():
        raise CommandError(f"--images {images}: there is no such file.")
    try:
        Images(images)
    except ImagesFileError as error:
        raise CommandError(str(error)) from error
    prepare(target.directory)
    (target.directory / OPTIONS_FILE).write_text(
        json.dumps({"port": target.port, "images": str(images) if images else None})
    )
    if options.foreground:
        return foreground(target, images)
    return detached(target, images)


def foreground(target: Target, images: Path | None) -> int:
    """Run the server in this process until it is told to stop."""
    from localaws.server import Options, serve  # moto: seconds that the other commands need not wait

    serve(Options(target.directory, target.port, images))
    clear(target.directory, keep=(LOG_FILE, OPTIONS_FILE))
    return OK


def detached(target: Target, images: Path | None) -> int:
    """Start the server in a session of its own and wait until it answers."""
    command = [sys.executable, "-m", "localaws", "up", "--foreground"]
    command += ["--port", str(target.port), "--directory", str(target.directory)]
    command += ["--images", str(images)] if images else []
    log = target.directory / LOG_FILE
    project = str(Path(__file__).parent.parent)
    search = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH")]))
    with (target.directory / OUTPUT_FILE).open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": search},
        )
    deadline = time.monotonic() + START_SECONDS
    try:
        while time.monotonic() < deadline:
            if status := target.status():
                print(
                    f"the local AWS is up: {status['endpoint']} (process {status['pid']}, {target.directory})"
                )
                print('use it from a shell: eval "$(python -m localaws env' + _port_hint(target) + ')"')
                return OK
            if child.poll() is not None:
                break
            time.sleep(0.1)
    except KeyboardInterrupt:
        child.terminate()
        child.wait(STOP_SECONDS)
        raise
    if child.poll() is None:
        child.terminate()
    said = [
        path.read_text(errors="replace")[-3000:]
        for path in (target.directory / OUTPUT_FILE, log)
        if path.exists()
    ]
    raise CommandError("the server did not start:\n" + "\n".join(filter(None, said)))


def _port_hint(target: Target) -> str:
    return "" if target.port == DEFAULT_PORT else f" --port {target.port}"


def down(_options: argparse.Namespace, target: Target) -> int:
    """Stop the server and everything that runs on it, and wait for the end."""
    running = target.status()
    directory = Path(running["directory"]) if running else target.directory
    if running:
        end(running["pid"])
    for line in reap(directory / "processes"):
        print(f"ended: {line}")
    if (directory / OPTIONS_FILE).exists():
        clear(directory, keep=(LOG_FILE, OPTIONS_FILE))
    print("the local AWS is down" if running else "the local AWS was not running")
    return OK


def end(pid: int) -> None:
    """Ask a server to stop and wait; kill it when it does not."""
    try:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        print(f"process {pid} did not stop within {STOP_SECONDS} s and is killed", file=sys.stderr)
        process.kill()
        process.wait(STOP_SECONDS)


def reset(options: argparse.Namespace, target: Target) -> int:
    """Empty the state: stop the server and start it as it was started."""
    running = target.status()
    if not running:
        raise CommandError(f"nothing to reset: no local AWS runs on port {target.port}. Start one with `up`.")
    directory = Path(running["directory"])
    remembered = json.loads((directory / OPTIONS_FILE).read_text())
    options.images = Path(remembered["images"]) if remembered["images"] else None
    options.foreground = False
    down(options, target)
    return up(options, Target(target.port, directory))


def show_status(options: argparse.Namespace, target: Target) -> int:
    """Show what runs."""
    running = target.status()
    if not running:
        print(f"the local AWS is not running on port {target.port}", file=sys.stderr)
        return FAILED
    if options.json:
        print(json.dumps(running, indent=2))
        return OK
    print(f"{running['endpoint']}  process {running['pid']}, since {_time(running['started_at'])}")
    print(f"directory  {running['directory']}")
    print(f"services   {', '.join(sorted(running['services']))} made real; everything else is moto's")
    for service, instances in running["instances"].items():
        print(f"{service}:")
        for instance in instances:
            print("  " + "  ".join(f"{name}={value}" for name, value in instance.items()))
    print(f"processes: {len(running['processes'])}")
    for process in running["processes"]:
        print(f"  {process['pid']:>7}  {process['name']}  since {_time(process['started_at'])}")
    for crash in running["crashes"]:
        which = f"{crash['name']} (process {crash['pid']})"
        print(f"crashed: {which} with {crash['exit_status']} at {_time(crash['at'])}")
    for failure in running["failures"]:
        print(f"failed: {failure['name']}: {failure['error']} at {_time(failure['at'])}")
    return OK


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


def print_environment(_options: argparse.Namespace, target: Target) -> int:
    """Print the shell commands that point any tool at the server.

    The function is for version 1 of the AWS CLI, which does not let the environment name the endpoint of RDS
    (in us-east-1) and SQS, only `--endpoint-url`.
    """
    running = target.status()
    if not running:
        raise CommandError(
            f"no local AWS runs on port {target.port}. Start one with `python -m localaws up`."
        )
    for name, value in sorted(running["environment"].items()):
        print(f"export {name}={shlex.quote(value)}")
    print("unset AWS_PROFILE AWS_SESSION_TOKEN")
    print(f'aws() {{ command aws --endpoint-url http://127.0.0.1:{target.port} "$@"; }}')
    return OK


def approve(options: argparse.Namespace, target: Target) -> int:
    """Approve a connection, as somebody does in the console after logging in at the provider."""
    done = tell(target, "codeconnections/connections", {"connection": options.connection})
    print(f"{done['name']} is {done['status']} ({done['arn']})")
    return OK


def register(options: argparse.Namespace, target: Target) -> int:
    """Let a directory stand for a repository of the provider."""
    path = str(options.path.resolve())
    done = tell(target, "codeconnections/repositories", {"name": options.name, "path": path})
    what = "committed" if (options.path / ".git").exists() else "changed"
    print(f"{done['name']} is {done['path']}: what is {what} there from now on is a push")
    return OK


def tell(target: Target, path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Send a document to the server's own interface and return its answer.

    Raises
    ------
    CommandError
        No server answers, or it refuses; the message is the server's.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{target.port}/_localaws/{path}", data=json.dumps(document).encode(), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http, our own server
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        raise CommandError(str(json.load(error)["message"])) from error
    except (urllib.error.URLError, OSError) as error:
        raise CommandError(
            f"no local AWS runs on port {target.port}. Start one with `python -m localaws up`."
        ) from error
    return found


COMMANDS = {
    "up": (up, "start the local AWS and wait until it answers"),
    "down": (down, "stop it and everything that runs on it"),
    "status": (show_status, "show services, instances, processes and crashes (exit code 1 when not running)"),
    "env": (print_environment, 'print shell exports: eval "$(python -m localaws env)"'),
    "reset": (reset, "empty its state"),
    "approve": (approve, "approve a connection of CodeConnections"),
    "repository": (register, "let a directory of this machine stand for a repository owner/name"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m localaws",
        description="AWS on this machine: no account, no containers, nothing survives.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name, (_, explanation) in COMMANDS.items():
        command = commands.add_parser(name, help=explanation, description=explanation)
        command.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}")
        command.add_argument(
            "--directory",
            type=Path,
            help="where it writes (default: localaws-<user>-<port> in the temporary directory)",
        )
        if name == "up":
            command.add_argument(
                "--images", type=Path, help="JSON file: what container and build images mean here"
            )
            style = command.add_mutually_exclusive_group()
            style.add_argument(
                "--foreground", action="store_true", help="stay in this terminal; Ctrl-C stops it"
            )
            style.add_argument("--detach", action="store_true", help="run in the background (default)")
        if name == "approve":
            command.add_argument("connection", help="name or ARN")
        if name == "repository":
            command.add_argument("name", help="owner/name, the FullRepositoryId of a source action")
            command.add_argument(
                "path", type=Path, help="a git repository (what is committed), or a directory"
            )
        if name == "status":
            command.add_argument("--json", action="store_true", help="everything, as JSON")
    return top


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1 to 65535)")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0 (done), 1 (not done), 2 (wrong command line) or 130 (Ctrl-C)."""
    options = parser().parse_args(arguments)
    directory = (options.directory or default_directory(options.port)).resolve()
    command, _ = COMMANDS[options.command]
    try:
        return command(options, Target(options.port, directory))
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
