"""The API of CodePipeline on the wire, in process: moto's front, our pipelines, actions of our own."""

import io
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.codepipeline.models import codepipeline_backends
from moto.codepipeline.responses import CodePipelineResponse

from localaws.codeconnections.api import Actions
from localaws.codeconnections.connections import Connections
from localaws.codeconnections.control import Control
from localaws.codeconnections.pushes import Push, Pushes
from localaws.codeconnections.repositories import GitRepository, Repositories, RepositoryError
from localaws.codepipeline import engine as engine_module
from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.api import ACTIONS, Pipelines
from localaws.codepipeline.engine import Engine
from localaws.operations import Operation, Refusal

from .test_codepipeline_engine import Runtime, until
from .test_codepipeline_rules import pipeline as declaration


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of CodePipeline whose actions succeed at once."""

    def run(work: Work) -> Result:
        return Result(tuple(work.store.place(name) for name in work.outputs), {"CommitId": "c0ffee"})

    kinds = (
        ActionType(category, provider, run, frozenset(), (), range(6), range(6))
        for category, provider in (("Source", "CodeStarSourceConnection"), ("Build", "CodeBuild"))
    )
    monkeypatch.setattr(engine_module, "ACTION_TYPES", {kind.key: kind for kind in kinds})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        engine = Engine(Runtime())  # type: ignore[arg-type]
        monkeypatch.setattr(Pipelines, "engine", engine, raising=False)
        monkeypatch.setattr(codepipeline_backends, "backend", Pipelines)
        for action in ACTIONS:
            monkeypatch.setattr(CodePipelineResponse, action.__name__, action, raising=False)
        yield boto3.client("codepipeline", region_name="us-east-1")
        engine.shut_down()
    codepipeline_backends.clear()


def role() -> str:
    """Return the ARN of a new role that CodePipeline may assume."""
    allow = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "codepipeline.amazonaws.com"},
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    made = boto3.client("iam", region_name="us-east-1").create_role(
        RoleName=f"role-{uuid.uuid4().hex[:8]}", AssumeRolePolicyDocument=trust
    )
    arn: str = made["Role"]["Arn"]
    return arn


def test_everything_that_the_api_shows_of_an_execution_is_readable(client: Any) -> None:
    definition = declaration(roleArn=role(), executionMode="QUEUED")
    client.create_pipeline(pipeline=definition, tags=[{"key": "a", "value": "1"}])
    (listed,) = client.list_pipeline_executions(pipelineName="know-me")["pipelineExecutionSummaries"]
    execution = listed["pipelineExecutionId"]
    until(
        lambda: (
            client.list_pipeline_executions(pipelineName="know-me")["pipelineExecutionSummaries"][0]["status"]
            == "Succeeded"
        )
    )
    found = client.get_pipeline_execution(pipelineName="know-me", pipelineExecutionId=execution)
    assert found["pipelineExecution"]["executionMode"] == "QUEUED"
    assert found["pipelineExecution"]["trigger"]["triggerType"] == "CreatePipeline"
    runs = client.list_action_executions(pipelineName="know-me", filter={"pipelineExecutionId": execution})[
        "actionExecutionDetails"
    ]
    assert [run["actionName"] for run in runs] == ["Build", "Source"]
    assert runs[1]["output"]["outputVariables"] == {"CommitId": "c0ffee"}
    assert runs[0]["input"]["inputArtifacts"][0]["s3location"]["bucket"] == "bucket"
    state = client.get_pipeline_state(name="know-me")
    assert [stage["latestExecution"]["status"] for stage in state["stageStates"]] == ["Succeeded"] * 2
    assert "inboundTransitionState" not in state["stageStates"][0]
    assert state["stageStates"][1]["inboundTransitionState"]["enabled"] is True
    kept = client.get_pipeline(name="know-me")
    assert kept["metadata"]["created"].timestamp() > 0
    assert client.list_pipelines()["pipelines"][0]["pipelineType"] == "V2"


def test_lists_come_in_pages_newest_first(client: Any) -> None:
    client.create_pipeline(pipeline=declaration(roleArn=role()))
    started = [client.start_pipeline_execution(name="know-me")["pipelineExecutionId"] for _ in range(3)]
    page = client.list_pipeline_executions(pipelineName="know-me", maxResults=2)
    rest = client.list_pipeline_executions(pipelineName="know-me", nextToken=page["nextToken"])
    ids = [
        item["pipelineExecutionId"]
        for answer in (page, rest)
        for item in answer["pipelineExecutionSummaries"]
    ]
    assert ids[:3] == started[::-1]
    assert len(ids) == 4


def test_errors_have_the_names_of_the_api(client: Any) -> None:
    with pytest.raises(ClientError, match="PipelineNotFoundException"):
        client.get_pipeline(name="nothing")
    with pytest.raises(ClientError, match="CodePipeline is not authorized to perform AssumeRole"):
        client.create_pipeline(pipeline=declaration())
    client.create_pipeline(pipeline=declaration(roleArn=role()))
    with pytest.raises(ClientError, match="PipelineExecutionNotFoundException"):
        client.get_pipeline_execution(pipelineName="know-me", pipelineExecutionId=str(uuid.uuid4()))
    with pytest.raises(ClientError, match="StageNotFoundException"):
        client.disable_stage_transition(
            pipelineName="know-me", stageName="Nowhere", transitionType="Inbound", reason="x"
        )
    with pytest.raises(ClientError, match="JobNotFoundException"):
        client.put_job_success_result(jobId="1")
    arn = "arn:aws:codepipeline:us-east-1:123456789012:nothing"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.list_tags_for_resource(resourceArn=arn)


# -- connections and repositories, without a server --------------------------------------------------------


def test_both_names_of_the_service_share_the_connections_and_name_their_own() -> None:
    connections = Connections()
    names = ("codeconnections", "codestar-connections")
    services = [Actions(connections, name, "123456789012", "us-east-1") for name in names]

    def call(service: Actions, action: str, **parameters: Any) -> dict[str, Any]:
        return service(Operation("codeconnections", action, "key", "eu-west-1"), parameters)

    arns = [
        call(service, "CreateConnection", ProviderType="GitHub", ConnectionName="a")["ConnectionArn"]
        for service in services
    ]
    prefixes = [arn.rpartition("/")[0] for arn in arns]
    assert prefixes == [f"arn:aws:{name}:eu-west-1:123456789012:connection" for name in names]
    for service in services:
        assert len(call(service, "ListConnections")["Connections"]) == 2
        assert call(service, "ListConnections", ProviderTypeFilter="GitLab")["Connections"] == []
    with pytest.raises(Refusal, match="Connection not found"):
        call(services[0], "GetConnection", ConnectionArn="arn:nothing")
    with pytest.raises(NotImplementedError, match="CreateHost"):
        call(services[0], "CreateHost")


class Wire:
    """The control paths, called as the server calls them."""

    def __init__(self) -> None:
        self.connections, self.repositories = Connections(), Repositories()
        self.pushes = Pushes(self.repositories)
        self._control = Control(self.connections, self.repositories, self.pushes)

    def call(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        body = json.dumps(document).encode()
        environ = {"REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        status, _, answer = self._control.route(path, environ, False)
        return int(status), json.loads(answer)


def test_a_connection_is_approved_by_name_and_a_name_that_is_none_says_which_there_are() -> None:
    wire = Wire()
    made = wire.connections.create("codeconnections", "us-east-1", "123456789012", "source", "GitHub", {})
    status, answer = wire.call("POST", "connections", {"connection": "nobody"})
    assert (status, answer["message"]) == (400, "There is no connection nobody. There is: source.")
    assert wire.call("POST", "connections", {"connection": "source"})[1]["status"] == "AVAILABLE"
    assert made.status == "AVAILABLE"
    assert wire.call("POST", "connections", {"unknown": 1})[0] == 400
    assert wire.call("PUT", "connections")[0] == 404


def git(path: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    done = subprocess.run(
        ["git", *identity, "-C", str(path), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(path: Path, name: str) -> str:
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    (path / name).write_text(name)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", f"Add {name}\n\nWith a body.")
    return git(path, "rev-parse", "HEAD")


def test_a_push_to_a_git_repository_knows_branch_commit_and_what_changed(tmp_path: Path) -> None:
    # Given a repository of git with one commit, registered
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "first.txt")
    wire, told = Wire(), list[Push]()
    wire.pushes.listen(told.append)
    registered = {"name": "know-me/app", "path": str(tmp_path)}
    assert wire.call("POST", "repositories", registered) == (200, registered)
    # When a branch is pushed that is new, and has a path that is not ASCII
    git(tmp_path, "checkout", "--quiet", "-b", "feature/x")
    latest = commit(tmp_path, "api/modèle.py")
    status, answer = wire.call("POST", "pushes", {"repository": "know-me/app"})
    # Then those who listen are told, once
    assert (status, answer["pushes"]) == (200, [{"branch": "feature/x", "commit": latest}])
    assert told == [Push("know-me/app", "feature/x", latest, ("api/modèle.py",))]
    assert wire.call("POST", "pushes", {"repository": "know-me/app"})[1]["pushes"] == []
    assert wire.call("POST", "pushes", {"repository": "know-me/other"})[0] == 400


def test_a_commit_of_git_has_author_message_and_files(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    latest = commit(tmp_path, "deep/file.txt")
    (tmp_path / "not-committed").write_text("x")
    repository = GitRepository(tmp_path)
    found = repository.commit("main")
    assert (found.identifier, found.author, found.email) == (latest, "Ada", "ada@example.com")
    assert found.message == "Add deep/file.txt\n\nWith a body."
    archive = tmp_path / "archive.zip"
    archive.write_bytes(repository.archive(latest))
    listed = subprocess.run(
        ["python3", "-m", "zipfile", "-l", str(archive)], capture_output=True, text=True, check=True
    )
    assert "deep/file.txt" in listed.stdout
    assert "not-committed" not in listed.stdout
    with pytest.raises(RepositoryError, match="git show"):
        repository.commit("0" * 40)
