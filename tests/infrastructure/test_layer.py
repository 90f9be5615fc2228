"""The layer of libraries: what is in it, and that it is made once."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from orchestrator import layer
from orchestrator.layer import LayerError, layer_contents
from tests.infrastructure.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one library."""
    (tmp_path / "lambdas").mkdir()
    (tmp_path / "lambdas" / "requirements.in").write_text("jinja2\n")
    (tmp_path / "requirements.txt").write_text("jinja2==3.1.6\n")
    return tmp_path


def installed(names: dict[str, list[str]]) -> Any:
    """Return a stand-in for pip that leaves distributions with files behind, and counts its calls."""

    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        run.calls.append(command)  # type: ignore[attr-defined]
        target = Path(command[command.index("--target") + 1])
        for name, files in names.items():
            information = target / f"{name.replace('-', '_')}-1.0.dist-info"
            information.mkdir(parents=True)
            (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            for file in files:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                (target / file).write_text("")
            record = [*files, f"{information.name}/METADATA", f"{information.name}/RECORD"]
            (information / "RECORD").write_text("".join(f"{file},,\n" for file in record))
        return subprocess.CompletedProcess(command, 0, "", "")

    run.calls = []  # type: ignore[attr-defined]
    return run


def test_libraries_of_the_runtime_are_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given that pip brings botocore along
    pip = installed(
        {"jinja2": ["jinja2/__init__.py"], "botocore": ["botocore/__init__.py", "botocore/data/x.json"]}
    )
    monkeypatch.setattr(layer.subprocess, "run", pip)
    # When the layer is made
    made = layer_contents(project, python="3.13", architecture="x86_64")
    # Then nothing of it is left, and the rest stands below python/
    left = {path.name for path in (made.directory / "python").iterdir()}
    assert left == {"jinja2", "jinja2-1.0.dist-info"}
    assert [each.name for each in Distribution.discover(path=[str(made.directory / "python")])] == ["jinja2"]


def test_the_same_libraries_are_installed_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = installed({"jinja2": ["jinja2/__init__.py"]})
    monkeypatch.setattr(layer.subprocess, "run", pip)
    first = layer_contents(project, python="3.13", architecture="x86_64")
    assert layer_contents(project, python="3.13", architecture="x86_64") == first
    assert len(pip.calls) == 1
    # Another runtime, architecture or lock is another layer
    layer_contents(project, python="3.12", architecture="x86_64")
    layer_contents(project, python="3.13", architecture="arm64")
    (project / "requirements.txt").write_text("jinja2==3.1.5\n")
    layer_contents(project, python="3.13", architecture="x86_64")
    assert len(pip.calls) == 4


def test_pip_is_asked_for_the_functions_platform_and_the_locked_versions(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = installed({"jinja2": ["jinja2/__init__.py"]})
    monkeypatch.setattr(layer.subprocess, "run", pip)
    layer_contents(project, python="3.12", architecture="arm64")
    (command,) = pip.calls
    assert command[command.index("--platform") + 1] == "manylinux2014_aarch64"
    assert command[command.index("--python-version") + 1] == "3.12"
    assert command[command.index("--constraint") + 1] == str(project / "requirements.txt")
    assert "--only-binary=:all:" in command


def test_a_failed_download_is_one_clear_error_and_leaves_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given no package index, when the layer is made
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(LayerError, match=r"(?s)Python 3.13 on manylinux2014_x86_64.*ERROR"):
        layer_contents(project, python="3.13", architecture="x86_64")
    # Then the next attempt does not find half a layer
    assert list((project / "build").iterdir()) == []


def test_synthesis_needs_neither_credentials_nor_network_once_the_layer_is_there(tmp_path: Path) -> None:
    # Given the project with a layer that was made before, no credentials and no package index
    for name in ("orchestrator", "lambdas", "statemachines", "terraform", "codebuild", "requirements.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "app.py", tmp_path)
    wanted = layer_contents_path(tmp_path)
    (wanted / "python").mkdir(parents=True)
    (wanted / "python" / "library.py").write_text("")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"PIP_NO_INDEX": "1", "HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    # When it is synthesised as a plain program
    finished = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    # Then the template is there
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "cdk.out" / "know-me-staging.template.json").is_file()


def layer_contents_path(root: Path) -> Path:
    """Return where the layer of the default settings belongs, without making it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer.subprocess, "run", installed({}))
        patch.setattr(layer, "_leave_out_the_runtimes_own", lambda target: target.mkdir(parents=True))
        directory = layer_contents(root, python="3.13", architecture="x86_64").directory
    shutil.rmtree(directory)
    return directory
