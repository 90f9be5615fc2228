"""DynamoDB tables, SSM parameters and secrets."""

import json
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
    """AWS::DynamoDB::Table; only recovery, expiry, billing, protection and tags can be changed."""

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
            "TimeToLiveSpecification",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the table, then its recovery and expiry."""
        name = properties.get("TableName") or place.generated_name(255)
        afterwards = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification")
        parameters = {key: value for key, value in properties.items() if key not in afterwards}
        sse = parameters.pop("SSESpecification", None)
        if sse is not None:
            parameters["SSESpecification"] = {
                {"SSEEnabled": "Enabled"}.get(key, key): value for key, value in sse.items()
            }
        client = place.client("dynamodb")
        table = client.create_table(**conform("dynamodb", "CreateTable", {**parameters, "TableName": name}))
        self._set_recovery(place, name, properties)
        self._set_expiry(place, name, {}, properties)
        return Made(name, {"Arn": table["TableDescription"]["TableArn"]})

    @staticmethod
    def _set_recovery(place: Place, name: str, properties: Properties) -> None:
        wanted: Any = properties.get("PointInTimeRecoverySpecification")
        if wanted is not None:
            parameters = {"TableName": name, "PointInTimeRecoverySpecification": wanted}
            place.client("dynamodb").update_continuous_backups(
                **conform("dynamodb", "UpdateContinuousBackups", parameters)
            )

    @staticmethod
    def _set_expiry(place: Place, name: str, old: Properties, new: Properties) -> None:
        """Say by which attribute items expire; what is no more in the template is switched off."""
        before: Any = old.get("TimeToLiveSpecification")
        after: Any = new.get("TimeToLiveSpecification")
        if before == after:
            return
        wanted = after or {**before, "Enabled": False}
        place.client("dynamodb").update_time_to_live(
            **conform("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": wanted})
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
        self._set_expiry(place, made.physical_id, old, new)
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
    properties = frozenset({"AllowedPattern", "Description", "Name", "Tags", "Tier", "Type", "Value"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the parameter; an existing one is not overwritten."""
        made = self._put(place, properties, properties.get("Name") or place.generated_name(128), False)
        self._tag(place, made.physical_id, {}, properties)
        return made

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Write the new value, then the tags."""
        updated = self._put(place, new, made.physical_id, True)
        self._tag(place, made.physical_id, old, new)
        return updated

    @staticmethod
    def _tag(place: Place, name: str, old: Properties, new: Properties) -> None:
        """Set the tags, which are a mapping here, unlike those of other types."""
        before, after = old.get("Tags") or {}, new.get("Tags") or {}
        named = {"ResourceType": "Parameter", "ResourceId": name}
        if removed := sorted(before.keys() - after.keys()):
            place.client("ssm").remove_tags_from_resource(**named, TagKeys=removed)
        if after != before:
            tags = [{"Key": key, "Value": str(value)} for key, value in after.items()]
            place.client("ssm").add_tags_to_resource(**named, Tags=tags)

    @staticmethod
    def _put(place: Place, properties: Properties, name: str, overwrite: bool) -> Made:
        parameters = {key: value for key, value in properties.items() if key != "Tags"}
        parameters |= {"Name": name, "Overwrite": overwrite}
        place.client("ssm").put_parameter(**conform("ssm", "PutParameter", parameters))
        return Made(name, {"Type": properties["Type"], "Value": properties["Value"]})

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the parameter."""
        place.client("ssm").delete_parameter(Name=made.physical_id)


class Secret(ResourceType):
    """AWS::SecretsManager::Secret: the value is that of the template, or one that is generated once."""

    name = "AWS::SecretsManager::Secret"
    name_property = "Name"
    replaced_by = frozenset({"Name"})
    properties = frozenset(
        {"Description", "GenerateSecretString", "KmsKeyId", "Name", "SecretString", "Tags"}
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the secret with its value."""
        client = place.client("secretsmanager")
        parameters = {key: value for key, value in properties.items() if key != "GenerateSecretString"}
        parameters["Name"] = properties.get("Name") or place.generated_name(255)
        if "GenerateSecretString" in properties:
            parameters["SecretString"] = self._generated(client, properties["GenerateSecretString"])
        made = client.create_secret(**conform("secretsmanager", "CreateSecret", parameters))
        return Made(made["ARN"], {"Id": made["ARN"]})

    @staticmethod
    def _generated(client: Any, wanted: Properties) -> str:
        """Return a random text, or the JSON template with it under its key."""
        own = ("GenerateStringKey", "SecretStringTemplate")
        parameters = {key: value for key, value in wanted.items() if key not in own}
        password: str = client.get_random_password(
            **conform("secretsmanager", "GetRandomPassword", parameters)
        )["RandomPassword"]
        if "GenerateStringKey" not in wanted:
            return password
        template = json.loads(wanted.get("SecretStringTemplate", "{}"))
        return json.dumps({**template, wanted["GenerateStringKey"]: password})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change description, key, tags and a value that the template gives.

        A generated value is generated anew only when the template asks for another kind of it.
        """
        client = place.client("secretsmanager")
        parameters = {key: new[key] for key in ("Description", "KmsKeyId", "SecretString") if key in new}
        if "GenerateSecretString" in new and new["GenerateSecretString"] != old.get("GenerateSecretString"):
            parameters["SecretString"] = self._generated(client, new["GenerateSecretString"])
        elif new.get("SecretString") == old.get("SecretString"):
            parameters.pop("SecretString", None)
        if parameters:
            client.update_secret(
                **conform("secretsmanager", "UpdateSecret", {**parameters, "SecretId": made.physical_id})
            )
        if removed := removed_tags(old, new):
            client.untag_resource(SecretId=made.physical_id, TagKeys=removed)
        if new.get("Tags"):
            client.tag_resource(
                **conform(
                    "secretsmanager", "TagResource", {"SecretId": made.physical_id, "Tags": new["Tags"]}
                )
            )
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the secret for good, so that another one may have its name."""
        place.client("secretsmanager").delete_secret(
            SecretId=made.physical_id, ForceDeleteWithoutRecovery=True
        )


TYPES = (Table(), Parameter(), Secret())
