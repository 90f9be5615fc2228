"""`python -m localaws`: exit codes, idempotence, and that nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.local.conftest import PROJECT, command, free_port

pytestmark = pytest.mark.local


@pytest.fixture
def place(tmp_path: Path) -> Iterator[list[str]]:
    """Arguments of a server of its own; it is down at the end whatever happens."""
    arguments = ["--port", str(free_port()), "--directory", str(tmp_path / "state")]
    yield arguments
    command("down", *arguments)


def pid(place: list[str]) -> int:
    shown = command("status", *place).stdout
    return int(shown.split("process ")[1].split(",")[0])


def test_up_status_env_reset_down_and_each_again(place: list[str]) -> None:
    # Given nothing
    assert command("status", *place).returncode == 1
    assert command("env", *place).returncode == 1
    assert command("reset", *place).returncode == 1
    # When it is started twice
    assert command("up", *place).returncode == 0
    first = pid(place)
    again = command("up", *place)
    # Then the second says so
    assert again.returncode == 0 and "already running" in again.stdout
    assert pid(place) == first
    # And the shell's variables reach it
    tools = str(Path(sys.executable).parent)
    calls = "aws s3 mb s3://emptied && aws rds describe-db-instances && aws sqs list-queues && env aws s3 ls"
    exported = subprocess.run(
        ["bash", "-c", f'PATH="{tools}:$PATH"; eval "$1" && {calls}', "-", command("env", *place).stdout],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert exported.returncode == 0, exported.stderr
    # And reset empties it, with the same credentials
    before = command("env", *place).stdout
    assert command("reset", *place).returncode == 0
    assert command("env", *place).stdout == before and pid(place) != first
    # And down is down, twice
    assert "is down" in command("down", *place).stdout
    assert command("down", *place).returncode == 0
    assert command("status", *place).returncode == 1


def test_port_of_somebody_else_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = command("up", "--port", str(port), "--directory", str(tmp_path / "state"))
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr and str(os.getpid()) in refused.stderr


def test_directory_of_somebody_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    refused = command("up", "--port", str(free_port()), "--directory", str(tmp_path))
    assert refused.returncode == 1 and (tmp_path / "precious").exists()


def test_wrong_command_lines_are_2_and_help_is_0() -> None:
    assert command("sideways").returncode == 2
    assert command("up", "--port", "0").returncode == 2
    assert "reset" in command("--help").stdout


def test_images_file_with_faults_is_refused_with_all_of_them(place: list[str], tmp_path: Path) -> None:
    images = tmp_path / "images.json"
    images.write_text('{"containers": {"a": {"comand": []}}, "x": 1}')
    refused = command("up", *place, "--images", str(images))
    assert refused.returncode == 1
    assert "comand" in refused.stderr and "x:" in refused.stderr


def test_interrupted_foreground_server_ends_cleanly(place: list[str]) -> None:
    server = subprocess.Popen([sys.executable, "-m", "localaws", "up", "--foreground", *place], cwd=PROJECT)
    deadline = time.monotonic() + 60
    while command("status", *place).returncode != 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 0


def test_killed_server_leaves_nothing_behind_after_down(place: list[str]) -> None:
    # Given a server with a process that has a child
    marker = f"7{os.getpid()}"
    script = (
        "import logging, time\nfrom pathlib import Path\nfrom localaws.processes import Supervisor\n"
        f"s = Supervisor(Path({place[3]!r}) / 'processes', logging.getLogger())\n"
        f"s.spawn('child', ['sh', '-c', 'sleep {marker} & sleep {marker}'],"
        " environment={'PATH': '/usr/bin:/bin'},"
        " directory=Path('/'), output=Path('/dev/null'))\n"
        "print('ready', flush=True); time.sleep(100)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 10
    while len(_marked(marker)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    # When it is killed
    server.kill()
    server.wait()
    # Then down finds what is left
    assert command("down", *place).returncode == 0
    assert _marked(marker) == []


def _marked(marker: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if (process.info["cmdline"] or [""])[0] == "sleep" and marker in process.info["cmdline"]
    ]
