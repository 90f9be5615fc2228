"""Tools are run so that nothing is left behind."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from examples.commands import CommandFailedError, run


def test_a_failed_command_shows_its_last_lines_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(CommandFailedError) as caught:
        run([sys.executable, "-c", "import sys; sys.exit('too bad')"], log=log)
    assert "exit code 1" in str(caught.value)
    assert "too bad" in str(caught.value)
    assert str(log) in str(caught.value)


def test_a_command_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    child = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    pid = tmp_path / "pid"
    call = f"subprocess.run([sys.executable, '-c', {child!r}], stdout=open({str(pid)!r}, 'w'))"
    script = f"import subprocess, sys; {call}"
    with pytest.raises(CommandFailedError, match="did not end"):
        run([sys.executable, "-c", script], log=tmp_path / "log", timeout_seconds=0.7)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)
