"""CodeBuild: what a build does, and what it does when something fails. Every test would pass against AWS."""

import io
import json
import logging
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.codebuild.build import Build as BuildRun
from localaws.images import BuildImage
from localaws.processes import Supervisor

pytestmark = pytest.mark.local

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "codebuild.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)

Build = dict[str, Any]


@pytest.fixture(scope="module")
def role(local_aws: Any) -> str:
    """A service role."""
    name = f"codebuild-{uuid.uuid4().hex[:8]}"
    arn: str = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"][
        "Arn"
    ]
    return arn


@pytest.fixture(scope="module")
def bucket(local_aws: Any) -> str:
    """A bucket for sources and artifacts."""
    name = f"codebuild-{uuid.uuid4().hex[:8]}"
    local_aws.client("s3").create_bucket(Bucket=name)
    return name


class Projects:
    """Makes projects, runs builds, reads logs."""

    def __init__(self, local_aws: Any, role: str) -> None:
        self.codebuild = local_aws.client("codebuild")
        self.logs = local_aws.client("logs")
        self.role = role

    def create(self, buildspec: str, **settings: Any) -> str:
        name = f"project-{uuid.uuid4().hex[:8]}"
        arguments = {
            "source": {"type": "NO_SOURCE", "buildspec": buildspec},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            "serviceRole": self.role,
        }
        self.codebuild.create_project(name=name, **{**arguments, **settings})
        return name

    def build(self, buildspec: str, settings: dict[str, Any] | None = None, **overrides: Any) -> Build:
        """Create a project, start a build and wait for its end."""
        project = self.create(buildspec, **(settings or {}))
        started = self.codebuild.start_build(projectName=project, **overrides)["build"]
        return self.wait(started["id"])

    def get(self, identifier: str) -> Build:
        found: Build = self.codebuild.batch_get_builds(ids=[identifier])["builds"][0]
        return found

    def wait(
        self, identifier: str, until: Callable[[Build], bool] | None = None, seconds: float = 30
    ) -> Build:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            build = self.get(identifier)
            if until(build) if until else build["buildComplete"]:
                return build
            time.sleep(0.05)
        raise AssertionError(f"still {build['currentPhase']}: {self.log(build)}")

    def log(self, build: Build) -> str:
        events = self.logs.get_log_events(
            logGroupName=build["logs"]["groupName"],
            logStreamName=build["logs"]["streamName"],
            startFromHead=True,
        )["events"]
        return "".join(event["message"] for event in events)


@pytest.fixture(scope="module")
def projects(local_aws: Any, role: str) -> Projects:
    """The helper above."""
    return Projects(local_aws, role)


def phases(build: Build) -> dict[str, str]:
    """Return phase → status."""
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def context(build: Build, phase: str) -> dict[str, str]:
    """Return the first context of a phase."""
    found: dict[str, str] = next(p for p in build["phases"] if p["phaseType"] == phase)["contexts"][0]
    return found


def spec(shell: str = "bash", **sections: Any) -> str:
    """Return a buildspec with a build phase of commands and other sections."""
    return json.dumps({"version": 0.2, "env": {"shell": shell, **sections.pop("env", {})}, **sections})


def commands(*lines: str, **more: Any) -> dict[str, Any]:
    return {"commands": list(lines), **more}


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_exported_variables_and_the_directory_persist_between_commands_and_phases(
    projects: Projects, shell: str
) -> None:
    build = projects.build(
        spec(
            shell,
            env={"exported-variables": ["GREETING", "WHERE"]},
            phases={
                "install": commands('export GREETING="it\'s\nme"', "mkdir deep && cd deep"),
                "build": commands('export WHERE="$(basename "$PWD")"', "unset NOTHING"),
            },
        )
    )
    exported = {variable["name"]: variable["value"] for variable in build["exportedEnvironmentVariables"]}
    assert build["buildStatus"] == "SUCCEEDED", projects.log(build)
    assert exported == {"GREETING": "it's\nme", "WHERE": "deep"}
    assert [phase["phaseType"] for phase in build["phases"]] == [
        "SUBMITTED",
        "QUEUED",
        "PROVISIONING",
        "DOWNLOAD_SOURCE",
        "INSTALL",
        "PRE_BUILD",
        "BUILD",
        "POST_BUILD",
        "UPLOAD_ARTIFACTS",
        "FINALIZING",
        "COMPLETED",
    ]


