"""One shell for all commands of a build, as version 0.2 of the buildspec promises.

One process group stands for the build container: a small loop that runs each command in a fresh shell, after
restoring the state (environment, working directory and, in bash, variables and functions) that the one before
left. So `exit 1` ends a command and not the build, and background processes live until the build ends. Not
true: shell options and traps do not pass from one command to the next.
"""

import os
import select
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from localaws.processes import Process, Supervisor

LOOP = """\
exec 3<> {commands} 4<> {results}
while IFS= read -r script <&3; do
  /usr/bin/env -i {shell} "$script" 3>&- 4>&-
  echo $? >&4
done
"""

SAVE_BASH = """\
  {
    for __name in $(compgen -v); do
      case "$__name" in
        BASH*|EUID|PPID|UID|SHELLOPTS|FUNCNAME|GROUPS|DIRSTACK|PIPESTATUS) ;;
        LINENO|RANDOM|SRANDOM|SECONDS|EPOCH*|HISTCMD|OPTERR|OPTIND|COMP_*|_|__name|__status) ;;
        *) declare -p "$__name" ;;
      esac
    done
    for __name in $(compgen -A function); do
      test "$__name" = __save || declare -f "$__name"
    done
  } > {state}.new 2>/dev/null
"""

SCRIPT = """\
__save() {{
  __status=$?
  trap - EXIT
{save}
  pwd > {directory}
  mv {state}.new {state}
  exit $__status
}}
. {state}
cd "$(cat {directory})"
export CODEBUILD_BUILD_SUCCEEDING={succeeding}
trap __save EXIT
. {command}
__save
"""

SHELLS = {"bash": "bash", "sh": "sh", "/bin/sh": "/bin/sh"}


class Shell:
    """The shell of one build.

    Parameters
    ----------
    supervisor:
        Starts the process group.
    name:
        How `status` calls it.
    directory:
        For scripts and state; nobody else reads it.
    start:
        Working directory of the first command.
    environment:
        The whole environment of the first command.
    output:
        File descriptor that everything is written to.
    shell:
        `bash`, `sh` or `/bin/sh`.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        name: str,
        directory: Path,
        start: Path,
        environment: Mapping[str, str],
        output: int,
        shell: str,
    ) -> None:
        self._directory = directory
        self._bash = shell == "bash"
        self._count = 0
        self._state = directory / "state.sh"
        self._state.write_text(
            "".join(f"export {variable}={shlex.quote(value)}\n" for variable, value in environment.items())
        )
        (directory / "directory").write_text(f"{start}\n")
        commands, results = directory / "commands", directory / "results"
        os.mkfifo(commands, 0o600)
        os.mkfifo(results, 0o600)
        # Read and write, so that opening never waits for the other side.
        self._commands = os.open(commands, os.O_RDWR)
        self._results = os.open(results, os.O_RDWR)
        path = environment.get("PATH", os.defpath)
        loop = LOOP.format(
            commands=shlex.quote(str(commands)),
            results=shlex.quote(str(results)),
            shell=_program(shell, path),
        )
        self.process: Process = supervisor.spawn(
            name,
            ["/bin/sh", "-c", loop],
            environment={"PATH": path},
            directory=start,
            output=output,
        )

    def run(self, command: str, succeeding: bool, stop: Callable[[], bool]) -> int | None:
        """Run a command and return its exit status, or None when `stop` said so or the shell was killed."""
        self._count += 1
        script, text = self._directory / f"{self._count}.sh", self._directory / f"{self._count}.command"
        text.write_text(command + "\n")
        quoted = {
            "state": shlex.quote(str(self._state)),
            "directory": shlex.quote(str(self._directory / "directory")),
            "command": shlex.quote(str(text)),
        }
        save = (
            SAVE_BASH.replace("{state}", quoted["state"])
            if self._bash
            else "  export -p > {state}.new".format(**quoted)
        )
        script.write_text(SCRIPT.format(save=save, succeeding=int(succeeding), **quoted))
        os.write(self._commands, f"{script}\n".encode())
        return self._result(stop)

    def _result(self, stop: Callable[[], bool]) -> int | None:
        while True:
            readable, _, _ = select.select([self._results], [], [], 0.05)
            if readable:
                return int(os.read(self._results, 100).split()[0])
            if stop() or not self.process.running:
                return None

    def variables(self) -> dict[str, str]:
        """Return the exported variables as the last command left them."""
        target = self._directory / "environment"
        # `env` from coreutils by its full path: the build may have changed PATH.
        if self.run(f"/usr/bin/env -0 > {shlex.quote(str(target))}", True, lambda: False) != 0:
            return {}
        pairs = (entry.partition("=") for entry in target.read_text(errors="replace").split("\0") if entry)
        return {name: value for name, _, value in pairs}

    def close(self, grace: float) -> None:
        """End the shell and everything it started; `grace` seconds pass between SIGTERM and SIGKILL."""
        deadline = time.monotonic() + grace
        if grace and self.process.running:
            self.process.stopping = True
            self.process.send(15)
            self.process.wait(max(0.0, deadline - time.monotonic()))
        self.process.kill()
        os.close(self._commands)
        os.close(self._results)


def _program(shell: str, path: str) -> str:
    """Return the shell by its full path: `env -i` leaves no PATH to look it up on."""
    found = shell if shell.startswith("/") else shutil.which(shell, path=path)
    if found is None:
        raise FileNotFoundError(f"the build image has no {shell}")
    return shlex.quote(found)
