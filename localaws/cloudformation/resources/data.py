"""DynamoDB tables and SSM parameters."""

from typing import Any

from typing_extensions import override

from localaws.cloudformation.errors import ResourceFailedError
from localaws.cloudformation.resources.base import (
    Made,
    Place,
    Properties,
    ResourceType,
    conform,
    removed_tags,
)


class Table(ResourceType):
    """AWS::DynamoDB::Table; only its recovery, billing, protection and tags can be changed."""

    name = "AWS::DynamoDB::Table"
    name_property = "TableName"
    replaced_by = frozenset({"TableName", "KeySchema"})
    properties = frozenset(
        {
            "AttributeDefinitions",
            "BillingMode",
            "DeletionProtectionEnabled",
            "KeySchema",
            "PointInTimeRecoverySpecification",
            "SSESpecification",
            "TableName",
            "Tags",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the table, then its recovery."""
        name = properties.get("TableName") or place.generated_name(255)
        parameters = {
            key: value for key, value in properties.items() if key != "PointInTimeRecoverySpecification"
        }
        sse = parameters.pop("SSESpecification", None)
        if sse is not None:
            parameters["SSESpecification"] = {
                {"SSEEnabled": "Enabled"}.get(key, key): value for key, value in sse.items()
            }
        client = place.client("dynamodb")
        table = client.create_table(**conform("dynamodb", "CreateTable", {**parameters, "TableName": name}))
        self._set_recovery(place, name, properties)
        return Made(name, {"Arn": table["TableDescription"]["TableArn"]})

    @staticmethod
    def _set_recovery(place: Place, name: str, properties: Properties) -> None:
        wanted: Any = properties.get("PointInTimeRecoverySpecification")
        if wanted is not None:
            parameters = {"TableName": name, "PointInTimeRecoverySpecification": wanted}
            place.client("dynamodb").update_continuous_backups(
                **conform("dynamodb", "UpdateContinuousBackups", parameters)
            )

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change what can be changed."""
        client = place.client("dynamodb")
        fixed = [key for key in ("AttributeDefinitions", "SSESpecification") if new.get(key) != old.get(key)]
        if fixed:
            raise ResourceFailedError(
                f"Changing {', '.join(fixed)} of a table is not implemented by the local AWS"
            )
        settings = ("BillingMode", "DeletionProtectionEnabled")
        changed = {key: new[key] for key in settings if key in new and new[key] != old.get(key)}
        if changed:
            client.update_table(
                **conform("dynamodb", "UpdateTable", {**changed, "TableName": made.physical_id})
            )
        self._set_recovery(place, made.physical_id, new)
        arn = made.attributes["Arn"]
        if removed := removed_tags(old, new):
            client.untag_resource(ResourceArn=arn, TagKeys=removed)
        if new.get("Tags"):
            client.tag_resource(
                **conform("dynamodb", "TagResource", {"ResourceArn": arn, "Tags": new["Tags"]})
            )
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the table."""
        place.client("dynamodb").delete_table(TableName=made.physical_id)


class Parameter(ResourceType):
    """AWS::SSM::Parameter."""

    name = "AWS::SSM::Parameter"
    name_property = "Name"
    replaced_by = frozenset({"Name", "Type"})
    properties = frozenset({"AllowedPattern", "Description", "Name", "Tier", "Type", "Value"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the parameter; an existing one is not overwritten."""
        return self._put(place, properties, properties.get("Name") or place.generated_name(128), False)

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Write the new value."""
        return self._put(place, new, made.physical_id, True)

    @staticmethod
    def _put(place: Place, properties: Properties, name: str, overwrite: bool) -> Made:
        parameters = {**properties, "Name": name, "Overwrite": overwrite}
        place.client("ssm").put_parameter(**conform("ssm", "PutParameter", parameters))
        return Made(name, {"Type": properties["Type"], "Value": properties["Value"]})

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the parameter."""
        place.client("ssm").delete_parameter(Name=made.physical_id)


TYPES = (Table(), Parameter())
