"""CodePipeline, CodeConnections and ECR: pipelines that fetch, build, hand on, wait, queue and stop."""

import io
import itertools
import json
import subprocess
import sys
import time
import urllib.error
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import LocalAWS, command

pytestmark = pytest.mark.local

Document = dict[str, Any]

OVER = ("Succeeded", "Failed", "Stopped", "Superseded")


def action_type(category: str, provider: str) -> dict[str, str]:
    return {"category": category, "owner": "AWS", "provider": provider, "version": "1"}


def artifacts(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


class Repository:
    """A git repository that a test pushes to."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        done = subprocess.run(
            ["git", *identity, "-C", str(self.path), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        """Write files (`__` in a name stands for `/`, `_dot_` for `.`), commit them, return the commit."""
        for name, text in files.items():
            file = self.path / name.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


class Delivery:
    """What the tests make pipelines of, and how they watch them."""

    def __init__(self, aws: LocalAWS) -> None:
        self.aws = aws
        self.pipelines = aws.client("codepipeline")
        self.s3 = aws.client("s3")
        self.codebuild = aws.client("codebuild")
        self.role = aws.all_powerful_role(
            "codepipeline.amazonaws.com", "codebuild.amazonaws.com", "lambda.amazonaws.com"
        )
        self.bucket = f"delivery-{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.connection = self.connect(approve=True)

    def connect(self, *, approve: bool) -> str:
        """Return the ARN of a new connection."""
        client = self.aws.client("codestar-connections")
        name = f"connection-{uuid.uuid4().hex[:8]}"
        arn: str = client.create_connection(ProviderType="GitHub", ConnectionName=name)["ConnectionArn"]
        if approve:
            self.aws.control("POST", "codeconnections/connections", {"connection": name})
        return arn

    def repository(self, directory: Path) -> Repository:
        """Return a registered repository without a commit."""
        name = f"know-me/app-{uuid.uuid4().hex[:8]}"
        made = Repository(directory / "repository", name)
        self.aws.control("POST", "codeconnections/repositories", {"name": name, "path": str(made.path)})
        return made

    def project(self, buildspec: Document | None = None, **environment: str) -> str:
        """Return the name of a project that builds for a pipeline."""
        name = f"project-{uuid.uuid4().hex[:8]}"
        inline = {"buildspec": json.dumps(buildspec)} if buildspec else {}
        self.codebuild.create_project(
            name=name,
            source={"type": "CODEPIPELINE", **inline},
            artifacts={"type": "CODEPIPELINE"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": [{"name": key, "value": value} for key, value in environment.items()],
            },
            serviceRole=self.role,
        )
        return name

    def source(self, repository: Repository, **configuration: str) -> Document:
        return {
            "name": "Source",
            "actionTypeId": action_type("Source", "CodeStarSourceConnection"),
            "configuration": {
                "ConnectionArn": self.connection,
                "FullRepositoryId": repository.name,
                "BranchName": "main",
                **configuration,
            },
            "outputArtifacts": artifacts("Code"),
            "namespace": "Code",
        }

    @staticmethod
    def build(name: str, project: str, inputs: tuple[str, ...] = ("Code",), **more: Any) -> Document:
        return {
            "name": name,
            "actionTypeId": action_type("Build", "CodeBuild"),
            "inputArtifacts": artifacts(*inputs),
            "configuration": {"ProjectName": project, **more.pop("configuration", {})},
            **more,
        }

    def declaration(self, *stages: tuple[str, list[Document]], **settings: Any) -> Document:
        return {
            "name": f"pipeline-{uuid.uuid4().hex[:8]}",
            "roleArn": self.role,
            "artifactStore": {"type": "S3", "location": self.bucket},
            "pipelineType": "V2",
            "executionMode": "QUEUED",
            "stages": [{"name": name, "actions": actions} for name, actions in stages],
            **settings,
        }

    def create(self, *stages: tuple[str, list[Document]], **settings: Any) -> tuple[str, str]:
        """Create a pipeline; return its name and the id of the execution that this starts."""
        made = self.pipelines.create_pipeline(pipeline=self.declaration(*stages, **settings))["pipeline"]
        (first,) = self.executions(made["name"])
        assert first["trigger"]["triggerType"] == "CreatePipeline"
        return made["name"], first["pipelineExecutionId"]

    def executions(self, pipeline: str) -> list[Document]:
        """Return the executions, oldest first."""
        found = self.pipelines.list_pipeline_executions(pipelineName=pipeline)
        return list(reversed(found["pipelineExecutionSummaries"]))

    def start(self, pipeline: str, **parameters: Any) -> str:
        started: str = self.pipelines.start_pipeline_execution(name=pipeline, **parameters)[
            "pipelineExecutionId"
        ]
        return started

    def get(self, pipeline: str, execution: str) -> Document:
        found: Document = self.pipelines.get_pipeline_execution(
            pipelineName=pipeline, pipelineExecutionId=execution
        )["pipelineExecution"]
        return found

    def wait(self, pipeline: str, execution: str, status: str = "Succeeded") -> Document:
        """Wait for the end of an execution and require its status."""
        self.until(lambda: self.get(pipeline, execution)["status"] in OVER)
        found = self.get(pipeline, execution)
        assert found["status"] == status, self.actions(pipeline, execution)
        return found

    def actions(self, pipeline: str, execution: str) -> dict[str, Document]:
        """Return action name → its latest run in an execution."""
        found = self.pipelines.list_action_executions(
            pipelineName=pipeline, filter={"pipelineExecutionId": execution}
        )
        return {detail["actionName"]: detail for detail in reversed(found["actionExecutionDetails"])}

    def stage(self, pipeline: str, name: str) -> Document:
        states = self.pipelines.get_pipeline_state(name=pipeline)["stageStates"]
        found: Document = next(state for state in states if state["stageName"] == name)
        return found

    def error(self, pipeline: str, execution: str, action: str) -> Document:
        found: Document = self.actions(pipeline, execution)[action]["output"]["executionResult"][
            "errorDetails"
        ]
        return found

    def until(self, true: Callable[[], Any], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)

    def unpack(self, location: Document) -> dict[str, bytes]:
        """Return name → content of an artifact."""
        body = self.s3.get_object(Bucket=location["bucket"], Key=location["key"])["Body"].read()
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def delivery(local_aws: LocalAWS) -> Delivery:
    """The helper above."""
    return Delivery(local_aws)


@pytest.fixture
def repository(delivery: Delivery, tmp_path: Path) -> Repository:
    """A repository with one commit."""
    made = delivery.repository(tmp_path)
    made.commit("Begin", README_dot_md="hello")
    return made


def spec(*lines: str, **sections: Any) -> Document:
    """Return a buildspec whose build phase has commands."""
    phases = {"build": {"commands": list(lines)}}
    return {"version": 0.2, "env": sections.pop("env", {}), "phases": phases, **sections}


QUICK = spec("true")


# -- what flows through a pipeline -------------------------------------------------------------------------


def test_a_commit_is_built_and_its_artifacts_and_variables_reach_the_actions_after_it(
    delivery: Delivery, tmp_path: Path
) -> None:
    # Given a repository whose own buildspec writes an artifact and exports a variable
    repository = delivery.repository(tmp_path)
    buildspec = spec(
        "export TAG=$(cat version)",
        "env | grep ^CODEBUILD_ | sort > seen",
        'printf \'{"ImageURI": "registry/app:%s"}\' "$TAG" > imageDetail.json',
        env={"exported-variables": ["TAG"]},
        artifacts={"files": ["imageDetail.json", "seen"]},
    )
    commit = repository.commit("Release 7", version="7", buildspec_dot_yml=json.dumps(buildspec))
    second = spec(
        'test "$VERSION" = "7-$COMMIT"',
        'cat "$CODEBUILD_SRC_DIR_Image/imageDetail.json"',
        "mkdir -p web other && echo page > web/index.html && echo more > other/file",
        artifacts={
            "secondary-artifacts": {
                "Web": {"files": ["**/*"], "base-directory": "web"},
                "Other": {"files": ["other/file"]},
            }
        },
    )
    variables = [
        {"name": "VERSION", "value": "#{Image.TAG}-#{Code.CommitId}"},
        {"name": "COMMIT", "value": "#{Code.CommitId}"},
        {"name": "RUN", "value": "#{codepipeline.PipelineExecutionId}"},
    ]
    target = f"web-{uuid.uuid4().hex[:8]}"
    delivery.s3.create_bucket(Bucket=target)
    deploy = {
        "name": "Publish",
        "actionTypeId": action_type("Deploy", "S3"),
        "inputArtifacts": artifacts("Web"),
        "configuration": {"BucketName": target, "Extract": "true", "ObjectKey": "site"},
    }
    first = delivery.build("Image", delivery.project(), outputArtifacts=artifacts("Image"), namespace="Image")
    web = delivery.build(
        "Web",
        delivery.project(second),
        ("Code", "Image"),
        runOrder=2,
        outputArtifacts=artifacts("Web", "Other"),
        configuration={"PrimarySource": "Code", "EnvironmentVariables": json.dumps(variables)},
    )
    # When a pipeline is made of it, which runs at once
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]), ("Build", [first, web]), ("Release", [deploy])
    )
    found = delivery.wait(pipeline, execution)
    # Then what was built is what was committed
    assert found["artifactRevisions"][0]["revisionId"] == commit
    actions = delivery.actions(pipeline, execution)
    image = actions["Image"]["output"]
    assert image["outputVariables"] == {"TAG": "7"}
    files = delivery.unpack(image["outputArtifacts"][0]["s3location"])
    assert json.loads(files["imageDetail.json"]) == {"ImageURI": "registry/app:7"}
    seen = dict(line.split("=", 1) for line in files["seen"].decode().splitlines())
    assert seen["CODEBUILD_INITIATOR"] == f"codepipeline/{pipeline}"
    assert seen["CODEBUILD_RESOLVED_SOURCE_VERSION"] == commit
    assert seen["CODEBUILD_SOURCE_VERSION"].startswith(
        f"arn:aws:s3:::{delivery.bucket}/{pipeline[:20]}/Code/"
    )
    # And the actions after it got its artifacts and variables
    resolved = json.loads(actions["Web"]["input"]["resolvedConfiguration"]["EnvironmentVariables"])
    assert resolved[0]["value"] == f"7-{commit}"
    assert resolved[2]["value"] == execution
    page = delivery.s3.get_object(Bucket=target, Key="site/index.html")
    assert (page["Body"].read(), page["ContentType"]) == (b"page\n", "text/html")
    others = [output["name"] for output in actions["Web"]["output"]["outputArtifacts"]]
    assert others == ["Web", "Other"]


def test_artifacts_are_encrypted_with_the_key_of_the_pipeline(
    delivery: Delivery, repository: Repository
) -> None:
    key = delivery.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    store = {
        "type": "S3",
        "location": delivery.bucket,
        "encryptionKey": {"id": key, "type": "KMS"},
    }
    build = spec("true", artifacts={"files": ["README.md"]})
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Copy", delivery.project(build), outputArtifacts=artifacts("Copy"))]),
        artifactStore=store,
    )
    delivery.wait(pipeline, execution)
    for name in ("Source", "Copy"):
        (output,) = delivery.actions(pipeline, execution)[name]["output"]["outputArtifacts"]
        place = output["s3location"]
        head = delivery.s3.head_object(Bucket=place["bucket"], Key=place["key"])
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)


def test_a_build_that_fails_fails_its_stage_and_says_why(delivery: Delivery, repository: Repository) -> None:
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Break", delivery.project(spec("exit 3")))]),
        ("Release", [delivery.build("Never", delivery.project(QUICK))]),
    )
    delivery.wait(pipeline, execution, "Failed")
    said = delivery.error(pipeline, execution, "Break")
    assert said["code"] == "JobFailed"
    assert "state: FAILED. Phase: BUILD, Code: COMMAND_EXECUTION_ERROR" in said["message"]
    assert delivery.stage(pipeline, "Build")["latestExecution"]["pipelineExecutionId"] == execution
    assert delivery.stage(pipeline, "Build")["latestExecution"]["status"] == "Failed"
    assert "latestExecution" not in delivery.stage(pipeline, "Release")


def test_a_declared_artifact_that_the_build_does_not_write_fails_the_action(
    delivery: Delivery, repository: Repository
) -> None:
    build = delivery.build("Silent", delivery.project(QUICK), outputArtifacts=artifacts("Image"))
    pipeline, execution = delivery.create(("Source", [delivery.source(repository)]), ("Build", [build]))
    delivery.wait(pipeline, execution, "Failed")
    assert "wrote no artifact Image" in delivery.error(pipeline, execution, "Silent")["message"]


def test_a_project_of_a_pipeline_cannot_be_started_by_anybody_else(delivery: Delivery) -> None:
    project = delivery.project(QUICK)
    with pytest.raises(ClientError, match="only a pipeline can start its builds"):
        delivery.codebuild.start_build(projectName=project)


def test_a_function_is_invoked_with_a_job_and_its_answer_ends_the_action(
    delivery: Delivery, repository: Repository
) -> None:
    # Given a function that succeeds when it is told to
    code = """
import boto3

def handler(event, context):
    job = event["CodePipeline.job"]
    told = job["data"]["actionConfiguration"]["configuration"]["UserParameters"]
    client = boto3.client("codepipeline")
    if told == "succeed":
        client.put_job_success_result(jobId=job["id"], outputVariables={"Told": told})
    else:
        client.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": told})
"""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("main.py", code)
    name = f"job-{uuid.uuid4().hex[:8]}"
    delivery.aws.client("lambda").create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Handler="main.handler",
        Role=delivery.role,
        Code={"ZipFile": archive.getvalue()},
        Timeout=60,
    )

    def invoke(action: str, parameters: str) -> Document:
        return {
            "name": action,
            "actionTypeId": action_type("Invoke", "Lambda"),
            "configuration": {"FunctionName": name, "UserParameters": parameters},
            "namespace": action,
        }

    # When it is asked to succeed, then to fail with the first one's variable
    second = {**invoke("Second", "no more #{First.Told}"), "runOrder": 2}
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]), ("Ask", [invoke("First", "succeed"), second])
    )
    delivery.wait(pipeline, execution, "Failed")
    # Then both answers count
    assert delivery.actions(pipeline, execution)["First"]["status"] == "Succeeded"
    said = {"code": "JobFailed", "message": "no more succeed"}
    assert delivery.error(pipeline, execution, "Second") == said


# -- connections -------------------------------------------------------------------------------------------


def test_a_connection_serves_after_its_approval_and_the_stage_that_failed_before_is_retried(
    delivery: Delivery, repository: Repository
) -> None:
    # Given a pipeline whose connection nobody approved
    arn = delivery.connect(approve=False)
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository, ConnectionArn=arn)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
    )
    delivery.wait(pipeline, execution, "Failed")
    assert "its status is PENDING" in delivery.error(pipeline, execution, "Source")["message"]
    # When somebody approves it and retries
    done = command("approve", arn, "--port", str(delivery.aws.port))
    assert done.returncode == 0, done.stderr
    assert "is AVAILABLE" in done.stdout
    delivery.pipelines.retry_stage_execution(
        pipelineName=pipeline,
        stageName="Source",
        pipelineExecutionId=execution,
        retryMode="FAILED_ACTIONS",
    )
    # Then the same execution goes through
    delivery.wait(pipeline, execution)
    # And a stage that went well cannot be retried
    with pytest.raises(ClientError, match="StageNotRetryableException"):
        delivery.pipelines.retry_stage_execution(
            pipelineName=pipeline,
            stageName="Build",
            pipelineExecutionId=execution,
            retryMode="ALL_ACTIONS",
        )


def test_a_role_without_use_connection_cannot_fetch(delivery: Delivery, repository: Repository) -> None:
    iam, name = delivery.aws.client("iam"), f"narrow-{uuid.uuid4().hex[:8]}"
    trust = iam.get_role(RoleName=delivery.role.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
        roleArn=role,
    )
    delivery.wait(pipeline, execution, "Failed")
    said = delivery.error(pipeline, execution, "Source")
    assert said["code"] == "PermissionError"
    assert "lacks codestar-connections:UseConnection" in said["message"]


@pytest.mark.parametrize("service", ["codeconnections", "codestar-connections"])
def test_connections_are_made_tagged_listed_and_removed_under_both_names(
    local_aws: LocalAWS, service: str
) -> None:
    client = local_aws.client(service)
    other = local_aws.client({"codeconnections": "codestar-connections"}.get(service, "codeconnections"))
    made = client.create_connection(
        ProviderType="GitHub", ConnectionName=f"name-{service}", Tags=[{"Key": "a", "Value": "1"}]
    )
    arn = made["ConnectionArn"]
    assert arn.startswith(f"arn:aws:{service}:us-east-1:123456789012:connection/")
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    found = other.get_connection(ConnectionArn=arn)["Connection"]
    assert (found["ConnectionStatus"], found["ProviderType"]) == ("PENDING", "GitHub")
    assert arn in [connection["ConnectionArn"] for connection in client.list_connections()["Connections"]]
    client.delete_connection(ConnectionArn=arn)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_connection(ConnectionArn=arn)


def test_what_a_connection_cannot_be_is_refused_with_every_fault(local_aws: LocalAWS) -> None:
    client = local_aws.client("codeconnections")
    with pytest.raises(ClientError, match="ProviderType SourceForge is none of"):
        client.create_connection(ProviderType="SourceForge", ConnectionName="name")
    with pytest.raises(ClientError, match="codeconnections:CreateHost is not implemented"):
        client.create_host(Name="a", ProviderType="GitHubEnterpriseServer", ProviderEndpoint="https://a")


def test_the_command_line_registers_a_repository_and_refuses_what_is_none(
    local_aws: LocalAWS, tmp_path: Path
) -> None:
    port = ("--port", str(local_aws.port))
    done = command("repository", "know-me/by-command", str(tmp_path), *port)
    assert done.returncode == 0, done.stderr
    assert "know-me/by-command" in local_aws.control("GET", "codeconnections/repositories")
    refused = command("repository", "no-owner", str(tmp_path), *port)
    assert (refused.returncode, "write it as owner/name" in refused.stderr) == (1, True)
    with pytest.raises(urllib.error.HTTPError):
        local_aws.control("POST", "codeconnections/connections", {"connection": "nobody"})


# -- pushes ------------------------------------------------------------------------------------------------


def test_a_push_that_passes_the_filters_starts_an_execution_of_that_commit(
    delivery: Delivery, repository: Repository
) -> None:
    paths = {"includes": ["api/**"]}
    wanted = {"branches": {"includes": ["main", "release/*"]}, "filePaths": paths}
    trigger = {
        "providerType": "CodeStarSourceConnection",
        "gitConfiguration": {"sourceActionName": "Source", "push": [wanted]},
    }
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
        triggers=[trigger],
    )
    delivery.wait(pipeline, first)
    tell = {"repository": repository.name}
    # When a path outside of the filter is pushed, then nothing starts
    repository.commit("Web", web__index_dot_html="x")
    told = delivery.aws.control("POST", "codeconnections/pushes", tell)
    assert len(delivery.executions(pipeline)) == 1, told
    # When a branch that is included is pushed with a path that is
    repository.git("checkout", "--quiet", "-b", "release/1")
    commit = repository.commit("Models", api__models_dot_py="x")
    delivery.aws.control("POST", "codeconnections/pushes", tell)
    # Then an execution of that commit of that branch starts
    _, second = delivery.executions(pipeline)
    found = delivery.wait(pipeline, second["pipelineExecutionId"])
    assert found["trigger"]["triggerType"] == "WebhookV2"
    variables = delivery.actions(pipeline, second["pipelineExecutionId"])["Source"]["output"]
    assert variables["outputVariables"]["BranchName"] == "release/1"
    assert variables["outputVariables"]["CommitId"] == commit
    assert variables["outputVariables"]["AuthorEmail"] == "ada@example.com"


def test_a_push_that_nobody_tells_is_noticed(delivery: Delivery, repository: Repository) -> None:
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
    )
    delivery.wait(pipeline, first)
    commit = repository.commit("More", more="x")
    delivery.until(lambda: len(delivery.executions(pipeline)) > 1, 20)
    _, second = delivery.executions(pipeline)
    found = delivery.wait(pipeline, second["pipelineExecutionId"])
    assert found["artifactRevisions"][0]["revisionId"] == commit


def test_a_commit_from_before_a_pipeline_was_made_does_not_start_it(
    delivery: Delivery, repository: Repository
) -> None:
    # Given a commit that the watcher has not seen yet
    repository.commit("Just now", now="x")
    pipeline, _ = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
    )
    delivery.aws.control("POST", "codeconnections/pushes", {"repository": repository.name})
    assert len(delivery.executions(pipeline)) == 1


def test_a_commit_can_be_asked_for(delivery: Delivery, repository: Repository) -> None:
    old = repository.git("rev-parse", "HEAD")
    repository.commit("Newer", newer="x")
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository, DetectChanges="false")]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
    )
    delivery.wait(pipeline, first)
    revision = {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": old}
    asked = delivery.start(pipeline, sourceRevisions=[revision])
    assert delivery.wait(pipeline, asked)["artifactRevisions"][0]["revisionId"] == old


# -- transitions, the queue, stopping ----------------------------------------------------------------------


def test_a_disabled_transition_holds_an_execution_before_the_stage_and_enabling_lets_it_go_on(
    delivery: Delivery, repository: Repository
) -> None:
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
    )
    delivery.wait(pipeline, first)
    inbound = {"pipelineName": pipeline, "stageName": "Build", "transitionType": "Inbound"}
    # Given a disabled transition
    delivery.pipelines.disable_stage_transition(**inbound, reason="A migration runs")
    state = delivery.stage(pipeline, "Build")["inboundTransitionState"]
    assert (state["enabled"], state["disabledReason"]) == (False, "A migration runs")
    # When an execution comes
    held = delivery.start(pipeline)
    delivery.until(
        lambda: (
            delivery.stage(pipeline, "Build").get("inboundExecution", {}).get("pipelineExecutionId") == held
        )
    )
    time.sleep(0.5)
    # Then it stands before the stage, in progress, and the stage still shows the one before
    assert delivery.get(pipeline, held)["status"] == "InProgress"
    assert delivery.stage(pipeline, "Build")["latestExecution"]["pipelineExecutionId"] == first
    assert set(delivery.actions(pipeline, held)) == {"Source"}
    # And it goes on when the transition is enabled
    delivery.pipelines.enable_stage_transition(**inbound)
    delivery.wait(pipeline, held)
    assert delivery.stage(pipeline, "Build")["inboundTransitionState"]["enabled"] is True
    with pytest.raises(ClientError, match="is the first stage"):
        delivery.pipelines.disable_stage_transition(**{**inbound, "stageName": "Source"}, reason="No")


def test_queued_executions_go_through_a_stage_one_by_one_in_the_order_they_were_started(
    delivery: Delivery, repository: Repository
) -> None:
    project = delivery.project(spec("sleep 1"))
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository)]), ("Build", [delivery.build("Build", project)])
    )
    started = [first, *(delivery.start(pipeline) for _ in range(3))]
    for execution in started:
        delivery.wait(pipeline, execution)
    runs = [delivery.actions(pipeline, execution)["Build"] for execution in started]
    for before, after in itertools.pairwise(runs):
        assert before["lastUpdateTime"] <= after["startTime"]


def test_superseded_mode_keeps_only_the_latest_of_those_that_wait(
    delivery: Delivery, repository: Repository
) -> None:
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
        executionMode="SUPERSEDED",
    )
    delivery.wait(pipeline, first)
    inbound = {"pipelineName": pipeline, "stageName": "Build", "transitionType": "Inbound"}
    delivery.pipelines.disable_stage_transition(**inbound, reason="Hold")
    older, newer = delivery.start(pipeline), None
    delivery.until(lambda: "inboundExecution" in delivery.stage(pipeline, "Build"))
    newer = delivery.start(pipeline)
    delivery.wait(pipeline, older, "Superseded")
    delivery.pipelines.enable_stage_transition(**inbound)
    delivery.wait(pipeline, newer)


@pytest.mark.parametrize("abandon", [False, True])
def test_a_stopped_execution_lets_its_action_end_unless_it_is_abandoned(
    delivery: Delivery, repository: Repository, abandon: bool
) -> None:
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(spec("sleep 2")))]),
        ("Release", [delivery.build("Release", delivery.project(QUICK))]),
    )
    delivery.until(lambda: "Build" in delivery.actions(pipeline, execution))
    stop = {"pipelineName": pipeline, "pipelineExecutionId": execution, "reason": "Not now"}
    delivery.pipelines.stop_pipeline_execution(**stop, abandon=abandon)
    if not abandon:
        assert delivery.get(pipeline, execution)["status"] == "Stopping"
        with pytest.raises(ClientError, match="DuplicatedStopRequestException"):
            delivery.pipelines.stop_pipeline_execution(**stop)
    found = delivery.wait(pipeline, execution, "Stopped")
    assert found["statusSummary"] == "Not now"
    actions = delivery.actions(pipeline, execution)
    assert actions["Build"]["status"] == ("Abandoned" if abandon else "Succeeded")
    assert "Release" not in actions
    with pytest.raises(ClientError, match="PipelineExecutionNotStoppableException"):
        delivery.pipelines.stop_pipeline_execution(**stop)


def test_a_stage_that_fails_rolls_back_to_the_artifacts_that_went_well_there(
    delivery: Delivery, tmp_path: Path
) -> None:
    # Given a release that succeeded, and notes which version it took
    repository = delivery.repository(tmp_path)
    good = repository.commit("Good", check="true")
    release = delivery.build("Release", delivery.project(spec("sh check")))
    declared = delivery.declaration(("Source", [delivery.source(repository)]), ("Release", [release]))
    declared["stages"][1]["onFailure"] = {"result": "ROLLBACK"}
    pipeline = delivery.pipelines.create_pipeline(pipeline=declared)["pipeline"]["name"]
    (first,) = delivery.executions(pipeline)
    delivery.wait(pipeline, first["pipelineExecutionId"])
    # When a bad version fails
    repository.commit("Bad", check="false")
    delivery.aws.control("POST", "codeconnections/pushes", {"repository": repository.name})
    bad = delivery.executions(pipeline)[1]["pipelineExecutionId"]
    delivery.wait(pipeline, bad, "Failed")
    # Then an execution of that stage alone runs with the good version
    back = delivery.executions(pipeline)[2]
    found = delivery.wait(pipeline, back["pipelineExecutionId"])
    assert found["trigger"]["triggerType"] == "AutomatedRollback"
    target = {"rollbackTargetPipelineExecutionId": first["pipelineExecutionId"]}
    assert (found["executionType"], found["rollbackMetadata"]) == ("ROLLBACK", target)
    assert found["artifactRevisions"][0]["revisionId"] == good
    assert set(delivery.actions(pipeline, back["pipelineExecutionId"])) == {"Release"}


def test_a_stage_that_fails_is_tried_once_more_when_it_says_so(
    delivery: Delivery, repository: Repository, tmp_path: Path
) -> None:
    # Given a build that fails the first time
    marker = tmp_path / "marker"
    build = delivery.build("Build", delivery.project(spec(f"test -e {marker} || (touch {marker}; false)")))
    declared = delivery.declaration(("Source", [delivery.source(repository)]), ("Build", [build]))
    retry = {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}
    declared["stages"][1]["onFailure"] = retry
    pipeline = delivery.pipelines.create_pipeline(pipeline=declared)["pipeline"]["name"]
    (first,) = delivery.executions(pipeline)
    delivery.wait(pipeline, first["pipelineExecutionId"])


def test_states_of_pipeline_stage_and_action_are_events(
    delivery: Delivery, repository: Repository, queue: tuple[str, str]
) -> None:
    url, arn = queue
    name = f"rule-{uuid.uuid4().hex[:8]}"
    events = delivery.aws.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.codepipeline"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    pipeline, execution = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(spec("false")))]),
    )
    delivery.wait(pipeline, execution, "Failed")
    seen: set[tuple[str, str, str]] = set()
    wanted = {
        ("CodePipeline Pipeline Execution State Change", pipeline, "STARTED"),
        ("CodePipeline Stage Execution State Change", "Source", "SUCCEEDED"),
        ("CodePipeline Action Execution State Change", "Source", "SUCCEEDED"),
        ("CodePipeline Action Execution State Change", "Build", "FAILED"),
        ("CodePipeline Stage Execution State Change", "Build", "FAILED"),
        ("CodePipeline Pipeline Execution State Change", pipeline, "FAILED"),
    }
    sqs, deadline = delivery.aws.client("sqs"), time.monotonic() + 20
    while not wanted <= seen and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            event = json.loads(message["Body"])
            detail = event["detail"]
            if detail["execution-id"] == execution:
                subject = detail.get("action") or detail.get("stage") or detail["pipeline"]
                seen.add((event["detail-type"], subject, detail["state"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    assert wanted <= seen


# -- declarations ------------------------------------------------------------------------------------------


def test_a_pipeline_is_updated_tagged_listed_and_deleted(delivery: Delivery, repository: Repository) -> None:
    client = delivery.pipelines
    declared = delivery.declaration(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
    )
    client.create_pipeline(pipeline=declared, tags=[{"key": "a", "value": "1"}])
    found = client.get_pipeline(name=declared["name"])
    assert found["pipeline"]["version"] == 1
    arn = found["metadata"]["pipelineArn"]
    client.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    changed = client.update_pipeline(pipeline={**declared, "executionMode": "PARALLEL"})["pipeline"]
    assert (changed["version"], changed["executionMode"]) == (2, "PARALLEL")
    assert client.get_pipeline(name=declared["name"], version=1)["pipeline"]["executionMode"] == "QUEUED"
    with pytest.raises(ClientError, match="PipelineNameInUseException"):
        client.create_pipeline(pipeline=declared)
    client.delete_pipeline(name=declared["name"])
    with pytest.raises(ClientError, match="PipelineNotFoundException"):
        client.get_pipeline(name=declared["name"])


def test_a_role_that_does_not_trust_codepipeline_is_refused(
    delivery: Delivery, repository: Repository
) -> None:
    role = delivery.aws.all_powerful_role("lambda.amazonaws.com")
    with pytest.raises(ClientError, match="CodePipeline is not authorized to perform AssumeRole on role"):
        delivery.create(
            ("Source", [delivery.source(repository)]),
            ("Build", [delivery.build("Build", delivery.project(QUICK))]),
            roleArn=role,
        )


def test_a_start_with_the_same_token_starts_once_and_variables_are_checked(
    delivery: Delivery, repository: Repository
) -> None:
    pipeline, first = delivery.create(
        ("Source", [delivery.source(repository)]),
        ("Build", [delivery.build("Build", delivery.project(QUICK))]),
        variables=[{"name": "Level", "defaultValue": "low"}],
    )
    token = uuid.uuid4().hex
    chosen = [{"name": "Level", "value": "high"}]
    once = delivery.start(pipeline, clientRequestToken=token, variables=chosen)
    assert delivery.start(pipeline, clientRequestToken=token, variables=chosen) == once
    assert delivery.wait(pipeline, first)["variables"] == [{"name": "Level", "resolvedValue": "low"}]
    assert delivery.wait(pipeline, once)["variables"] == [{"name": "Level", "resolvedValue": "high"}]
    with pytest.raises(ClientError, match="The pipeline has no variable Other"):
        delivery.start(pipeline, variables=[{"name": "Other", "value": "x"}])


# -- ECR ---------------------------------------------------------------------------------------------------


def test_the_digest_of_an_image_is_that_of_its_manifest_and_immutable_tags_stay(local_aws: LocalAWS) -> None:
    client, name = local_aws.client("ecr"), f"image-{uuid.uuid4().hex[:8]}"
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        client.put_image(repositoryName=name, imageManifest="{}", imageTag="1")
    client.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")

    def push(size: int, tag: str) -> str:
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.dumps({"mediaType": kind, "config": {"size": size}})
        put = client.put_image(
            repositoryName=name, imageManifest=manifest, imageManifestMediaType=kind, imageTag=tag
        )
        digest: str = put["image"]["imageId"]["imageDigest"]
        return digest

    first = push(1, "v1")
    assert first != push(2, "v2")
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        push(3, "v1")
    (found,) = client.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert found["imageDigest"] == first
    token = client.get_authorization_token()["authorizationData"][0]
    assert token["expiresAt"].timestamp() > time.time() + 3600
