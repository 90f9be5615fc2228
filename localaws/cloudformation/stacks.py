"""Stacks and change sets: what there is, and what happens to it."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from localaws.cloudformation import parameters, template
from localaws.cloudformation.deployment import Deployment, Resource
from localaws.cloudformation.errors import (
    AlreadyExists,
    ChangeSetNotFound,
    InvalidChangeSetStatus,
    ResourceFailedError,
    ValidationError,
)
from localaws.cloudformation.resources import TYPES
from localaws.cloudformation.resources.base import Made, Place
from localaws.runtime import Runtime

NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)


@dataclass(frozen=True)
class Event:
    """Something that happened to a stack or to one of its resources."""

    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str | None
    token: str | None
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Blueprint:
    """What a stack is asked to be."""

    body: str
    template: Mapping[str, Any]
    values: Mapping[str, str]
    resolved: Mapping[str, Any]
    tags: Sequence[Mapping[str, str]]
    role_arn: str | None
    capabilities: Sequence[str] = ()
    notification_arns: Sequence[str] = ()


@dataclass
class ChangeSet:
    """A difference between a stack and a blueprint, to be looked at and executed."""

    id: str
    name: str
    type: str
    blueprint: Blueprint
    changes: list[dict[str, Any]]
    description: str | None = None
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    execution_status: str = "AVAILABLE"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Stack:
    """A stack as it is now."""

    id: str
    name: str
    region: str
    status: str = "REVIEW_IN_PROGRESS"
    reason: str | None = None
    blueprint: Blueprint | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    termination_protection: bool = False
    disable_rollback: bool = False
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    token: str | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self.status.endswith("IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def tell(self, status: str, reason: str | None = None) -> None:
        """Take a status and say so."""
        self.status, self.reason = status, reason
        self.events.append(
            Event(self.name, self.id, "AWS::CloudFormation::Stack", status, reason, self.token)
        )

    def tell_of(self, resource: Resource, status: str, reason: str | None) -> None:
        """Say what happens to a resource."""
        resource.status, resource.reason = status, reason
        physical_id = resource.made.physical_id
        self.events.append(Event(resource.logical_id, physical_id, resource.type, status, reason, self.token))


class Stacks:
    """Every stack of a server.

    Parameters
    ----------
    runtime : Runtime
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stacks: dict[str, Stack] = {}
        self._lock = threading.RLock()

    # -------------------------------------------------------------- looking

    def all(self, region: str) -> list[Stack]:
        """Return the stacks of a region, deleted ones too, the newest first."""
        return [stack for stack in reversed(self._stacks.values()) if stack.region == region]

    def find(self, name_or_id: str, region: str) -> Stack:
        """Return a stack: a deleted one by its id only.

        Raises
        ------
        ValidationError
            There is none.
        """
        for stack in self.all(region):
            if stack.id == name_or_id or (stack.name == name_or_id and stack.status != "DELETE_COMPLETE"):
                return stack
        raise ValidationError(f"Stack with id {name_or_id} does not exist")

    def exports(self, region: str) -> dict[str, tuple[str, Any]]:
        """Return what stacks export: name → (stack id, value)."""
        return {
            output["ExportName"]: (stack.id, output["OutputValue"])
            for stack in self.all(region)
            if stack.status != "DELETE_COMPLETE"
            for output in stack.outputs
            if "ExportName" in output
        }

    def find_change_set(
        self, name_or_id: str, stack_name: str | None, region: str
    ) -> tuple[Stack, ChangeSet]:
        """Return a change set and its stack.

        Raises
        ------
        ChangeSetNotFound
            There is none.
        """
        candidates = [self.find(stack_name, region)] if stack_name else self.all(region)
        for stack in candidates:
            for change_set in stack.change_sets.values():
                if name_or_id in (change_set.id, change_set.name):
                    return stack, change_set
        raise ChangeSetNotFound(f"ChangeSet [{name_or_id}] does not exist")

    # -------------------------------------------------------------- asking

    def template_at(self, url: str) -> str:
        """Return the text of a template in S3: bucket in the host name, or first in the path."""
        parts = urlsplit(url)
        host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
        bucket, dot_s3, _ = host.partition(".s3")
        if not dot_s3 or host.startswith("s3"):
            bucket, _, path = path.partition("/")
        body = self._runtime.client("s3").get_object(Bucket=bucket, Key=path)["Body"].read()
        return str(body.decode())

    def blueprint(
        self,
        *,
        body: str,
        asked: Sequence[Mapping[str, Any]],
        tags: Sequence[Mapping[str, str]] | None,
        role_arn: str | None,
        previous: Blueprint | None,
        region: str,
        capabilities: Sequence[str] = (),
        notification_arns: Sequence[str] = (),
    ) -> Blueprint:
        """Check what a stack is asked to be.

        Raises
        ------
        ValidationError
            The template or its parameters are wrong.
        """
        parsed = template.parse(body)
        unknown = sorted({str(one.get("Type")) for one in parsed["Resources"].values()} - TYPES.keys())
        if unknown:
            raise ValidationError(
                f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]"
            )
        given = parameters.given_values(asked, previous.values if previous else {})
        values = parameters.with_defaults(parsed, given)
        ssm = self._runtime.client("ssm", role_arn=role_arn, region=region)
        resolved = parameters.resolved(
            parsed, values, lambda name: str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
        )
        return Blueprint(
            body=body,
            template=parsed,
            values=values,
            resolved=resolved,
            tags=tags if tags is not None else (previous.tags if previous else ()),
            role_arn=role_arn or (previous.role_arn if previous else None),
            capabilities=capabilities,
            notification_arns=notification_arns,
        )

    def new_stack(self, name: str, region: str) -> Stack:
        """Return a new, empty stack.

        Raises
        ------
        AlreadyExists
            There is one of this name.
        """
        with self._lock:
            if any(stack.name == name and stack.status != "DELETE_COMPLETE" for stack in self.all(region)):
                raise AlreadyExists(f"Stack [{name}] already exists")
            account = self._runtime.account_id
            arn = f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid.uuid4()}"
            self._stacks[arn] = Stack(arn, name, region)
            return self._stacks[arn]

    def add_change_set(
        self, stack: Stack, *, name: str, kind: str, blueprint: Blueprint, description: str | None
    ) -> ChangeSet:
        """Compare a stack with a blueprint.

        Raises
        ------
        AlreadyExists
            The stack has a change set of this name.
        ValidationError
            The template's references lead nowhere, or its rules refuse the parameters.
        """
        if any(one.name == name for one in stack.change_sets.values()):
            raise AlreadyExists(
                f"ChangeSet {name} cannot be created due to a mismatch with existing attribute Name"
            )
        scope = self._scope(stack, blueprint, {})
        scope.order()
        _check_rules(scope)
        account = self._runtime.account_id
        arn = f"arn:aws:cloudformation:{stack.region}:{account}:changeSet/{name}/{uuid.uuid4()}"
        change_set = ChangeSet(arn, name, kind, blueprint, _changes(stack, blueprint, scope), description)
        if not change_set.changes and not _differs_otherwise(stack, blueprint):
            change_set.status, change_set.execution_status = "FAILED", "UNAVAILABLE"
            change_set.reason = NO_CHANGES
        stack.change_sets[arn] = change_set
        return change_set

    # -------------------------------------------------------------- doing

    def execute(self, stack: Stack, change_set: ChangeSet, token: str | None, disable_rollback: bool) -> None:
        """Bring a stack to where a change set wants it, in the background.

        Raises
        ------
        InvalidChangeSetStatus
            The change set cannot be executed.
        """
        if change_set.execution_status != "AVAILABLE":
            raise InvalidChangeSetStatus(
                f"ChangeSet [{change_set.id}] cannot be executed in its current execution status of "
                f"[{change_set.execution_status}]"
            )
        change_set.execution_status = "EXECUTE_IN_PROGRESS"
        self.deploy(stack, change_set.blueprint, token, disable_rollback)
        stack.change_sets.clear()  # as AWS does: what was compared is no more

    def deploy(
        self, stack: Stack, blueprint: Blueprint, token: str | None = None, disable_rollback: bool = False
    ) -> None:
        """Bring a stack to where a blueprint wants it, in the background.

        Raises
        ------
        ValidationError
            The stack is in a state in which it cannot be changed.
        """
        with self._lock:
            self._refuse_when_busy(stack)
            creating = stack.blueprint is None
            stack.token, stack.disable_rollback = token, disable_rollback
            stack.tell("CREATE_IN_PROGRESS" if creating else "UPDATE_IN_PROGRESS", "User Initiated")
            if creating:
                stack.blueprint = blueprint
            else:
                stack.updated_at = datetime.now(UTC)
        self._runtime.background(
            f"stack {stack.name}", self._create if creating else self._update, stack, blueprint
        )

    @staticmethod
    def _refuse_when_busy(stack: Stack) -> None:
        if stack.busy or stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            raise ValidationError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")

    def _create(self, stack: Stack, blueprint: Blueprint) -> None:
        deployment = self._deployment(stack, blueprint)
        try:
            deployment.run()
            stack.outputs = _outputs(deployment.scope)
        except (ResourceFailedError, ValidationError) as error:
            reason = f"The following resource(s) failed to create: [{_failed(stack)}]. {_message(error)}"
            if stack.disable_rollback:
                stack.tell("CREATE_FAILED", reason)
                return
            stack.tell("ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
            failures = deployment.roll_back()
            stack.tell("ROLLBACK_FAILED" if failures else "ROLLBACK_COMPLETE", "; ".join(failures) or None)
        else:
            stack.tell("CREATE_COMPLETE")

    def _update(self, stack: Stack, blueprint: Blueprint) -> None:
        deployment = self._deployment(stack, blueprint)
        resources = dict(stack.resources)
        try:
            deployment.run()
            outputs = _outputs(deployment.scope)
        except (ResourceFailedError, ValidationError) as error:
            reason = f"The following resource(s) failed to update: [{_failed(stack)}]. {_message(error)}"
            if stack.disable_rollback:
                stack.blueprint = blueprint
                stack.tell("UPDATE_FAILED", reason)
                return
            stack.tell("UPDATE_ROLLBACK_IN_PROGRESS", reason)
            failures = deployment.roll_back()
            # What was to be removed had only been taken off the list.
            for name, resource in resources.items():
                stack.resources.setdefault(name, resource)
            if failures:
                stack.tell("UPDATE_ROLLBACK_FAILED", "; ".join(failures))
            else:
                stack.tell("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
                stack.tell("UPDATE_ROLLBACK_COMPLETE")
        else:
            stack.blueprint, stack.outputs = blueprint, outputs
            stack.tell("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            deployment.clean_up()
            stack.tell("UPDATE_COMPLETE")

    def delete(self, stack: Stack, role_arn: str | None, token: str | None) -> None:
        """Delete a stack, in the background; what its template retains stays.

        Raises
        ------
        ValidationError
            It is protected, or something is under way.
        """
        with self._lock:
            if stack.status == "DELETE_COMPLETE":
                return
            if stack.termination_protection:
                raise ValidationError(
                    f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                )
            if stack.busy:
                raise ValidationError(f"Stack:{stack.id} is in {stack.status} state and can not be deleted.")
            stack.token = token
            stack.tell("DELETE_IN_PROGRESS", "User Initiated")
        self._runtime.background(f"stack {stack.name}", self._delete, stack, role_arn)

    def _delete(self, stack: Stack, role_arn: str | None) -> None:
        failed = []
        if stack.blueprint is not None:
            deployment = self._deployment(stack, stack.blueprint, role_arn)
            for logical_id in reversed(_last_order(stack, deployment.scope)):
                resource = stack.resources[logical_id]
                if resource.deletion_policy in ("Retain", "RetainExceptOnCreate", "Snapshot"):
                    stack.tell_of(resource, "DELETE_SKIPPED", None)
                    continue
                try:
                    deployment.delete(resource)
                    del stack.resources[logical_id]
                except ResourceFailedError:
                    failed.append(logical_id)
        if failed:
            stack.tell(
                "DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            )
        else:
            stack.deleted_at = datetime.now(UTC)
            stack.outputs = []
            stack.tell("DELETE_COMPLETE")

    # -------------------------------------------------------------- the parts

    def _deployment(self, stack: Stack, blueprint: Blueprint, role_arn: str | None = None) -> Deployment:
        role = role_arn or blueprint.role_arn

        def place(logical_id: str, attempt: int) -> Place:
            return Place(
                client=lambda service: self._runtime.client(service, role_arn=role, region=stack.region),
                account=self._runtime.account_id,
                region=stack.region,
                stack_id=stack.id,
                stack_name=stack.name,
                logical_id=logical_id,
                attempt=attempt,
            )

        scope = self._scope(stack, blueprint, stack.resources)
        return Deployment(stack.resources, scope, place, stack.tell_of, self._runtime.log)

    def _scope(self, stack: Stack, blueprint: Blueprint, resources: Mapping[str, Resource]) -> template.Scope:
        def made(logical_id: str) -> Made:
            if logical_id not in resources:
                raise ValidationError(f"Template error: unresolved resource dependency [{logical_id}]")
            return resources[logical_id].made

        def attribute(logical_id: str, name: str) -> Any:
            attributes = made(logical_id).attributes
            if name not in attributes:
                raise ValidationError(
                    f"Template error: resource {logical_id} does not support attribute type {name} in "
                    f"Fn::GetAtt (the local AWS has {', '.join(attributes)})"
                )
            return attributes[name]

        def export(name: str) -> Any:
            exports = self.exports(stack.region)
            if name not in exports:
                raise ValidationError(f"No export named {name} found.")
            return exports[name][1]

        pseudo = {
            "AWS::AccountId": self._runtime.account_id,
            "AWS::NotificationARNs": list(blueprint.notification_arns),
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        return template.Scope(
            blueprint.template,
            blueprint.resolved,
            pseudo,
            lambda logical_id: made(logical_id).physical_id,
            attribute,
            export,
        )


def _message(error: Exception) -> str:
    return str(getattr(error, "message", error))


def _failed(stack: Stack) -> str:
    failed = [
        event.logical_id
        for event in stack.events
        if event.token == stack.token and event.status in ("CREATE_FAILED", "UPDATE_FAILED")
    ]
    return ", ".join(dict.fromkeys(failed))


def _last_order(stack: Stack, scope: template.Scope) -> list[str]:
    """Return the order in which what is left was made."""
    order = [name for name in scope.order() if name in stack.resources]
    return [name for name in stack.resources if name not in order] + order


def _outputs(scope: template.Scope) -> list[dict[str, Any]]:
    outputs = []
    for name, output in (scope.template.get("Outputs") or {}).items():
        if "Condition" in output and not scope.condition(output["Condition"]):
            continue
        written = {"OutputKey": name, "OutputValue": str(scope.evaluate(output["Value"]))}
        if "Description" in output:
            written["Description"] = output["Description"]
        if "Export" in output:
            written["ExportName"] = scope.evaluate(output["Export"]["Name"])
        outputs.append(written)
    return outputs


def _check_rules(scope: template.Scope) -> None:
    faults = []
    for name, rule in (scope.template.get("Rules") or {}).items():
        if "RuleCondition" in rule and not scope.evaluate(rule["RuleCondition"]):
            continue
        for assertion in rule["Assertions"]:
            if not scope.evaluate(assertion["Assert"]):
                faults.append(assertion.get("AssertDescription", f"rule {name}"))
    if faults:
        raise ValidationError(f"Template error: {'; '.join(faults)}")


def _changes(stack: Stack, blueprint: Blueprint, scope: template.Scope) -> list[dict[str, Any]]:
    """Return what is added, modified and removed, as a change set shows it."""
    before = stack.blueprint
    declared: Mapping[str, Any] = before.template["Resources"] if before else {}
    wanted = scope.included()
    parameters_changed = {
        name
        for name, value in blueprint.resolved.items()
        if before is not None and before.resolved.get(name) != value
    }
    changes = []
    for name, resource in wanted.items():
        if name not in stack.resources:
            changes.append(_change("Add", name, resource["Type"], None))
        elif resource != declared.get(name) or template.references(resource) & parameters_changed:
            changes.append(_change("Modify", name, resource["Type"], stack.resources[name].made.physical_id))
    changes += [
        _change("Remove", name, resource.type, resource.made.physical_id)
        for name, resource in stack.resources.items()
        if name not in wanted
    ]
    return changes


def _change(action: str, logical_id: str, kind: str, physical_id: str | None) -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": logical_id, "ResourceType": kind}
    if physical_id is not None:
        change["PhysicalResourceId"] = physical_id
    return {"Type": "Resource", "ResourceChange": change}


def _differs_otherwise(stack: Stack, blueprint: Blueprint) -> bool:
    """Return whether outputs, tags or parameters differ, which no resource shows."""
    before = stack.blueprint
    return (
        before is None
        or before.template.get("Outputs") != blueprint.template.get("Outputs")
        or before.resolved != blueprint.resolved
        or list(before.tags) != list(blueprint.tags)
    )