def test_bash_keeps_functions_and_unexported_variables(projects: Projects) -> None:
    build = projects.build(
        spec(phases={"build": commands("quiet=yes; shout() { echo LOUD-$quiet; }", "shout")})
    )
    assert build["buildStatus"] == "SUCCEEDED", projects.log(build)
    assert "LOUD-yes" in projects.log(build)


def test_failed_build_phase_runs_finally_and_post_build_with_succeeding_zero(projects: Projects) -> None:
    build = projects.build(
        spec(
            phases={
                "pre_build": commands("echo before=$CODEBUILD_BUILD_SUCCEEDING"),
                "build": commands(
                    "exit 7",
                    "echo never-$((1+1))",
                    **{"finally": ["echo finally=$CODEBUILD_BUILD_SUCCEEDING"]},
                ),
                "post_build": commands("echo after=$CODEBUILD_BUILD_SUCCEEDING"),
            }
        )
    )
    log = projects.log(build)
    assert build["buildStatus"] == "FAILED"
    assert (phases(build)["BUILD"], phases(build)["POST_BUILD"]) == ("FAILED", "SUCCEEDED")
    assert "before=1" in log and "finally=0" in log and "after=0" in log and "never-2" not in log
    assert context(build, "BUILD") == {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: exit 7. Reason: exit status 7",
    }


def test_failed_install_ends_the_build_without_build_phase(projects: Projects) -> None:
    build = projects.build(spec(phases={"install": commands("false"), "build": commands("echo no")}))
    assert build["buildStatus"] == "FAILED"
    assert "BUILD" not in phases(build) and phases(build)["FINALIZING"] == "SUCCEEDED"


def test_on_failure_abort_skips_post_build_and_continue_goes_on(projects: Projects) -> None:
    aborted = projects.build(
        spec(phases={"build": commands("false", **{"on-failure": "ABORT"}), "post_build": commands("true")})
    )
    continued = projects.build(
        spec(phases={"install": commands("false", **{"on-failure": "CONTINUE"}), "build": commands("true")})
    )
    assert "POST_BUILD" not in phases(aborted)
    assert phases(continued)["BUILD"] == "SUCCEEDED"


def test_on_failure_retry_tries_the_phase_again(projects: Projects) -> None:
    build = projects.build(
        spec(
            phases={
                "build": commands(
                    "test -e once && export DONE=yes || { touch once; false; }", **{"on-failure": "RETRY-2"}
                )
            },
            env={"exported-variables": ["DONE"]},
        )
    )
    assert build["exportedEnvironmentVariables"] == [{"name": "DONE", "value": "yes"}]


def test_start_build_goes_before_project_and_project_before_buildspec(projects: Projects) -> None:
    # Given the same three names at different levels
    build = projects.build(
        spec(
            env={
                "variables": {"A": "buildspec", "B": "buildspec", "C": "buildspec"},
                "exported-variables": ["A", "B", "C"],
            },
            phases={"build": commands("true")},
        ),
        {
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [
                    {"name": "B", "value": "project"},
                    {"name": "C", "value": "project"},
                ],
            }
        },
        environmentVariablesOverride=[{"name": "C", "value": "start"}],
    )
    exported = {variable["name"]: variable["value"] for variable in build["exportedEnvironmentVariables"]}
    assert exported == {"A": "buildspec", "B": "project", "C": "start"}


def test_variables_come_from_parameter_store_and_secrets_manager(local_aws: Any, projects: Projects) -> None:
    name = uuid.uuid4().hex
    local_aws.client("ssm").put_parameter(Name=f"/{name}", Value="from-ssm", Type="SecureString")
    local_aws.client("secretsmanager").create_secret(
        Name=name, SecretString=json.dumps({"user": "me", "n": 1})
    )
    build = projects.build(
        spec(
            env={
                "parameter-store": {"P": f"/{name}"},
                "secrets-manager": {"USER": f"{name}:user"},
            },
            phases={"build": commands('test "$P" = from-ssm', 'test "$USER" = me', 'test "$N" = 1')},
        ),
        environmentVariablesOverride=[{"name": "N", "value": f"{name}:n", "type": "SECRETS_MANAGER"}],
    )
    assert build["buildStatus"] == "SUCCEEDED", projects.log(build)


