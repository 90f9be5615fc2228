"""The end of a local process is the end of everything that it started."""

import logging
import sys
import time
from pathlib import Path

import psutil

from localaws.processes import Supervisor

SCRIPT = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "300"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(300)
"""


def test_what_left_the_session_of_a_process_ends_with_it(tmp_path: Path) -> None:
    # Given a process whose child has a session of its own, as Terraform has in a build
    supervisor = Supervisor(tmp_path / "processes", logging.getLogger("test"))
    output = tmp_path / "output"
    process = supervisor.spawn(
        "parent", [sys.executable, "-c", SCRIPT], environment={}, directory=tmp_path, output=output
    )
    deadline = time.monotonic() + 20
    while not (output.exists() and output.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = psutil.Process(int(output.read_text()))
    # When the process is ended
    process.terminate()
    # Then its child has ended too
    _, alive = psutil.wait_procs([child], timeout=10)
    assert alive == []
