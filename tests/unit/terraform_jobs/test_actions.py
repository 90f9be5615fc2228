"""Plan and apply, from the command line to the run folder."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terraform_jobs.terraform import Stopped, stop_signals_raise, stop_signals_wait

from .conftest import BUCKET, GENERATIONS, Build

STALE = """╷
│ Error: Saved plan is stale
│\u0020
│ The given plan file can no longer be applied because the state was changed
│ by another operation after the plan was created.
╵
"""


def test_plan_keeps_everything_a_person_or_an_apply_needs(
    build: Build, changes: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    # Given a plan with two changes
    document = changes(a=["create"], b=["update"], c=["no-op"])
    build.script(plan={"code": 2}, document=document)
    # When
    code = build.run("plan", "--changes-file", str(tmp_path / "changes"))
    # Then
    assert code == 0
    assert build.stored("plan/plan.tfplan") == b"the plan, in binary"
    assert build.stored("plan/plan.txt") == b"the plan, in words\n"
    assert json.loads(build.stored("plan/plan.json")) == document
    summary = json.loads(build.stored("plan/summary.json"))
    assert (summary["create"], summary["update"], summary["serial"]) == (1, 1, 7)
    assert (tmp_path / "changes").read_text() == "2"
    assert build.result("plan")["status"] == "succeeded"
    assert build.result("plan")["figures"]["changes"] == 2


def test_state_and_workspace_are_the_environments(build: Build) -> None:
    # When
    build.run("plan")
    # Then
    initialise, select, *_ = build.calls()
    assert initialise["backend"] == {
        "bucket": "know-me-staging-state-123456789012",
        "key": "terraform.tfstate",
        "region": "us-east-1",
        "workspace_key_prefix": "environments",
        "use_path_style": True,
    }
    assert "-lockfile=readonly" in initialise["arguments"]
    assert select["arguments"][-4:] == ["workspace", "select", "-or-create=true", "staging"]


def test_generations_of_the_parameter_become_a_variable(build: Build) -> None:
    # When
    build.run("plan")
    # Then
    planned = next(call for call in build.calls() if "plan" in call["arguments"])
    assert planned["generations"] == {"generations": GENERATIONS}


def test_settings_of_the_environment_are_passed_when_there_are_any(build: Build) -> None:
    # Given
    settings = build.directory / "environments" / "staging.tfvars"
    settings.parent.mkdir()
    settings.write_text("")
    # When
    build.run("plan")
    # Then
    planned = next(call for call in build.calls() if "plan" in call["arguments"])
    assert f"-var-file={settings}" in planned["arguments"]


def test_empty_plan_says_zero_changes(build: Build, tmp_path: Path) -> None:
    # Given terraform's exit code 0: nothing to do
    build.script(plan={"code": 0})
    # When
    build.run("plan", "--changes-file", str(tmp_path / "changes"))
    # Then
    assert (tmp_path / "changes").read_text() == "0"


def test_apply_applies_exactly_the_stored_plan(build: Build) -> None:
    # Given a plan
    build.script(plan={"code": 2})
    build.run("plan")
    # When
    code = build.run("apply")
    # Then
    assert code == 0
    assert build.calls()[-1]["plan"] == "the plan, in binary"
    assert build.result("apply")["status"] == "succeeded"


def test_plan_is_read_once(build: Build) -> None:
    # Given that each look at a plan loads the providers
    build.script(plan={"code": 2})
    # When
    build.run("plan")
    # Then one look gives the document, and the words are those of the plan itself
    assert build.commands().count("show") == 1
    assert build.stored("plan/plan.txt") == b"the plan, in words\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TARGETS": '["module.nope", "module.a"]'}, "targets: nothing is called module.nope."),
        ({"TARGETS": '["module.a.aws_lb.b[1]"]'}, "nothing is called module.a.aws_lb.b[1]"),
        ({"REPLACE": '["module.a.aws_lb.b"]'}, "replace: nothing is called module.a.aws_lb.b"),
    ],
)
def test_address_that_nothing_has_is_refused_where_terraform_would_plan_nothing(
    build: Build, changes: Callable[..., dict[str, Any]], variables: dict[str, str], said: str
) -> None:
    # Given a plan of two instances
    build.script(document=changes(**{"module.a.aws_lb.b[0]": ["no-op"], "module.ab.aws_lb.c": ["no-op"]}))
    build.variables |= variables
    # When
    code = build.run("plan")
    # Then no plan is kept that anybody could apply
    assert code == 1
    assert said in build.result("plan")["error"]["cause"]
    assert len(build.s3.list_objects_v2(Bucket=BUCKET)["Contents"]) == 1


@pytest.mark.parametrize(
    "target", ["module.a", "module.a.aws_lb.b", "module.a.aws_lb.b[0]", "data.aws_region.r"]
)
def test_target_names_one_thing_several_or_what_is_only_read(
    build: Build, changes: Callable[..., dict[str, Any]], target: str
) -> None:
    build.script(document=changes(**{"module.a.aws_lb.b[0]": ["no-op"]}))
    build.variables |= {"TARGETS": json.dumps([target])}
    assert build.run("plan") == 0


def test_what_is_to_be_deleted_may_be_gone_already(build: Build) -> None:
    build.variables |= {"TARGETS": '["module.gone"]', "DESTROY": "true"}
    assert build.run("plan") == 0


def test_scope_of_a_plan_is_passed_to_terraform(build: Build, changes: Callable[..., dict[str, Any]]) -> None:
    # Given addresses with everything that a shell would take for its own
    targets = ['module.database["blue"]', "module.api.aws_lb.this[0]"]
    build.variables |= {"TARGETS": json.dumps(targets), "REPLACE": '["terraform_data.one"]'}
    named = ['module.database["blue"].aws_kms_key.a', targets[1], "terraform_data.one"]
    build.script(document=changes(**{address: ["no-op"] for address in named}))
    # When
    build.run("plan")
    # Then
    planned = next(call for call in build.calls() if "plan" in call["arguments"])
    assert planned["arguments"][-3:] == [
        *(f"-target={one}" for one in targets),
        "-replace=terraform_data.one",
    ]
    assert "-destroy" not in planned["arguments"]
    assert {"-detailed-exitcode"} < set(planned["arguments"])


def test_destruction_is_planned_and_says_what_is_left(build: Build) -> None:
    # Given a state with a bucket twice, and something that was only read
    bucket = {"mode": "managed", "type": "aws_s3_bucket", "instances": [{}, {}]}
    read = {"mode": "data", "type": "aws_region", "instances": [{}]}
    build.variables |= {"DESTROY": "true"}
    build.script(plan={"code": 2}, state={"resources": [bucket, read]})
    # When
    build.run("plan")
    build.run("apply")
    # Then the apply is that of the stored plan, without an option of its own
    planned = next(call for call in build.calls() if "plan" in call["arguments"])
    applied = next(call for call in build.calls() if "apply" in call["arguments"])
    assert "-destroy" in planned["arguments"]
    assert "-destroy" not in applied["arguments"]
    assert build.result("apply")["figures"]["left"] == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DESTROY": "yes"}, "DESTROY"),
        ({"DESTROY": "true", "REPLACE": '["a.b"]'}, "exclude each other"),
        ({"TARGETS": '["-destroy"]'}, "TARGETS"),
        ({"REPLACE": "a.b"}, "REPLACE"),
    ],
)
def test_scope_that_makes_no_sense_is_refused_before_terraform_runs(
    build: Build, capsys: pytest.CaptureFixture[str], variables: dict[str, str], said: str
) -> None:
    build.variables |= variables
    assert build.run("plan") == 1
    assert build.calls() == []
    assert said in capsys.readouterr().err


def test_apply_without_a_plan_is_refused(build: Build) -> None:
    # When
    code = build.run("apply")
    # Then
    assert code == 1
    assert "apply" not in build.commands()
    assert "There is no plan to apply" in build.result("apply")["error"]["cause"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"serial": 8}, "serial 8, the plan was made from 7"),
        ({"lineage": "another"}, "is another one (lineage another"),
    ],
)
def test_plan_of_an_earlier_state_is_not_even_begun(build: Build, state: dict[str, Any], words: str) -> None:
    # Given a state that has moved on since the plan
    build.script(plan={"code": 2})
    build.run("plan")
    build.script(state=state)
    # When
    code = build.run("apply")
    # Then
    error = build.result("apply")["error"]
    assert code == 1
    assert "apply" not in build.commands()
    assert error["name"] == "PlanStale"
    assert words in error["cause"]
    assert "makes a new plan" in error["remedy"]


def test_plan_that_terraform_calls_stale_has_the_same_name(
    build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a state that moves on between our look and Terraform's
    build.script(plan={"code": 2}, apply={"code": 1, "stderr": STALE})
    build.run("plan")
    # When
    code = build.run("apply")
    # Then
    error = build.result("apply")["error"]
    assert code == 1
    assert error["name"] == "PlanStale"
    assert "Saved plan is stale" in error["cause"]
    assert "makes a new plan" in error["remedy"]
    assert error["remedy"] in capsys.readouterr().err


def test_failed_plan_leaves_a_result_and_no_plan(build: Build) -> None:
    # Given
    build.script(plan={"code": 1, "stderr": "╷\n│ Error: no such zone\n╵\n"})
    # When
    code = build.run("plan")
    # Then
    listed = build.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert code == 1
    assert [entry["Key"] for entry in listed] == ["runs/run-1/jobs/terraform-plan.json"]
    assert build.result("plan")["error"]["cause"] == "terraform plan failed: Error: no such zone"


def test_missing_generations_are_named_before_terraform_runs(build: Build) -> None:
    # Given
    build.ssm.delete_parameter(Name="/know-me/staging/generations")
    # When
    code = build.run("plan")
    # Then
    assert code == 1
    assert build.calls() == []
    assert "/know-me/staging/generations does not exist" in build.result("plan")["error"]["cause"]


@pytest.mark.parametrize("value", ["not JSON", '["a", "list"]'])
def test_generations_that_are_no_document_are_refused(build: Build, value: str) -> None:
    # Given
    build.ssm.put_parameter(Name="/know-me/staging/generations", Type="String", Value=value, Overwrite=True)
    # When
    code = build.run("plan")
    # Then
    assert code == 1
    assert build.calls() == []


def test_unusable_variables_are_all_named_at_once(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    # Given three faults
    build.variables |= {"ENVIRONMENT": "Staging!", "RUN_FOLDER": "somewhere", "BACKEND_CONFIG": "{"}
    # When
    code = build.run("plan")
    # Then
    said = capsys.readouterr().err
    assert code == 1
    assert build.calls() == []
    assert all(name in said for name in ("ENVIRONMENT", "RUN_FOLDER", "BACKEND_CONFIG"))


def test_stopped_build_lets_terraform_end_cleanly_once(build: Build) -> None:
    # Given an apply that takes long, in a process of its own
    build.script(apply={"sleep": 60})
    program = (
        "import sys, pathlib\n"
        "from terraform_jobs.terraform import Terraform, stop_signals_raise\n"
        "with stop_signals_raise():\n"
        "    Terraform(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).apply(pathlib.Path(__file__))\n"
    )
    script = build.home / "apply.py"
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, script, build.home / "bin" / "terraform", build.directory],
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "codebuild"), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not (build.home / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    # When it is stopped twice
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    # Then terraform, which drops everything on a second signal, got one
    assert (build.home / "interrupts").read_text() == "x"
    assert "was stopped (SIGTERM)" in said


def test_a_stop_while_terraform_is_being_started_comes_right_after_it() -> None:
    begun = False
    with stop_signals_raise(), pytest.raises(Stopped, match="SIGTERM"), stop_signals_wait():
        # When the signal comes in the middle of what must be whole
        signal.raise_signal(signal.SIGTERM)
        begun = True
    # Then it was whole, and the stop was not forgotten
    assert begun
