"""A pretended terraform on PATH, and S3 and SSM in the process."""

import json
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from terraform_jobs import command_line

BUCKET = "know-me-staging-artifacts-123456789012"
GENERATIONS = {"database": {"active": "blue", "all": {"blue": {"engine_version": "17"}}}}
EMPTY_PLAN: dict[str, Any] = {"resource_changes": [], "output_changes": {}}

# Answers each command as script.json says and records what it was asked, with the files it was given.
FAKE = """#!{python}
import json, pathlib, sys, time
home = pathlib.Path({home!r})
script = json.loads((home / "script.json").read_text())
arguments = sys.argv[1:]
command = next(a for a in arguments if not a.startswith("-"))
if command == "version":
    print(json.dumps({{"terraform_version": script.get("version", "1.11.4")}}))
    sys.exit(0)
seen = {{"arguments": arguments}}
for argument in arguments:
    if argument.startswith("-backend-config="):
        seen["backend"] = json.loads(pathlib.Path(argument.split("=", 1)[1]).read_text())
directory = pathlib.Path(next(a for a in arguments if a.startswith("-chdir=")).split("=", 1)[1])
generations = directory / "generations.auto.tfvars.json"
if generations.exists():
    seen["generations"] = json.loads(generations.read_text())
if command == "apply":
    seen["plan"] = pathlib.Path(arguments[-1]).read_text()
with (home / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(seen) + "\\n")
answer = script.get(command, {{}})
if command == "plan":
    out = next(a for a in arguments if a.startswith("-out=")).split("=", 1)[1]
    pathlib.Path(out).write_text("the plan, in binary")
    print("aws_s3_bucket.a: Refreshing state... [id=a]\\nthe plan, in words")
    print("\\n\u2500\u2500\u2500\\n\\nSaved the plan to: " + out)
if command == "show":
    print(json.dumps(script["document"]))
if command == "state":
    print(json.dumps({{"serial": 7, "lineage": "family", **script.get("state", {{}})}}))
if "sleep" in answer:
    try:
        (home / "started").write_text("")  # from here on somebody may interrupt
        time.sleep(answer["sleep"])
    except KeyboardInterrupt:
        with (home / "interrupts").open("a") as interrupts:
            interrupts.write("x")
        sys.exit(1)
sys.stderr.write(answer.get("stderr", ""))
sys.exit(answer.get("code", 0))
"""


@dataclass
class Build:
    """A build in which terraform is pretended."""

    home: Path
    directory: Path
    s3: Any
    ssm: Any
    variables: dict[str, str] = field(default_factory=dict)

    def script(self, **answers: Any) -> None:
        """Say what terraform answers: `command={"code": 1, "stderr": "…"}`, `document={…}`."""
        (self.home / "script.json").write_text(json.dumps({"document": EMPTY_PLAN, **answers}))

    def calls(self) -> list[dict[str, Any]]:
        """What terraform was asked, in order."""
        file = self.home / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def commands(self) -> list[str]:
        """The commands that terraform was asked for."""
        return [next(a for a in call["arguments"] if not a.startswith("-")) for call in self.calls()]

    def run(self, *arguments: str) -> int:
        """Run `python -m terraform_jobs …`."""
        return command_line.main(
            [*arguments, "--directory", str(self.directory)], self.variables, boto3.session.Session()
        )

    def stored(self, name: str) -> bytes:
        """A file of the run folder."""
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=f"runs/run-1/{name}")["Body"].read()
        return body

    def result(self, action: str) -> Any:
        """The job's result in the run folder."""
        return json.loads(self.stored(f"jobs/terraform-{action}.json"))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """A build of the environment `staging` whose generations are known."""
    home = tmp_path / "home"
    programs = home / "bin"
    programs.mkdir(parents=True)
    program = programs / "terraform"
    program.write_text(FAKE.format(python=sys.executable, home=str(home)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    directory = tmp_path / "terraform"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        ssm = boto3.client("ssm")
        ssm.put_parameter(Name="/know-me/staging/generations", Type="String", Value=json.dumps(GENERATIONS))
        made = Build(
            home,
            directory,
            s3,
            ssm,
            {
                "ENVIRONMENT": "staging",
                "STATE_BUCKET": "know-me-staging-state-123456789012",
                "AWS_REGION": "us-east-1",
                "RUN_ID": "run-1",
                "RUN_FOLDER": f"s3://{BUCKET}/runs/run-1",
                "GENERATIONS_PARAMETER": "/know-me/staging/generations",
                "BACKEND_CONFIG": '{"use_path_style": true}',
            },
        )
        made.script()
        yield made


@pytest.fixture
def changes() -> Callable[..., dict[str, Any]]:
    """Make a plan document out of address=actions."""

    def document(**actions: list[str]) -> dict[str, Any]:
        return {
            "resource_changes": [
                {"address": address, "change": {"actions": each}} for address, each in actions.items()
            ]
        }

    return document
