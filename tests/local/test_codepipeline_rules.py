"""CodePipeline's rules that need no server: which pushes start it, what a declaration may say, variables."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from localaws.codeconnections.pushes import Push, Pushes
from localaws.codeconnections.repositories import Repositories, RepositoryError
from localaws.codepipeline import triggers
from localaws.codepipeline.actions import ecs_deploy
from localaws.codepipeline.actions.build import environment
from localaws.codepipeline.actions.work import Work
from localaws.codepipeline.errors import ActionFailed, PipelineError
from localaws.codepipeline.records import ActionRun, Execution
from localaws.codepipeline.store import Artifact, Store
from localaws.codepipeline.structure import check, completed
from localaws.codepipeline.triggers import fits
from localaws.codepipeline.variables import VariableError, resolve

SOURCE = {
    "name": "Source",
    "actionTypeId": {
        "category": "Source",
        "owner": "AWS",
        "provider": "CodeStarSourceConnection",
        "version": "1",
    },
    "configuration": {
        "ConnectionArn": "arn:aws:codestar-connections:us-east-1:123456789012:connection/1",
        "FullRepositoryId": "know-me/app",
        "BranchName": "main",
    },
    "outputArtifacts": [{"name": "Code"}],
    "namespace": "Code",
}
BUILD = {
    "name": "Build",
    "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
    "configuration": {"ProjectName": "image"},
    "inputArtifacts": [{"name": "Code"}],
    "outputArtifacts": [{"name": "Image"}],
}


def pipeline(*actions: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Return a declaration with the source and a stage of actions."""
    stages = [
        {"name": "Source", "actions": [SOURCE]},
        {"name": "Build", "actions": list(actions or (BUILD,))},
    ]
    return completed(
        {
            "name": "know-me",
            "roleArn": "arn:aws:iam::123456789012:role/pipeline",
            "artifactStore": {"type": "S3", "location": "bucket"},
            "pipelineType": "V2",
            "stages": stages,
            **settings,
        }
    )


def push(branch: str = "main", *changed: str, repository: str = "know-me/app") -> Push:
    return Push(repository, branch, "c0ffee", changed)


def started_by(definition: dict[str, Any], pushed: Push) -> tuple[str, str] | None:
    """Return what a push starts that came through an approved connection."""
    return triggers.started_by(definition, pushed, lambda _: True)


def trigger(*pushes: dict[str, Any]) -> dict[str, Any]:
    configuration = {"sourceActionName": "Source", "push": list(pushes)}
    return {"providerType": "CodeStarSourceConnection", "gitConfiguration": configuration}


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("main", "main", True),
        ("main", "mainly", False),
        ("feature*", "feature-x", True),
        ("feature*", "feature/x", False),
        ("feature/**", "feature/a/b", True),
        ("**/README.md", "README.md", True),
        ("**/README.md", "docs/a/README.md", True),
        ("api/*.py", "api/a.py", True),
        ("api/*.py", "api/b/a.py", False),
        ("{api,web}/**", "web/index.html", True),
        ("release-[0-9]", "release-3", True),
        ("release-[!0-9]", "release-3", False),
    ],
)
def test_a_star_stays_within_a_folder_and_two_stars_do_not(pattern: str, value: str, expected: bool) -> None:
    assert fits(pattern, value) is expected


@given(st.text(alphabet="abc/.-_", min_size=1))
def test_two_stars_fit_everything_and_a_plain_name_itself(value: str) -> None:
    assert fits("**", value)
    assert fits(value, value)


def test_a_push_to_the_branch_of_the_source_starts_a_pipeline_without_triggers() -> None:
    assert started_by(pipeline(), push("main")) == ("Source", "main")
    assert started_by(pipeline(), push("other")) is None
    assert started_by(pipeline(), push("main", repository="know-me/web")) is None


def test_a_push_is_not_heard_through_a_connection_that_nobody_approved() -> None:
    approved = list[str]()
    assert triggers.started_by(pipeline(), push("main"), approved.__contains__) is None
    approved.append("arn:aws:codestar-connections:us-east-1:123456789012:connection/1")
    assert triggers.started_by(pipeline(), push("main"), approved.__contains__) == ("Source", "main")


def test_detect_changes_false_starts_nothing() -> None:
    quiet = {**SOURCE, "configuration": {**SOURCE["configuration"], "DetectChanges": "false"}}  # type: ignore[dict-item]
    stages = [{"name": "Source", "actions": [quiet]}, {"name": "Build", "actions": [BUILD]}]
    assert started_by(pipeline(stages=stages), push("main")) is None


def test_branch_and_path_have_to_pass_the_same_filter_and_excluding_wins() -> None:
    paths = {"includes": ["api/**"], "excludes": ["**/*.md"]}
    filters = {"branches": {"includes": ["main", "release/*"]}, "filePaths": paths}
    definition = pipeline(triggers=[trigger(filters)])
    # When the branch and one path pass
    assert started_by(definition, push("release/1", "web/x", "api/models.py")) == ("Source", "release/1")
    # When only one of both does
    assert started_by(definition, push("main", "web/index.html")) is None
    assert started_by(definition, push("other", "api/models.py")) is None
    # When the only path that is included is excluded as well
    assert started_by(definition, push("main", "api/README.md")) is None


