"""AWS::StepFunctions::StateMachine: what moto leaves out of the resource type.

moto takes `DefinitionString` only. Added: `DefinitionS3Location`, `Definition`, `DefinitionSubstitutions`, logging and tracing
configurations, the attributes Arn and StateMachineRevisionId.
"""

import json
from typing import Any

from localaws.runtime import Runtime

ATTRIBUTES = (
    "Arn",
    "Name",
    "StateMachineName",
    "Tags",
    "DefinitionString",
    "RoleArn",
    "StateMachineRevisionId",
)


def definition_of(runtime: Runtime, properties: dict[str, Any], region: str) -> str:
    """Return the definition that a resource describes, substitutions made."""
    if "DefinitionString" in properties:
        text = properties["DefinitionString"]
    elif "Definition" in properties:
        text = json.dumps(properties["Definition"])
    else:
        location = properties["DefinitionS3Location"]
        version = {"VersionId": location["Version"]} if location.get("Version") else {}
        answer = runtime.client("s3", region=region).get_object(
            Bucket=location["Bucket"], Key=location["Key"], **version
        )
        text = answer["Body"].read().decode()
    for name, value in (properties.get("DefinitionSubstitutions") or {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    return str(text)


def small(value: Any) -> Any:
    """Return a CloudFormation structure with the small first letters of the API."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: small(item) for key, item in value.items()}
    return [small(item) for item in value] if isinstance(value, list) else value


def install(runtime: Runtime) -> None:
    """Replace the create, update and delete of moto's resource class.

    moto looks resource types up among the direct subclasses of CloudFormationModel, so a subclass of its StateMachine would not be
    found: its class methods are replaced.
    """
    from moto.stepfunctions import models

    def arguments(properties: dict[str, Any], region: str) -> dict[str, Any]:
        return {
            "definition": definition_of(runtime, properties, region),
            "logging": small(properties.get("LoggingConfiguration")),
            "tracing": small(properties.get("TracingConfiguration")),
        }

    def create(
        cls: Any,  # noqa: ARG001
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> Any:
        properties = cloudformation_json["Properties"]
        given = arguments(properties, region_name)
        return models.stepfunctions_backends[account_id][region_name].create_state_machine(
            name=properties.get("StateMachineName", resource_name),
            definition=given["definition"],
            roleArn=properties["RoleArn"],
            tags=models.cfn_to_api_tags(properties.get("Tags", [])),
            loggingConfiguration=given["logging"],
            tracingConfiguration=given["tracing"],
            sm_type=properties.get("StateMachineType"),
        )

    def update(
        cls: Any,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Any:
        properties = cloudformation_json["Properties"]
        if properties.get("StateMachineName", original_resource.name) != original_resource.name:
            replacement = create(cls, new_resource_name, cloudformation_json, account_id, region_name)
            delete(cls, original_resource.arn, cloudformation_json, account_id, region_name)
            return replacement
        given = arguments(properties, region_name)
        backend = models.stepfunctions_backends[account_id][region_name]
        machine = backend.update_state_machine(
            original_resource.arn,
            definition=given["definition"],
            role_arn=properties["RoleArn"],
            logging_configuration=given["logging"],
            tracing_configuration=given["tracing"],
        )
        backend.tagger.tag_resource(machine.arn, models.cfn_to_api_tags(properties.get("Tags", [])))
        return machine

    def delete(
        cls: Any,  # noqa: ARG001
        resource_name: str,
        cloudformation_json: Any,  # noqa: ARG001
        account_id: str,
        region_name: str,
    ) -> None:
        models.stepfunctions_backends[account_id][region_name].delete_state_machine(resource_name)

    known = models.StateMachine.get_cfn_attribute

    def attribute(self: Any, name: str) -> Any:
        if name == "Arn":
            return self.arn
        if name == "StateMachineRevisionId":
            return self.revision
        return known(self, name)

    models.StateMachine.create_from_cloudformation_json = classmethod(create)
    models.StateMachine.update_from_cloudformation_json = classmethod(update)
    models.StateMachine.delete_from_cloudformation_json = classmethod(delete)
    models.StateMachine.has_cfn_attr = classmethod(lambda cls, name: name in ATTRIBUTES)  # noqa: ARG005
    models.StateMachine.get_cfn_attribute = attribute
