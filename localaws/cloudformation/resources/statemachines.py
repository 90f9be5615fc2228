"""Step Functions state machines."""

import json
from typing import Any

from typing_extensions import override

from localaws.cloudformation.errors import ResourceFailedError
from localaws.cloudformation.resources.base import Made, Place, Properties, ResourceType, conform


class StateMachine(ResourceType):
    """AWS::StepFunctions::StateMachine."""

    name = "AWS::StepFunctions::StateMachine"
    name_property = "StateMachineName"
    replaced_by = frozenset({"StateMachineName", "StateMachineType"})
    properties = frozenset(
        {
            "Definition",
            "DefinitionS3Location",
            "DefinitionString",
            "DefinitionSubstitutions",
            "LoggingConfiguration",
            "RoleArn",
            "StateMachineName",
            "StateMachineType",
            "Tags",
            "TracingConfiguration",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the state machine."""
        name = properties.get("StateMachineName") or place.generated_name(80)
        parameters = {**self._settings(place, properties), "name": name}
        if "StateMachineType" in properties:
            parameters["type"] = properties["StateMachineType"]
        if "Tags" in properties:
            parameters["tags"] = properties["Tags"]
        arn = place.client("stepfunctions").create_state_machine(
            **conform("stepfunctions", "CreateStateMachine", parameters)
        )["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change definition, role, logging, tracing and tags; running executions keep the old definition."""
        client = place.client("stepfunctions")
        parameters = {**self._settings(place, new), "stateMachineArn": made.physical_id}
        client.update_state_machine(**conform("stepfunctions", "UpdateStateMachine", parameters))
        before = {tag["Key"] for tag in old.get("Tags", [])}
        after = {tag["Key"] for tag in new.get("Tags", [])}
        if before - after:
            client.untag_resource(resourceArn=made.physical_id, tagKeys=sorted(before - after))
        if new.get("Tags"):
            tags = {"resourceArn": made.physical_id, "tags": new["Tags"]}
            client.tag_resource(**conform("stepfunctions", "TagResource", tags))
        return made

    def _settings(self, place: Place, properties: Properties) -> dict[str, Any]:
        settings = {"definition": self._definition(place, properties), "roleArn": properties["RoleArn"]}
        for key in ("LoggingConfiguration", "TracingConfiguration"):
            if key in properties:
                settings[key] = properties[key]
        return settings

    @staticmethod
    def _definition(place: Place, properties: Properties) -> str:
        given = [
            key for key in ("Definition", "DefinitionS3Location", "DefinitionString") if key in properties
        ]
        match given:
            case ["Definition"]:
                text = json.dumps(properties["Definition"])
            case ["DefinitionString"]:
                text = properties["DefinitionString"]
            case ["DefinitionS3Location"]:
                at = {**properties["DefinitionS3Location"]}
                if "Version" in at:
                    at["VersionId"] = at.pop("Version")
                text = place.client("s3").get_object(**conform("s3", "GetObject", at))["Body"].read().decode()
            case _:
                raise ResourceFailedError(
                    "Exactly one of Definition, DefinitionS3Location, DefinitionString is needed"
                )
        for name, value in properties.get("DefinitionSubstitutions", {}).items():
            text = text.replace(f"${{{name}}}", str(value))
        return text

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the state machine."""
        place.client("stepfunctions").delete_state_machine(stateMachineArn=made.physical_id)


TYPES = (StateMachine(),)
