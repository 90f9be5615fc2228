"""Lambda functions, their URLs, layers and permissions; log groups."""

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
    tag_dictionary,
)


class Function(ResourceType):
    """AWS::Lambda::Function."""

    name = "AWS::Lambda::Function"
    name_property = "FunctionName"
    replaced_by = frozenset({"FunctionName", "PackageType"})
    properties = frozenset(
        {
            "Architectures",
            "Code",
            "DeadLetterConfig",
            "Description",
            "Environment",
            "EphemeralStorage",
            "FunctionName",
            "Handler",
            "Layers",
            "LoggingConfig",
            "MemorySize",
            "Role",
            "Runtime",
            "Tags",
            "Timeout",
            "TracingConfig",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the function."""
        name = properties.get("FunctionName") or place.generated_name(64)
        parameters = {**properties, "FunctionName": name, "Tags": tag_dictionary(properties)}
        made = place.client("lambda").create_function(**conform("lambda", "CreateFunction", parameters))
        return Made(name, {"Arn": made["FunctionArn"]})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change code, configuration and tags, each when it differs."""
        client, name = place.client("lambda"), made.physical_id
        if (new["Code"], new.get("Architectures")) != (old["Code"], old.get("Architectures")):
            code = {"FunctionName": name, **new["Code"]}
            if "Architectures" in new:
                code["Architectures"] = new["Architectures"]
            client.update_function_code(**conform("lambda", "UpdateFunctionCode", code))
        settings = self._configuration(new)
        if settings != self._configuration(old):
            # What is no more in the template goes back to the default.
            unset = {key: _UNSET[key] for key in self._configuration(old).keys() - settings.keys()}
            parameters = {"FunctionName": name, **unset, **settings}
            client.update_function_configuration(
                **conform("lambda", "UpdateFunctionConfiguration", parameters)
            )
        if removed := removed_tags(old, new):
            client.untag_resource(Resource=made.attributes["Arn"], TagKeys=removed)
        if tag_dictionary(new) != tag_dictionary(old):
            client.tag_resource(Resource=made.attributes["Arn"], Tags=tag_dictionary(new))
        return made

    @staticmethod
    def _configuration(properties: Properties) -> dict[str, Any]:
        elsewhere = ("Code", "Architectures", "FunctionName", "Tags")
        return {key: value for key, value in properties.items() if key not in elsewhere}

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the function."""
        place.client("lambda").delete_function(FunctionName=made.physical_id)


_UNSET: dict[str, Any] = {
    "DeadLetterConfig": {"TargetArn": ""},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "Layers": [],
    "LoggingConfig": {"LogFormat": "Text"},
    "MemorySize": 128,
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
}


class LayerVersion(ResourceType):
    """AWS::Lambda::LayerVersion: never changed, another version is another resource."""

    name = "AWS::Lambda::LayerVersion"
    properties = frozenset(
        {
            "CompatibleArchitectures",
            "CompatibleRuntimes",
            "Content",
            "Description",
            "LayerName",
            "LicenseInfo",
        }
    )
    replaced_by = properties

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Publish a version."""
        parameters = {**properties, "LayerName": properties.get("LayerName") or place.generated_name(64)}
        published = place.client("lambda").publish_layer_version(
            **conform("lambda", "PublishLayerVersion", parameters)
        )
        return Made(published["LayerVersionArn"], {"LayerVersionArn": published["LayerVersionArn"]})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Do nothing: every property makes another version."""
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete this version."""
        *_, layer, version = made.physical_id.split(":")
        place.client("lambda").delete_layer_version(LayerName=layer, VersionNumber=int(version))


class Permission(ResourceType):
    """AWS::Lambda::Permission: a statement of a function's policy."""

    name = "AWS::Lambda::Permission"
    properties = frozenset(
        {
            "Action",
            "FunctionName",
            "FunctionUrlAuthType",
            "InvokedViaFunctionUrl",
            "Principal",
            "SourceAccount",
            "SourceArn",
        }
    )
    replaced_by = properties

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Add the statement."""
        statement = place.generated_name(100)
        place.client("lambda").add_permission(
            **conform("lambda", "AddPermission", {**properties, "StatementId": statement})
        )
        return Made(statement, {"Id": statement})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Do nothing: every property makes another statement."""
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Remove the statement."""
        place.client("lambda").remove_permission(
            FunctionName=properties["FunctionName"], StatementId=made.physical_id
        )


class Url(ResourceType):
    """AWS::Lambda::Url: the address of a function or of an alias."""

    name = "AWS::Lambda::Url"
    replaced_by = frozenset({"Qualifier", "TargetFunctionArn"})
    properties = frozenset({"AuthType", "Cors", "InvokeMode", "Qualifier", "TargetFunctionArn"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Give the function an address."""
        made = place.client("lambda").create_function_url_config(
            **conform("lambda", "CreateFunctionUrlConfig", self._parameters(properties))
        )
        return Made(
            made["FunctionArn"], {"FunctionArn": made["FunctionArn"], "FunctionUrl": made["FunctionUrl"]}
        )

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change who may call it, and from where; the address stays."""
        place.client("lambda").update_function_url_config(
            **conform("lambda", "UpdateFunctionUrlConfig", self._parameters(new))
        )
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Take the address away."""
        named = {"FunctionName": properties["TargetFunctionArn"]}
        if "Qualifier" in properties:
            named["Qualifier"] = properties["Qualifier"]
        place.client("lambda").delete_function_url_config(**named)

    @staticmethod
    def _parameters(properties: Properties) -> dict[str, Any]:
        return {
            {"TargetFunctionArn": "FunctionName"}.get(key, key): value for key, value in properties.items()
        }


class LogGroup(ResourceType):
    """AWS::Logs::LogGroup."""

    name = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"
    replaced_by = frozenset({"LogGroupName", "LogGroupClass"})
    properties = frozenset({"KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the group, then its retention."""
        logs = place.client("logs")
        name = properties.get("LogGroupName") or place.generated_name(512)
        parameters = {key: value for key, value in properties.items() if key != "RetentionInDays"}
        parameters |= {"LogGroupName": name, "Tags": tag_dictionary(properties)}
        logs.create_log_group(**conform("logs", "CreateLogGroup", parameters))
        made = Made(name, {"Arn": place.arn("logs", f"log-group:{name}:*")})
        if "RetentionInDays" in properties:
            self._set_retention(place, name, properties["RetentionInDays"])
        return made

    @staticmethod
    def _set_retention(place: Place, name: str, days: Any) -> None:
        parameters = {"logGroupName": name, "retentionInDays": days}
        place.client("logs").put_retention_policy(**conform("logs", "PutRetentionPolicy", parameters))

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change retention and tags."""
        logs = place.client("logs")
        if new.get("KmsKeyId") != old.get("KmsKeyId"):
            raise ResourceFailedError("Changing KmsKeyId of a log group is not implemented by the local AWS")
        if "RetentionInDays" in new:
            self._set_retention(place, made.physical_id, new["RetentionInDays"])
        elif "RetentionInDays" in old:
            logs.delete_retention_policy(logGroupName=made.physical_id)
        arn = made.attributes["Arn"].removesuffix(":*")
        if removed := removed_tags(old, new):
            logs.untag_resource(resourceArn=arn, tagKeys=removed)
        if tag_dictionary(new) != tag_dictionary(old):
            logs.tag_resource(resourceArn=arn, tags=tag_dictionary(new))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the group with its streams."""
        place.client("logs").delete_log_group(logGroupName=made.physical_id)


TYPES = (Function(), LayerVersion(), Permission(), Url(), LogGroup())