def test_one_of_several_filters_is_enough() -> None:
    definition = pipeline(
        triggers=[trigger({"branches": {"includes": ["a"]}}, {"branches": {"includes": ["b"]}})]
    )
    assert started_by(definition, push("b")) == ("Source", "b")


def test_a_declaration_without_fault_is_accepted_and_gets_the_defaults_of_the_api() -> None:
    definition = pipeline()
    check(definition)
    assert definition["executionMode"] == "SUPERSEDED"
    assert definition["stages"][0]["actions"][0]["runOrder"] == 1
    assert definition["stages"][0]["actions"][0]["inputArtifacts"] == []


def test_an_action_type_that_is_not_implemented_is_refused_by_name_with_those_that_are() -> None:
    approval = {
        "name": "Ask",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
    }
    with pytest.raises(PipelineError) as refused:
        check(pipeline(BUILD, approval))
    message = refused.value.message
    assert "Build/Ask: the action type Approval/AWS/Manual/1 is not implemented" in message
    assert "Deploy/CodeDeployToECS" in message


def test_every_fault_of_a_declaration_is_in_one_message() -> None:
    wrong = {
        **BUILD,
        "inputArtifacts": [{"name": "Nothing"}],
        "outputArtifacts": [{"name": "Code"}],
        "configuration": {
            "Project": "x",
            "EnvironmentVariables": "[]",
        },
    }
    later = {**BUILD, "name": "Later", "configuration": {"ProjectName": "#{Unknown.Value}"}}
    with pytest.raises(PipelineError) as refused:
        check(pipeline(wrong, later, triggers=[trigger({"tags": {"includes": ["v*"]}})]))
    message = refused.value.message
    for fault in (
        "configuration ProjectName is missing",
        "configuration Project is not known here",
        "no action before it has the output artifact Nothing",
        "The artifact Code is the output of two actions",
        "no action before it has the namespace Unknown",
        "tags of push are not implemented",
    ):
        assert fault in message


def test_a_pipeline_of_the_first_type_has_neither_triggers_nor_a_queue() -> None:
    with pytest.raises(PipelineError, match="triggers, executionMode: a pipeline of the type V1 has none"):
        check(pipeline(pipelineType="V1", executionMode="QUEUED", triggers=[trigger({})]))


def test_variables_are_replaced_and_those_that_are_missing_are_all_named() -> None:
    namespaces = {"Code": {"CommitId": "c0ffee"}, "Image": {}}
    assert resolve("id-#{Code.CommitId}-#", namespaces) == "id-c0ffee-#"
    with pytest.raises(VariableError, match=r"#\{Image.Tag\}, #\{Other.Value\}"):
        resolve("#{Image.Tag} #{Other.Value} #{Code.CommitId}", namespaces)


@pytest.mark.parametrize("text", ["{", "{}", '[{"name": "A"}]', '[{"name": "A", "value": 1}]', "[1]"])
def test_environment_variables_of_a_build_that_codebuild_would_not_take_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="EnvironmentVariables is not"):
        environment({"EnvironmentVariables": text})


def test_a_plain_directory_is_a_repository_whose_push_is_a_changed_file(tmp_path: Path) -> None:
    # Given a directory that is registered
    (tmp_path / "a.txt").write_text("one")
    repositories = Repositories()
    pushes = Pushes(repositories)
    repositories.register("know-me/app", tmp_path)
    pushes.remember("know-me/app")
    assert pushes.check("know-me/app") == []
    # When a file comes
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("two")
    # Then that is a push to any branch, once
    (found,) = pushes.check("know-me/app")
    assert (found.any_branch, found.changed) == (True, ("deep/b.txt",))
    assert pushes.check("know-me/app") == []
    assert started_by(pipeline(), found) == ("Source", "main")


def test_a_repository_needs_a_name_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="write it as owner/name"):
        Repositories().register("app", tmp_path)
    with pytest.raises(RepositoryError, match="is not a directory"):
        Repositories().register("know-me/app", tmp_path / "missing")
    with pytest.raises(RepositoryError, match="python -m localaws repository know-me/app PATH"):
        Repositories().get("know-me/app")


# -- CodeDeployToECS -----------------------------------------------------------------------------------------


TASK_DEFINITION = {
    "family": "know-me-api",
    "containerDefinitions": [{"name": "api", "image": "<IMAGE1_NAME>"}],
}


