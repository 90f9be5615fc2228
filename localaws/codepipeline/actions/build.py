"""Build (and Test) with CodeBuild.

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-CodeBuild.html.
"""

import json
from collections.abc import Mapping
from typing import Any

from localaws.codebuild.source import OBJECT_ARN
from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.errors import ActionFailed
from localaws.codepipeline.store import Artifact

INTERVAL_SECONDS = 0.3
VARIABLE_TYPES = ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")


def _check(configuration: Mapping[str, str]) -> list[str]:
    try:
        environment(configuration)
    except ValueError as error:
        return [str(error)]
    return []


def environment(configuration: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the variables that the action adds to the project's.

    Raises
    ------
    ValueError
        `EnvironmentVariables` is not what CodeBuild wants.
    """
    text = configuration.get("EnvironmentVariables")
    if not text:
        return []
    try:
        variables = json.loads(text)
    except ValueError as error:
        raise ValueError(f"EnvironmentVariables is not JSON: {error}") from error
    whole = isinstance(variables, list) and all(
        isinstance(variable, dict)
        and {"name", "value"} <= variable.keys() <= {"name", "value", "type"}
        and all(isinstance(value, str) for value in variable.values())
        and variable.get("type", "PLAINTEXT") in VARIABLE_TYPES
        for variable in variables
    )
    if not whole:
        raise ValueError(
            "EnvironmentVariables is not a JSON list of objects with the texts name, value and, maybe, type "
            f"({', '.join(VARIABLE_TYPES)})"
        )
    return [{"type": "PLAINTEXT", **variable} for variable in variables]


def run(work: Work) -> Result:
    """Start a build, wait for its end, and take its artifacts and exported variables."""
    codebuild = work.client("codebuild")
    places = [work.store.place(name) for name in work.outputs]
    started = codebuild.start_build(**_request(work, places))["build"]
    work.run.external_id = started["id"]
    work.run.external_url = (
        f"https://console.aws.amazon.com/codebuild/home?region={work.run.region}#/builds/{started['id']}/view"
    )
    work.run.log_stream_arn = started["logs"].get("cloudWatchLogsArn", "")
    build = started
    while not build["buildComplete"]:
        work.pause(INTERVAL_SECONDS)
        build = codebuild.batch_get_builds(ids=[started["id"]])["builds"][0]
    if build["buildStatus"] != "SUCCEEDED":
        raise ActionFailed("JobFailed", _failure(build))
    lost = [artifact.name for artifact in places if not work.store.exists(artifact)]
    if lost:
        raise ActionFailed(
            "ConfigurationError",
            f"The build {started['id']} succeeded and wrote no artifact {', '.join(lost)}: list its files "
            "under "
            + ("artifacts" if len(places) == 1 else "artifacts: secondary-artifacts, by the artifact's name,")
            + " in the buildspec.",
        )
    exported = build.get("exportedEnvironmentVariables") or []
    return Result(tuple(places), {variable["name"]: variable["value"] for variable in exported})


def _request(work: Work, places: list[Artifact]) -> dict[str, Any]:
    primary_name = work.configuration.get("PrimarySource") or work.inputs[0].name
    primary = work.input(primary_name)
    if primary is None:
        raise ActionFailed(
            "ConfigurationError", f"PrimarySource {primary_name} is none of the action's input artifacts."
        )
    if len(work.inputs) > 1 and "PrimarySource" not in work.configuration:
        raise ActionFailed(
            "ConfigurationError",
            "The action has several input artifacts: say by PrimarySource where the buildspec is.",
        )
    request: dict[str, Any] = {
        "projectName": work.configuration["ProjectName"],
        "sourceVersion": primary.arn,
        "environmentVariablesOverride": environment(work.configuration),
        "secondarySourcesOverride": [
            {"type": "CODEPIPELINE", "sourceIdentifier": artifact.name, "location": artifact.arn}
            for artifact in work.inputs
            if artifact is not primary
        ],
    }
    if work.store.encryption_key:
        request["encryptionKeyOverride"] = work.store.encryption_key
    if len(places) == 1:
        request["artifactsOverride"] = _destination(places[0])
    else:
        request["secondaryArtifactsOverride"] = [
            {**_destination(place), "artifactIdentifier": place.name} for place in places
        ]
    return request


def _destination(place: Artifact) -> dict[str, str]:
    return {
        "type": "CODEPIPELINE",
        "location": OBJECT_ARN + place.bucket,
        "name": place.key,
        "packaging": "ZIP",
        "namespaceType": "NONE",
    }


def _failure(build: Mapping[str, Any]) -> str:
    """Return the message of a build that did not succeed, as AWS words it."""
    text = f"Build terminated with state: {build['buildStatus']}"
    for phase in build["phases"]:
        contexts = phase.get("contexts") or [{}]
        if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED":
            return (
                f"{text}. Phase: {phase['phaseType']}, Code: {contexts[0].get('statusCode', '')}, "
                f"Message: {contexts[0].get('message', '')}"
            )
    return text


def _type(category: str) -> ActionType:
    return ActionType(
        category,
        "CodeBuild",
        run,
        frozenset({"ProjectName"}),
        ("PrimarySource", "EnvironmentVariables"),
        range(1, 6),
        range(6),
        _check,
    )


BUILD, TEST = _type("Build"), _type("Test")
