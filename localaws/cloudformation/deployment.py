"""A deployment: from the resources of a stack to those of a template, or back when one fails."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.exceptions import ServiceException

from localaws.cloudformation.errors import ResourceFailedError
from localaws.cloudformation.resources import TYPES
from localaws.cloudformation.resources.base import Made, Place
from localaws.cloudformation.template import Scope

_GONE = ("NotFound", "NoSuch", "404", "NonExistent", "DoesNotExist")

Tell = Callable[["Resource", str, str | None], None]


@dataclass
class Resource:
    """A resource of a stack as it is now."""

    logical_id: str
    type: str
    made: Made
    properties: Mapping[str, Any]
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    deletion_policy: str = "Delete"
    replace_policy: str = "Delete"
    attempt: int = 0


@dataclass
class Deployment:
    """Brings resources to where a template wants them.

    Parameters
    ----------
    resources : dict of str to Resource
        Those of the stack; changed as the work goes on.
    scope : Scope
        Of the template to reach.
    place : callable
        Logical id and attempt → where the resource belongs.
    tell : callable
        Hears every change of a resource's status.
    """

    resources: dict[str, Resource]
    scope: Scope
    place: Callable[[str, int], Place]
    tell: Tell
    log: logging.Logger
    _undo: list[Callable[[], None]] = field(default_factory=list)
    _superfluous: list[Resource] = field(default_factory=list)

    def run(self) -> None:
        """Make, change and replace; `clean_up` or `roll_back` comes next.

        Raises
        ------
        ResourceFailedError
            A resource could not be made or changed.
        """
        included = self.scope.included()
        for logical_id in self.scope.order():
            self._reach(logical_id, included[logical_id])
        removed = [one for name, one in self.resources.items() if name not in included]
        for resource in reversed(removed):
            del self.resources[resource.logical_id]
            if resource.deletion_policy == "Delete" or resource.deletion_policy == "RetainExceptOnCreate":
                self._superfluous.append(resource)
            else:
                self.tell(resource, "DELETE_SKIPPED", None)

    def _reach(self, logical_id: str, wanted: Mapping[str, Any]) -> None:
        existing = self.resources.get(logical_id)
        resource_type = TYPES[wanted["Type"]]
        blank = existing or Resource(logical_id, resource_type.name, Made(""), {})
        try:
            properties = self.scope.evaluate(wanted.get("Properties") or {})
            if existing is not None and existing.type == resource_type.name:
                if existing.properties == properties:
                    self._keep_policies(existing, wanted)
                    return
                resource_type.check(properties)
                if not resource_type.is_replaced(existing.properties, properties):
                    self._update(existing, properties, wanted)
                    return
                name = resource_type.name_property
                if name and name in properties and properties[name] == existing.properties.get(name):
                    raise ResourceFailedError(
                        "CloudFormation cannot update a stack when a custom-named resource requires "
                        f"replacing. Rename {properties[name]} and update the stack again."
                    )
            resource_type.check(properties)
            self._create(logical_id, wanted, properties, existing)
        except Exception as error:
            reason = self._reason(error)
            self.tell(blank, "UPDATE_FAILED" if existing else "CREATE_FAILED", reason)
            raise ResourceFailedError(reason) from error

    def _create(
        self,
        logical_id: str,
        wanted: Mapping[str, Any],
        properties: Mapping[str, Any],
        existing: Resource | None,
    ) -> None:
        resource_type = TYPES[wanted["Type"]]
        resource = Resource(logical_id, resource_type.name, Made(""), properties)
        resource.attempt = existing.attempt + 1 if existing else 0
        self._keep_policies(resource, wanted)
        verb = "UPDATE" if existing else "CREATE"
        reason = "Requested update requires the creation of a new physical resource" if existing else None
        self.tell(resource, f"{verb}_IN_PROGRESS", reason)
        resource.made = resource_type.create(self.place(logical_id, resource.attempt), properties)
        self.resources[logical_id] = resource
        self._undo.append(lambda: self._uncreate(resource, existing))
        if existing is not None:
            if existing.replace_policy == "Delete":
                self._superfluous.append(existing)
            else:
                self.tell(existing, "DELETE_SKIPPED", None)
        self.tell(resource, f"{verb}_COMPLETE", None)

    def _uncreate(self, resource: Resource, before: Resource | None) -> None:
        if before is not None:
            self.resources[resource.logical_id] = before
        else:
            del self.resources[resource.logical_id]
        if resource.deletion_policy in ("Retain", "Snapshot"):
            self.tell(resource, "DELETE_SKIPPED", None)
        else:
            self.delete(resource)

    def _update(self, resource: Resource, properties: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        before, made = resource.properties, resource.made
        resource_type, place = TYPES[resource.type], self.place(resource.logical_id, resource.attempt)
        self.tell(resource, "UPDATE_IN_PROGRESS", None)
        # Half changed is changed: what a failed update left is put back too.
        self._undo.append(lambda: self._unupdate(resource, before, properties))
        resource.made = resource_type.update(place, made, before, properties)
        resource.properties = properties
        self._keep_policies(resource, wanted)
        self.tell(resource, "UPDATE_COMPLETE", None)

    def _unupdate(self, resource: Resource, before: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        place = self.place(resource.logical_id, resource.attempt)
        self.tell(resource, "UPDATE_IN_PROGRESS", None)
        resource.made = TYPES[resource.type].update(place, resource.made, properties, before)
        resource.properties = before
        self.tell(resource, "UPDATE_COMPLETE", None)

    @staticmethod
    def _keep_policies(resource: Resource, wanted: Mapping[str, Any]) -> None:
        resource.deletion_policy = wanted.get("DeletionPolicy", "Delete")
        resource.replace_policy = wanted.get("UpdateReplacePolicy", "Delete")

    def roll_back(self) -> list[str]:
        """Undo what was done, the latest first; return what could not be undone."""
        failures = []
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:
                failures.append(self._reason(error))
        return failures

    def clean_up(self) -> None:
        """Delete what was replaced or is no more in the template; what cannot be deleted stays, as on AWS."""
        for resource in self._superfluous:
            try:
                self.delete(resource)
            except ResourceFailedError:
                self.log.warning("%s could not be cleaned up", resource.logical_id)

    def delete(self, resource: Resource) -> None:
        """Delete a resource; one that is gone already is deleted.

        Raises
        ------
        ResourceFailedError
            It could not be deleted.
        """
        self.tell(resource, "DELETE_IN_PROGRESS", None)
        place = self.place(resource.logical_id, resource.attempt)
        try:
            TYPES[resource.type].delete(place, resource.made, resource.properties)
        except Exception as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            if not any(word in code for word in _GONE):
                reason = self._reason(error)
                self.tell(resource, "DELETE_FAILED", reason)
                raise ResourceFailedError(reason) from error
        self.tell(resource, "DELETE_COMPLETE", None)

    def _reason(self, error: Exception) -> str:
        match error:
            case ResourceFailedError():
                return str(error)
            case ClientError() | BotoCoreError():
                return f'Resource handler returned message: "{error}"'
            case ServiceException():
                return str(error.message)
            case KeyError():
                return f"Property {error.args[0]} is needed"
        self.log.exception("an unexpected error in a deployment", exc_info=error)
        return f"{type(error).__name__}: {error}"
