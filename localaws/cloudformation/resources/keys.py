"""KMS keys and aliases."""

import json

from typing_extensions import override

from localaws.cloudformation.resources.base import Made, Place, Properties, ResourceType, conform


class Key(ResourceType):
    """AWS::KMS::Key."""

    name = "AWS::KMS::Key"
    properties = frozenset(
        {"Description", "EnableKeyRotation", "Enabled", "KeyPolicy", "PendingWindowInDays", "Tags"}
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the key, then its rotation."""
        kms = place.client("kms")
        parameters = {"Description": properties.get("Description", "")}
        if "KeyPolicy" in properties:
            parameters["Policy"] = json.dumps(properties["KeyPolicy"])
        if "Tags" in properties:
            parameters["Tags"] = [
                {"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties["Tags"]
            ]
        key = kms.create_key(**conform("kms", "CreateKey", parameters))["KeyMetadata"]
        made = Made(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})
        self._set_switches(place, made, properties)
        return made

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change description, policy, rotation and state."""
        kms, key = place.client("kms"), made.physical_id
        if new.get("Description") != old.get("Description"):
            kms.update_key_description(KeyId=key, Description=new.get("Description", ""))
        if "KeyPolicy" in new and new["KeyPolicy"] != old.get("KeyPolicy"):
            kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(new["KeyPolicy"]))
        self._set_switches(place, made, new)
        return made

    @staticmethod
    def _set_switches(place: Place, made: Made, properties: Properties) -> None:
        kms = place.client("kms")
        rotates = str(properties.get("EnableKeyRotation", False)).lower() == "true"
        (kms.enable_key_rotation if rotates else kms.disable_key_rotation)(KeyId=made.physical_id)
        enabled = str(properties.get("Enabled", True)).lower() == "true"
        (kms.enable_key if enabled else kms.disable_key)(KeyId=made.physical_id)

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Schedule the key's deletion, as CloudFormation does."""
        place.client("kms").schedule_key_deletion(
            KeyId=made.physical_id, PendingWindowInDays=int(properties.get("PendingWindowInDays", 30))
        )


class Alias(ResourceType):
    """AWS::KMS::Alias."""

    name = "AWS::KMS::Alias"
    name_property = "AliasName"
    replaced_by = frozenset({"AliasName"})
    properties = frozenset({"AliasName", "TargetKeyId"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the alias."""
        place.client("kms").create_alias(**conform("kms", "CreateAlias", properties))
        return Made(properties["AliasName"])

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Point it at another key."""
        place.client("kms").update_alias(**conform("kms", "UpdateAlias", new))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the alias."""
        place.client("kms").delete_alias(AliasName=made.physical_id)


TYPES = (Key(), Alias())
