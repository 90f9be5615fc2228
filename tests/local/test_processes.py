"""The end of a local process is the end of everything that it started, however it was started."""

import logging
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from localaws import processes
from localaws.processes import Supervisor

PROJECT = Path(__file__).parents[2]

SCRIPT = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(300)
"""

# Not Python: another account may not be let into where it is installed.
WHO_AM_I = "id -u; id -g; id -G; pwd; cut -d ' ' -f 6 /proc/$$/stat; echo $$; env"
OF_THE_SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}

KILLED_SERVER = """
import logging, sys, time
from pathlib import Path
from localaws import processes
if sys.argv[3] == "by the child":
    processes._setpriv = lambda: None
supervisor = processes.Supervisor(Path(sys.argv[1]), logging.getLogger())
started = supervisor.spawn(
    "child", ["sleep", "300"], environment={"PATH": "/usr/bin:/bin"}, directory=Path("/"),
    output=Path("/dev/null"), user=sys.argv[2] or None,
)
time.sleep(0.5)
print(started.pid, flush=True)
time.sleep(300)
"""


AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root may choose the account")


@pytest.fixture(params=["through setpriv", "by the child"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the death signal is set."""
    if request.param == "by the child":
        monkeypatch.setattr(processes, "_setpriv", lambda: None)
    elif processes._setpriv() is None:
        pytest.skip("no setpriv that knows --pdeathsig on this machine")
    return str(request.param)


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path / "processes", logging.getLogger("test"))


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_what_left_the_session_of_a_process_ends_with_it(
    supervisor: Supervisor, tmp_path: Path, way: str
) -> None:
    # Given a process whose child has a session of its own, as Terraform has in a build
    output = tmp_path / "output"
    process = supervisor.spawn(
        "parent", [sys.executable, "-c", SCRIPT], environment={}, directory=tmp_path, output=output
    )
    assert until(lambda: output.exists() and output.read_text().endswith("\n"))
    child = psutil.Process(int(output.read_text()))
    # When the process is ended
    process.terminate()
    # Then its child has ended too
    _, alive = psutil.wait_procs([child], timeout=10)
    assert alive == []


@pytest.mark.parametrize("user", ["", pytest.param("nobody", marks=AS_ROOT)])
def test_a_process_dies_with_a_server_that_is_killed(tmp_path: Path, way: str, user: str) -> None:
    # Given a server with a process
    server = subprocess.Popen(
        [sys.executable, "-c", KILLED_SERVER, str(tmp_path / "processes"), user, way],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    process = psutil.Process(int(server.stdout.readline()))
    assert process.name() == "sleep"
    # When the server is killed, then the process has ended too, without anybody's help
    server.kill()
    server.wait()
    _, alive = psutil.wait_procs([process], timeout=10)
    assert alive == []


@pytest.mark.parametrize("user", [None, pytest.param("nobody", marks=AS_ROOT)])
def test_a_process_gets_what_it_is_given_and_nothing_else(
    supervisor: Supervisor, tmp_path: Path, way: str, user: str | None
) -> None:
    # Given a process that tells about itself
    output = tmp_path / "output"
    process = supervisor.spawn(
        "curious",
        ["sh", "-c", WHO_AM_I],
        environment={"GIVEN": "1", "PATH": "/usr/bin:/bin"},
        directory=Path("/"),
        output=output,
        user=user,
    )
    # When it has told
    assert process.wait(20) == 0
    user_id, group, groups, directory, session, own, *environment = output.read_text().splitlines()
    # Then it has the account, the directory, a session and the environment that it was given
    account = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
    own_group = account.pw_gid if user else os.getgid()
    assert (int(user_id), int(group), directory, session) == (account.pw_uid, own_group, "/", own)
    assert {*map(int, groups.split())} == ({own_group} if user else {own_group, *os.getgroups()})
    given = {variable.split("=")[0] for variable in environment} - OF_THE_SHELL
    assert given == {"GIVEN", "PATH"}


def test_the_exit_status_is_that_of_the_program(supervisor: Supervisor, tmp_path: Path, way: str) -> None:
    def status(script: str) -> int | None:
        command = ["sh", "-c", script]
        return supervisor.spawn(
            "ends",
            command,
            environment={"PATH": "/usr/bin:/bin"},
            directory=tmp_path,
            output=tmp_path / "output",
        ).wait(20)

    assert (status("exit 3"), status("kill -9 $$")) == (3, -9)


def test_a_program_is_found_on_the_path_of_its_own_environment_or_below_its_directory(
    supervisor: Supervisor, tmp_path: Path, way: str
) -> None:
    program = tmp_path / "bin" / "ours"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    for name, path in (("ours", str(program.parent)), ("bin/ours", "/nowhere"), (str(program), "/nowhere")):
        process = supervisor.spawn(
            "ours", [name], environment={"PATH": path}, directory=tmp_path, output=tmp_path / "output"
        )
        assert process.wait(20) == 7, name


@pytest.mark.parametrize(
    ("name", "directory", "error"),
    [
        ("nowhere", ".", FileNotFoundError),
        ("./nowhere", ".", FileNotFoundError),
        ("./data", ".", PermissionError),
        ("sh", "missing", FileNotFoundError),
    ],
)
def test_a_program_that_cannot_be_started_is_an_error_at_once(
    supervisor: Supervisor, tmp_path: Path, way: str, name: str, directory: str, error: type[OSError]
) -> None:
    (tmp_path / "data").write_text("not a program")
    with pytest.raises(error):
        supervisor.spawn(
            "never",
            [name],
            environment={"PATH": "/usr/bin:/bin"},
            directory=tmp_path / directory,
            output=tmp_path / "output",
        )
    assert supervisor.running == []