def test_missing_parameter_fails_before_any_command(projects: Projects) -> None:
    build = projects.build(
        spec(env={"parameter-store": {"P": "/does/not/exist"}}, phases={"build": commands("true")})
    )
    assert build["buildStatus"] == "FAILED"
    assert phases(build)["DOWNLOAD_SOURCE"] == "FAILED" and "BUILD" not in phases(build)
    assert "/does/not/exist" in context(build, "DOWNLOAD_SOURCE")["message"]


def test_stopped_build_ends_at_once_with_everything_it_started(projects: Projects) -> None:
    # Given a build with a grandchild
    mark = f"31{uuid.uuid4().int % 10**6}"
    project = projects.create(
        spec(phases={"build": commands(f"sleep {mark} & sleep {mark}"), "post_build": commands("true")})
    )
    started = projects.codebuild.start_build(projectName=project)["build"]
    projects.wait(started["id"], lambda build: "Running command sleep" in _safe_log(projects, build))
    # When it is stopped
    projects.codebuild.stop_build(id=started["id"])
    build = projects.wait(started["id"])
    # Then it is STOPPED, without post_build, and nothing runs on
    assert build["buildStatus"] == "STOPPED"
    assert phases(build)["BUILD"] == "STOPPED" and "POST_BUILD" not in phases(build)
    assert not _running(mark)


def _safe_log(projects: Projects, build: Build) -> str:
    try:
        return projects.log(build)
    except ClientError:
        return ""


def _running(mark: str) -> bool:
    import psutil

    return any(
        mark in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    )


class FakeImages:
    def build(self, image: str) -> BuildImage:
        return BuildImage("/usr/bin:/bin", {})


