"""The API of connections: https://docs.aws.amazon.com/codeconnections/latest/APIReference/Welcome.html."""

from collections.abc import Callable
from typing import Any

from localaws.codeconnections.connections import Connection, Connections
from localaws.operations import Operation, Refusal

PROVIDERS = ("Bitbucket", "GitHub", "GitHubEnterpriseServer", "GitLab", "GitLabSelfManaged", "AzureDevOps")

Document = dict[str, Any]


def _described(connection: Connection) -> Document:
    return {
        "ConnectionName": connection.name,
        "ConnectionArn": connection.arn,
        "ProviderType": connection.provider,
        "OwnerAccountId": connection.account_id,
        "ConnectionStatus": connection.status,
    }


class Actions:
    """The actions, under one of the two names of the service.

    Parameters
    ----------
    connections:
        Of the server; both names share them.
    service:
        Goes into the ARN of what is made.
    account_id, region:
        Of what is made; the region of the request goes first.
    """

    def __init__(self, connections: Connections, service: str, account_id: str, region: str) -> None:
        self._connections = connections
        self._service = service
        self._account_id = account_id
        self._region = region
        self._actions: dict[str, Callable[[Document, str], Document]] = {
            "CreateConnection": self._create,
            "GetConnection": self._get,
            "ListConnections": self._list,
            "DeleteConnection": self._delete,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._tags,
        }

    def __call__(self, operation: Operation, parameters: Document) -> Document:
        """Answer one call."""
        action = self._actions.get(operation.action)
        if action is None:
            raise NotImplementedError(operation.action)
        return action(parameters, operation.region or self._region)

    def _find(self, arn: str) -> Connection:
        found = self._connections.find(arn)
        if found is None:
            raise Refusal(400, "ResourceNotFoundException", f"Connection not found: {arn}")
        return found

    def _create(self, parameters: Document, region: str) -> Document:
        if "HostArn" in parameters:
            raise NotImplementedError("CreateConnection with HostArn")
        provider, name = parameters.get("ProviderType"), parameters.get("ConnectionName")
        faults = [] if name else ["ConnectionName is missing"]
        if provider not in PROVIDERS:
            faults.append(f"ProviderType {provider} is none of {', '.join(PROVIDERS)}")
        if faults:
            raise Refusal(400, "ValidationException", "; ".join(faults))
        tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags") or []}
        made = self._connections.create(
            self._service, region, self._account_id, str(name), str(provider), tags
        )
        return {"ConnectionArn": made.arn, "Tags": parameters.get("Tags") or []}

    def _get(self, parameters: Document, _region: str) -> Document:
        return {"Connection": _described(self._find(parameters["ConnectionArn"]))}

    def _list(self, parameters: Document, region: str) -> Document:
        wanted = parameters.get("ProviderTypeFilter")
        return {
            "Connections": [
                _described(connection)
                for connection in self._connections.all()
                if connection.arn.split(":")[3] == region and wanted in (None, connection.provider)
            ]
        }

    def _delete(self, parameters: Document, _region: str) -> Document:
        self._connections.remove(parameters["ConnectionArn"])
        return {}

    def _tag(self, parameters: Document, _region: str) -> Document:
        self._find(parameters["ResourceArn"]).tags.update(
            {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        )
        return {}

    def _untag(self, parameters: Document, _region: str) -> Document:
        tags = self._find(parameters["ResourceArn"]).tags
        for key in parameters["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _tags(self, parameters: Document, _region: str) -> Document:
        tags = self._find(parameters["ResourceArn"]).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
