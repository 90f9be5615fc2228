"""The declaration of a pipeline: what CreatePipeline and UpdatePipeline accept, and its defaults.

https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-pipeline-structure.html.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from localaws.codepipeline.actions import ACTION_TYPES
from localaws.codepipeline.errors import PipelineError
from localaws.codepipeline.triggers import PROVIDER
from localaws.codepipeline.variables import OF_PIPELINE, references

NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")
MODES = ("QUEUED", "SUPERSEDED", "PARALLEL")
FAILURE_RESULTS = ("FAIL", "RETRY", "ROLLBACK")
NOT_IMPLEMENTED = "is not implemented by the local AWS"

Document = dict[str, Any]


def completed(given: Document) -> Document:
    """Return a copy of a declaration with the defaults that the API adds."""
    definition: Document = json.loads(json.dumps(given))
    definition.setdefault("pipelineType", "V1")
    definition.setdefault("executionMode", "SUPERSEDED")
    for stage in definition.get("stages") or []:
        for action in stage.get("actions") or []:
            for name, default in (
                ("runOrder", 1),
                ("configuration", {}),
                ("inputArtifacts", []),
                ("outputArtifacts", []),
            ):
                if action.get(name) is None:
                    action[name] = default
    return definition


def check(definition: Document) -> None:
    """Refuse a declaration with every fault in one message.

    Raises
    ------
    PipelineError
        `InvalidStructureException`.
    """
    stages = definition.get("stages") or []
    faults = [*_general(definition), *_stages(stages)]
    if not faults:
        faults = [*_actions(stages), *_flow(stages), *_triggers(definition)]
    if faults:
        raise PipelineError("InvalidStructureException", "; ".join(faults))


def _general(definition: Document) -> Iterator[str]:
    if not NAME.fullmatch(str(definition.get("name", ""))):
        yield f"The name {definition.get('name')} does not match {NAME.pattern}"
    if "artifactStores" in definition:
        yield f"artifactStores (actions in other regions) {NOT_IMPLEMENTED}: use artifactStore"
    elif (definition.get("artifactStore") or {}).get("type") != "S3":
        yield "The pipeline needs an artifactStore of the type S3"
    if definition["pipelineType"] not in ("V1", "V2"):
        yield f"The pipelineType {definition['pipelineType']} is neither V1 nor V2"
    if definition["executionMode"] not in MODES:
        yield f"The executionMode {definition['executionMode']} is none of {', '.join(MODES)}"
    if definition["pipelineType"] == "V1":
        only = [name for name in ("triggers", "variables") if definition.get(name)]
        only += ["executionMode"] if definition["executionMode"] != "SUPERSEDED" else []
        if only:
            yield f"{', '.join(only)}: a pipeline of the type V1 has none, use V2"


def _stages(stages: list[Document]) -> Iterator[str]:
    if len(stages) < 2:
        yield (
            f"Pipeline has only {len(stages)} stage(s). There should be a minimum of 2 stages in a pipeline"
        )
    for name, number in Counter(stage.get("name") for stage in stages).items():
        if number > 1:
            yield f"The stage name {name} is used {number} times"
    for stage in stages:
        name = str(stage.get("name", ""))
        if not NAME.fullmatch(name):
            yield f"The stage name {name} does not match {NAME.pattern}"
        if not stage.get("actions"):
            yield f"Stage {name} has no actions"
        for action, number in Counter(action.get("name") for action in stage.get("actions") or []).items():
            if number > 1:
                yield f"Stage {name}: the action name {action} is used {number} times"
        for part in ("beforeEntry", "onSuccess", "blockers"):
            if stage.get(part):
                yield f"Stage {name}: {part} {NOT_IMPLEMENTED}"
        failure = stage.get("onFailure") or {}
        if failure.get("conditions"):
            yield f"Stage {name}: conditions of onFailure {NOT_IMPLEMENTED.replace('is', 'are')}"
        if failure and failure.get("result", "FAIL") not in FAILURE_RESULTS:
            yield f"Stage {name}: the result {failure['result']} of onFailure {NOT_IMPLEMENTED}"


def _actions(stages: list[Document]) -> Iterator[str]:
    for position, stage in enumerate(stages):
        for action in stage["actions"]:
            where, kind = f"Action {stage['name']}/{action['name']}", action["actionTypeId"]
            found = ACTION_TYPES.get((kind["category"], kind["provider"]))
            if found is None or kind["owner"] != "AWS" or kind["version"] != "1":
                known = ", ".join("/".join(key) for key in ACTION_TYPES)
                spelt = "/".join((kind["category"], kind["owner"], kind["provider"], kind["version"]))
                yield f"{where}: the action type {spelt} {NOT_IMPLEMENTED} (known, of the owner AWS: {known})"
                continue
            if (found.category == "Source") != (position == 0):
                yield f"{where}: the first stage has source actions and only the first stage has them"
            if not 1 <= action["runOrder"] <= 999:
                yield f"{where}: runOrder {action['runOrder']} is not between 1 and 999"
            yield from (f"{where}: {fault}" for fault in found.faults(action))


def _flow(stages: list[Document]) -> Iterator[str]:
    """What an action takes, some action before it gives: artifacts and namespaces of variables."""
    artifacts: set[str] = set()
    namespaces: set[str] = set(OF_PIPELINE)
    for stage in stages:
        for order in sorted({action["runOrder"] for action in stage["actions"]}):
            actions = [action for action in stage["actions"] if action["runOrder"] == order]
            for action in actions:
                where = f"Action {stage['name']}/{action['name']}"
                for artifact in action["inputArtifacts"]:
                    if artifact["name"] not in artifacts:
                        yield f"{where}: no action before it has the output artifact {artifact['name']}"
                for value in action["configuration"].values():
                    for namespace in sorted(references(value) - namespaces):
                        yield f"{where}: no action before it has the namespace {namespace}"
            for action in actions:
                for artifact in action["outputArtifacts"]:
                    if artifact["name"] in artifacts:
                        yield f"The artifact {artifact['name']} is the output of two actions"
                    artifacts.add(artifact["name"])
                if namespace := action.get("namespace"):
                    namespaces.add(namespace)


def _triggers(definition: Document) -> Iterator[str]:
    connected = {
        action["name"]
        for stage in definition["stages"]
        for action in stage["actions"]
        if action["actionTypeId"]["provider"] == PROVIDER
    }
    for trigger in definition.get("triggers") or []:
        git = trigger.get("gitConfiguration") or {}
        name = git.get("sourceActionName")
        if trigger.get("providerType") != PROVIDER:
            yield f"A trigger of the type {trigger.get('providerType')} does not exist: use {PROVIDER}"
        if name not in connected:
            yield f"A trigger names the source action {name}: there is none with a connection of that name"
        if git.get("pullRequest"):
            yield f"Trigger of {name}: pullRequest {NOT_IMPLEMENTED}, use push"
        for push in git.get("push") or []:
            if push.get("tags"):
                yield f"Trigger of {name}: tags of push {NOT_IMPLEMENTED.replace('is', 'are')}, use branches"