class Release:
    """A deployment action whose services are stubs, with what a build gave it."""

    APPSPEC = "Resources: [{TargetService: {Properties: {TaskDefinition: <TASK_DEFINITION>}}}]"
    ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/know-me-api:7"

    def __init__(self, **files: str) -> None:
        self.clients = {
            name: boto3.client(
                name, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
            )
            for name in ("s3", "ecs", "codedeploy")
        }
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()
        self.files = {
            "taskdef.json": json.dumps(TASK_DEFINITION),
            "appspec.yaml": self.APPSPEC,
            "imageDetail.json": '{"ImageURI": "registry/app@sha256:1"}',
            **{name.replace("_dot_", "."): text for name, text in files.items()},
        }
        self.content = self.APPSPEC.replace("<TASK_DEFINITION>", self.ARN)
        self.pauses: list[float] = []

    def reads(self, times: int) -> None:
        """Expect that the artifact is read."""
        for _ in range(times):
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as packed:
                for name, text in self.files.items():
                    packed.writestr(name, text)
            archive.seek(0)
            wanted = {"Bucket": "bucket", "Key": "key"}
            self.stubs["s3"].add_response("get_object", {"Body": archive}, wanted)

    def registers(self) -> None:
        """Expect the task definition with the image that was built."""
        container = {"name": "api", "image": "registry/app@sha256:1"}
        wanted = {"family": "know-me-api", "containerDefinitions": [container]}
        answer = {"taskDefinition": {"taskDefinitionArn": self.ARN}}
        self.stubs["ecs"].add_response("register_task_definition", answer, wanted)

    def deploys(self, *statuses: str, **information: Any) -> None:
        """Expect a deployment that goes through these states."""
        digest = hashlib.sha256(self.content.encode()).hexdigest()
        revision = {
            "revisionType": "AppSpecContent",
            "appSpecContent": {"content": self.content, "sha256": digest},
        }
        wanted = {"applicationName": "app", "deploymentGroupName": "group", "revision": revision}
        self.stubs["codedeploy"].add_response("create_deployment", {"deploymentId": "d-1"}, wanted)
        for status in statuses:
            answer = {"deploymentInfo": {"deploymentId": "d-1", "status": status, **information}}
            self.stubs["codedeploy"].add_response("get_deployment", answer, {"deploymentId": "d-1"})

    def run(self) -> tuple[ActionRun, Any]:
        """Run the action."""
        configuration = {
            "ApplicationName": "app",
            "DeploymentGroupName": "group",
            "TaskDefinitionTemplateArtifact": "Image",
            "AppSpecTemplateArtifact": "Image",
            "Image1ArtifactName": "Image",
            "Image1ContainerName": "IMAGE1_NAME",
        }
        run = ActionRun("Release", {"name": "Deploy", "outputArtifacts": []}, "arn", "us-east-1")
        run.configuration = configuration
        run.inputs = (Artifact("Image", "bucket", "key"),)
        execution = Execution("know-me", "arn", {}, 1, {}, (), {})
        store = Store({"location": "bucket"}, "know-me", self.clients["s3"])

        def pause(seconds: float) -> bool:
            self.pauses.append(seconds)
            return False

        result = ecs_deploy.run(Work(execution, run, self.clients.__getitem__, store, pause))
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()
        return run, result


def test_a_release_registers_the_task_definition_with_the_image_and_waits_for_the_deployment() -> None:
    release = Release()
    release.reads(3)
    release.registers()
    release.deploys("Created", "InProgress", "Succeeded")
    run, result = release.run()
    assert (run.external_id, result.variables) == ("d-1", {"DeploymentId": "d-1"})
    assert len(release.pauses) == 2


def test_a_deployment_that_fails_fails_the_action_with_its_reason() -> None:
    release = Release()
    release.reads(3)
    release.registers()
    reason = {"code": "HEALTH_CONSTRAINTS", "message": "The new tasks are not healthy."}
    release.deploys("Failed", errorInformation=reason)
    with pytest.raises(ActionFailed, match="Deployment d-1 failed: HEALTH_CONSTRAINTS The new tasks"):
        release.run()


@pytest.mark.parametrize(
    ("files", "reads", "message"),
    [
        ({"imageDetail_dot_json": "{}"}, 2, 'is not {"ImageURI"'),
        ({"taskdef_dot_json": "{}"}, 2, "does not contain the placeholder <IMAGE1_NAME>"),
        ({"taskdef_dot_json": "<IMAGE1_NAME>"}, 2, "It is not JSON"),
        ({"taskdef_dot_json": '{"image": "<IMAGE1_NAME>"}'}, 2, "Exception while trying to read the task"),
        ({"appspec_dot_yaml": "nothing"}, 3, "does not contain the placeholder <TASK_DEFINITION>"),
    ],
)
def test_files_of_a_release_that_cannot_be_used_are_named(
    files: dict[str, str], reads: int, message: str
) -> None:
    release = Release(**files)
    release.reads(reads)
    if reads == 3:
        release.registers()
    elif "Exception" in message:
        release.stubs["ecs"].add_response("register_task_definition", {})  # botocore refuses what is sent
    with pytest.raises(ActionFailed, match=message):
        release.run()