class FakeRuntime:
    """What a build needs of a server, without one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = logging.getLogger("test")
        self.processes = Supervisor(directory / "processes", self.log)
        self.images = FakeImages()

    def client(self, *_: Any) -> None:
        return None

    def role_environment(self, *_: Any) -> dict[str, str]:
        return {}


def local_build(directory: Path, buildspec: str, seconds: float, slots: int = 1, queue: float = 1) -> Build:
    """Run a build without a server (AWS's shortest timeout is five minutes); return its record."""
    record = {
        "id": "project:1",
        "arn": "arn:aws:codebuild:us-east-1:123456789012:build/project:1",
        "buildNumber": 1,
        "initiator": "me",
        "encryptionKey": "",
        "startTime": time.time(),
        "serviceRole": "arn",
        "source": {"type": "NO_SOURCE", "buildspec": buildspec},
        "environment": {"image": "x"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "logs": {"cloudWatchLogs": {"status": "DISABLED"}},
        "phases": [],
        "buildStatus": "IN_PROGRESS",
    }
    runtime: Any = FakeRuntime(directory)
    BuildRun(runtime, record, {}, lambda *_: None, seconds, queue, threading.Semaphore(slots)).run()
    return record


def test_build_that_takes_too_long_ends_timed_out_with_its_processes(tmp_path: Path) -> None:
    mark = f"32{uuid.uuid4().int % 10**6}"
    build = local_build(tmp_path, spec(phases={"build": commands(f"sleep {mark} & sleep {mark}")}), 0.7)
    assert build["buildStatus"] == "TIMED_OUT" and phases(build)["BUILD"] == "TIMED_OUT"
    assert context(build, "BUILD") == {"statusCode": "BUILD_TIMED_OUT", "message": "Build has timed out. "}
    assert not _running(mark)


def test_build_that_waits_too_long_in_the_queue_is_timed_out(tmp_path: Path) -> None:
    build = local_build(tmp_path, spec(phases={"build": commands("true")}), 10, slots=0, queue=0.1)
    assert build["buildStatus"] == "TIMED_OUT" and phases(build)["QUEUED"] == "TIMED_OUT"


def test_build_leaves_no_file_behind(tmp_path: Path) -> None:
    build = local_build(tmp_path, spec(phases={"build": commands("touch x")}), 10)
    assert build["buildStatus"] == "SUCCEEDED" and list((tmp_path / "codebuild").iterdir()) == []


def test_state_changes_are_events(projects: Projects, local_aws: Any) -> None:
    # Given a rule that puts CodeBuild's events into a queue
    sqs, events = local_aws.client("sqs"), local_aws.client("events")
    name = f"builds-{uuid.uuid4().hex[:8]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    project = projects.create(spec(phases={"build": commands("false")}))
    pattern = {
        "source": ["aws.codebuild"],
        "detail-type": ["CodeBuild Build State Change"],
        "detail": {"project-name": [project]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    # When a build fails
    started = projects.codebuild.start_build(projectName=project)["build"]
    projects.wait(started["id"])
    # Then its start and its end were told
    seen: list[str] = []
    deadline = time.monotonic() + 15
    while len(seen) < 2 and time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            detail = json.loads(message["Body"])["detail"]
            assert detail["build-id"] == started["arn"]
            seen.append(detail["build-status"])
        time.sleep(0.1)
    assert sorted(seen) == ["FAILED", "IN_PROGRESS"]


def test_logs_appear_while_the_build_runs(projects: Projects) -> None:
    project = projects.create(spec(phases={"build": commands("echo first-$((1+1)); sleep 30")}))
    started = projects.codebuild.start_build(projectName=project)["build"]
    build = projects.wait(started["id"], lambda b: "first-2" in _safe_log(projects, b), seconds=10)
    projects.codebuild.stop_build(id=started["id"])
    assert not build["buildComplete"]
    assert build["logs"]["groupName"] == f"/aws/codebuild/{project}"


def test_source_from_s3_with_its_buildspec_and_artifacts_back_to_s3(
    local_aws: Any, projects: Projects, bucket: str
) -> None:
    # Given a zip in S3 with a buildspec in a folder and an executable
    s3 = local_aws.client("s3")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(
            "ci/spec.yml",
            "version: 0.2\nphases:\n  build:\n    commands:\n      - ./tool.sh > out/made.txt\n"
            "artifacts:\n  base-directory: out\n  files:\n    - '**/*'\n",
        )
        opened.writestr("out/old.txt", "old")
        tool = zipfile.ZipInfo("tool.sh")
        tool.external_attr = 0o755 << 16
        opened.writestr(tool, "#!/bin/sh\necho made\n")
    s3.put_object(Bucket=bucket, Key="source.zip", Body=archive.getvalue())
    # When it is built into a zip
    build = projects.build(
        "",
        {
            "source": {"type": "S3", "location": f"{bucket}/source.zip", "buildspec": "ci/spec.yml"},
            "artifacts": {
                "type": "S3",
                "location": bucket,
                "name": "result.zip",
                "packaging": "ZIP",
                "path": "to",
            },
        },
    )
    # Then the zip holds the files below the base directory
    assert build["buildStatus"] == "SUCCEEDED", projects.log(build)
    made = zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket=bucket, Key="to/result.zip")["Body"].read()))
    assert sorted(made.namelist()) == ["made.txt", "old.txt"] and made.read("made.txt") == b"made\n"
    assert build["artifacts"]["location"] == f"arn:aws:s3:::{bucket}/to/result.zip"


def test_missing_source_is_a_failed_download(projects: Projects, bucket: str) -> None:
    build = projects.build("", {"source": {"type": "S3", "location": f"{bucket}/nothing.zip"}})
    assert phases(build)["DOWNLOAD_SOURCE"] == "FAILED" and build["buildStatus"] == "FAILED"


def test_artifact_that_matches_nothing_fails_the_build(projects: Projects, bucket: str) -> None:
    build = projects.build(
        spec(phases={"build": commands("true")}, artifacts={"files": ["nothing/*"]}),
        {"artifacts": {"type": "S3", "location": bucket}},
    )
    assert phases(build)["UPLOAD_ARTIFACTS"] == "FAILED"
    assert "no matching artifact paths found" in context(build, "UPLOAD_ARTIFACTS")["message"]


def test_invalid_buildspec_names_every_fault(projects: Projects) -> None:
    build = projects.build(
        json.dumps({"version": 0.1, "phases": {"build": {"commands": [{"a": 1}]}}, "x": 1})
    )
    message = context(build, "DOWNLOAD_SOURCE")["message"]
    assert context(build, "DOWNLOAD_SOURCE")["statusCode"] == "YAML_FILE_ERROR"
    assert "0.1" in message and "Commands[0]" in message and "x:" in message


def test_build_acts_as_its_role_and_sees_nothing_of_the_server(projects: Projects, role: str) -> None:
    build = projects.build(
        spec(
            env={"exported-variables": ["CALLER", "NAMES", "PWD"]},
            phases={
                "build": commands(
                    "export CALLER=$(aws sts get-caller-identity --query Arn --output text)",
                    "export NAMES=$(/usr/bin/env | cut -d= -f1 | sort | tr '\\n' ' ')",
                )
            },
        )
    )
    exported = {variable["name"]: variable["value"] for variable in build["exportedEnvironmentVariables"]}
    assert f":assumed-role/{role.rpartition('/')[2]}/AWSCodeBuild-" in exported["CALLER"], projects.log(build)
    assert not {"MOTO_PORT", "PYTHONPATH", "VIRTUAL_ENV"} & set(exported["NAMES"].split())
    assert {"CODEBUILD_BUILD_ID", "CODEBUILD_SRC_DIR", "AWS_REGION"} <= set(exported["NAMES"].split())


def test_same_idempotency_token_starts_one_build(projects: Projects) -> None:
    project = projects.create(spec(phases={"build": commands("true")}))
    token = uuid.uuid4().hex
    first = projects.codebuild.start_build(projectName=project, idempotencyToken=token)["build"]["id"]
    second = projects.codebuild.start_build(projectName=project, idempotencyToken=token)["build"]["id"]
    projects.wait(first)
    assert first == second
    assert projects.codebuild.list_builds_for_project(projectName=project)["ids"] == [first]


def test_project_reads_back_what_was_written_and_updates_in_part(projects: Projects) -> None:
    project = projects.create(
        spec(phases={"build": commands("true")}), timeoutInMinutes=20, tags=[{"key": "a", "value": "b"}]
    )
    updated = projects.codebuild.update_project(name=project, description="new")["project"]
    read = projects.codebuild.batch_get_projects(names=[project, "nobody"])
    assert read["projects"] == [updated] and read["projectsNotFound"] == ["nobody"]
    assert (updated["timeoutInMinutes"], updated["description"], updated["queuedTimeoutInMinutes"]) == (
        20,
        "new",
        480,
    )
    assert updated["tags"] == [{"key": "a", "value": "b"}]


def test_bad_project_is_refused_with_every_fault(projects: Projects) -> None:
    with pytest.raises(ClientError) as refused:
        projects.create("", timeoutInMinutes=2161, source={"type": "S3"})
    assert refused.value.response["Error"]["Code"] == "InvalidInputException"
    assert "location" in str(refused.value) and "timeoutInMinutes" in str(refused.value)


def test_unknown_project_and_build_are_not_found(projects: Projects) -> None:
    with pytest.raises(projects.codebuild.exceptions.ResourceNotFoundException):
        projects.codebuild.start_build(projectName="nobody")
    assert projects.codebuild.batch_get_builds(ids=["nobody:1"])["buildsNotFound"] == ["nobody:1"]


@pytest.mark.parametrize("how", ["name", "arn"])
def test_a_project_is_deleted_by_its_name_or_arn(projects: Projects, how: str) -> None:
    # Given a project; Terraform knows it by its ARN
    name = projects.create("version: 0.2")
    (project,) = projects.codebuild.batch_get_projects(names=[name])["projects"]
    # When it is deleted
    projects.codebuild.delete_project(name=project[how])
    # Then it is gone
    assert projects.codebuild.batch_get_projects(names=[name])["projectsNotFound"] == [name]
