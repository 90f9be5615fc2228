"""The API of CloudFormation: requests in, descriptions out."""

from typing import Any, ClassVar

from moto.core.responses import ActionResult, BaseResponse, EmptyResult

from localaws.cloudformation import template
from localaws.cloudformation.errors import ValidationError
from localaws.cloudformation.stacks import Blueprint, ChangeSet, Event, Stack, Stacks

PAGE = 100


class StackResponse(BaseResponse):  # type: ignore[misc]
    """Actions on stacks. moto routes a request to the method of its name; others are refused."""

    stacks: ClassVar[Stacks]

    def __init__(self) -> None:
        super().__init__(service_name="cloudformation")
        self.automated_parameter_parsing = True

    # -------------------------------------------------------------- stacks

    def create_stack(self) -> ActionResult:
        """CreateStack."""
        name = self._get_param("StackName")
        blueprint = self._blueprint(None)
        stack = self.stacks.new_stack(name, self.region)
        stack.termination_protection = self._flag("EnableTerminationProtection")
        disable_rollback = self._flag("DisableRollback") or self._get_param("OnFailure") == "DO_NOTHING"
        self.stacks.deploy(stack, blueprint, self._get_param("ClientRequestToken"), disable_rollback)
        return ActionResult({"StackId": stack.id})

    def update_stack(self) -> ActionResult:
        """UpdateStack."""
        stack = self._stack()
        blueprint = self._blueprint(stack)
        change_set = self.stacks.add_change_set(
            stack, name="update-stack", kind="UPDATE", blueprint=blueprint, description=None
        )
        del stack.change_sets[change_set.id]
        if change_set.status == "FAILED":
            raise ValidationError("No updates are to be performed.")
        token = self._get_param("ClientRequestToken")
        self.stacks.deploy(stack, blueprint, token, self._flag("DisableRollback"))
        return ActionResult({"StackId": stack.id})

    def delete_stack(self) -> ActionResult:
        """DeleteStack."""
        if self._get_param("RetainResources") or self._get_param("DeletionMode", "STANDARD") != "STANDARD":
            raise NotImplementedError("RetainResources, DeletionMode")
        try:
            stack = self._stack()
        except ValidationError:
            return EmptyResult()  # deleting what is not there succeeds
        self.stacks.delete(stack, self._get_param("RoleARN"), self._get_param("ClientRequestToken"))
        return EmptyResult()

    def describe_stacks(self) -> ActionResult:
        """DescribeStacks."""
        if self._get_param("StackName"):
            return ActionResult({"Stacks": [_described(self._stack())]})
        shown = [stack for stack in self.stacks.all(self.region) if stack.status != "DELETE_COMPLETE"]
        return ActionResult({"Stacks": [_described(stack) for stack in shown]})

    def list_stacks(self) -> ActionResult:
        """ListStacks."""
        wanted = self._get_param("StackStatusFilter", [])
        shown = [stack for stack in self.stacks.all(self.region) if not wanted or stack.status in wanted]
        keys = ("StackId", "StackName", "CreationTime", "LastUpdatedTime", "DeletionTime", "StackStatus")
        summaries = [{key: value for key, value in _described(one).items() if key in keys} for one in shown]
        return ActionResult({"StackSummaries": summaries})

    def describe_stack_events(self) -> ActionResult:
        """DescribeStackEvents, the newest first."""
        stack = self._stack()
        events = list(reversed(stack.events))
        # A page is counted from the oldest event: new ones do not move it.
        end = int(self._get_param("NextToken") or len(events))
        page = events[len(events) - end :][:PAGE]
        result: dict[str, Any] = {"StackEvents": [_event(stack, event) for event in page]}
        if end > PAGE:
            result["NextToken"] = str(end - PAGE)
        return ActionResult(result)

    def describe_stack_resource(self) -> ActionResult:
        """DescribeStackResource."""
        stack, logical_id = self._stack(), self._get_param("LogicalResourceId")
        if logical_id not in stack.resources:
            raise ValidationError(f"Resource {logical_id} does not exist for stack {stack.name}")
        detail = _resource(stack, logical_id)
        detail["LastUpdatedTimestamp"] = detail.pop("Timestamp")
        return ActionResult({"StackResourceDetail": detail})

    def describe_stack_resources(self) -> ActionResult:
        """DescribeStackResources."""
        stack, logical_id = self._stack(), self._get_param("LogicalResourceId")
        names = [logical_id] if logical_id else list(stack.resources)
        return ActionResult(
            {"StackResources": [_resource(stack, name) for name in names if name in stack.resources]}
        )

    def list_stack_resources(self) -> ActionResult:
        """ListStackResources."""
        stack = self._stack()
        summaries = []
        for name in list(stack.resources):
            summary = _resource(stack, name)
            summary["LastUpdatedTimestamp"] = summary.pop("Timestamp")
            summaries.append(summary)
        return ActionResult({"StackResourceSummaries": summaries})

    def get_template(self) -> ActionResult:
        """GetTemplate."""
        name = self._get_param("ChangeSetName")
        if name:
            _, change_set = self.stacks.find_change_set(name, self._get_param("StackName"), self.region)
            return ActionResult({"TemplateBody": change_set.blueprint.body})
        stack = self._stack()
        body = stack.blueprint.body if stack.blueprint else "{}"  # in review: nothing is there yet
        return ActionResult({"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]})

    def get_template_summary(self) -> ActionResult:
        """GetTemplateSummary."""
        body = self._body(self._stack() if self._get_param("StackName") else None)
        parsed = template.parse(body)
        return ActionResult(
            {
                "Description": parsed.get("Description"),
                "ResourceTypes": sorted({one["Type"] for one in parsed["Resources"].values()}),
                "Parameters": [
                    {
                        "ParameterKey": name,
                        "ParameterType": declared.get("Type", "String"),
                        **({"DefaultValue": str(declared["Default"])} if "Default" in declared else {}),
                    }
                    for name, declared in (parsed.get("Parameters") or {}).items()
                ],
            }
        )

    def validate_template(self) -> ActionResult:
        """ValidateTemplate."""
        return ActionResult({"Description": template.parse(self._body(None)).get("Description")})

    def update_termination_protection(self) -> ActionResult:
        """UpdateTerminationProtection."""
        stack = self._stack()
        stack.termination_protection = self._flag("EnableTerminationProtection")
        return ActionResult({"StackId": stack.id})

    def list_exports(self) -> ActionResult:
        """ListExports."""
        exports = [
            {"ExportingStackId": stack_id, "Name": name, "Value": value}
            for name, (stack_id, value) in self.stacks.exports(self.region).items()
        ]
        return ActionResult({"Exports": exports})

    # -------------------------------------------------------------- change sets

    def create_change_set(self) -> ActionResult:
        """CreateChangeSet."""
        name, kind = self._get_param("StackName"), self._get_param("ChangeSetType", "UPDATE")
        # ImportExistingResources is accepted, as `cdk bootstrap` asks for it, but an existing resource fails.
        if kind not in ("CREATE", "UPDATE"):
            raise NotImplementedError("change sets that import resources")
        existing = [
            stack
            for stack in self.stacks.all(self.region)
            if name in (stack.name, stack.id) and stack.status != "DELETE_COMPLETE"
        ]
        if kind == "UPDATE" or (existing and existing[0].status != "REVIEW_IN_PROGRESS"):
            stack = self.stacks.find(name, self.region)
            if kind == "CREATE":
                raise ValidationError(f"Stack [{name}] already exists and cannot be created again")
            blueprint = self._blueprint(stack)
        else:
            blueprint = self._blueprint(None)
            stack = existing[0] if existing else self.stacks.new_stack(name, self.region)
            if not existing:
                stack.tell("REVIEW_IN_PROGRESS", "User Initiated")
        change_set = self.stacks.add_change_set(
            stack,
            name=self._get_param("ChangeSetName"),
            kind=kind,
            blueprint=blueprint,
            description=self._get_param("Description"),
        )
        return ActionResult({"Id": change_set.id, "StackId": stack.id})

    def describe_change_set(self) -> ActionResult:
        """DescribeChangeSet."""
        stack, change_set = self._change_set()
        return ActionResult(_described_change_set(stack, change_set))

    def list_change_sets(self) -> ActionResult:
        """ListChangeSets."""
        stack = self._stack()
        keys = (
            "ChangeSetId",
            "ChangeSetName",
            "CreationTime",
            "ExecutionStatus",
            "StackId",
            "StackName",
            "Status",
        )
        summaries = [
            {key: value for key, value in _described_change_set(stack, each).items() if key in keys}
            for each in stack.change_sets.values()
        ]
        return ActionResult({"Summaries": summaries})

    def execute_change_set(self) -> ActionResult:
        """ExecuteChangeSet."""
        stack, change_set = self._change_set()
        token = self._get_param("ClientRequestToken")
        self.stacks.execute(stack, change_set, token, self._flag("DisableRollback"))
        return EmptyResult()

    def delete_change_set(self) -> ActionResult:
        """DeleteChangeSet."""
        name, stack_name = self._get_param("ChangeSetName"), self._get_param("StackName")
        stack = self.stacks.find(stack_name, self.region) if stack_name else None
        for one in [stack] if stack else self.stacks.all(self.region):
            for change_set in list(one.change_sets.values()):
                if name in (change_set.id, change_set.name):
                    del one.change_sets[change_set.id]
        return EmptyResult()

    # -------------------------------------------------------------- the parts of a request

    def _flag(self, name: str) -> bool:
        return str(self._get_param(name, False)).lower() == "true"

    def _stack(self) -> Stack:
        return self.stacks.find(self._get_param("StackName"), self.region)

    def _change_set(self) -> tuple[Stack, ChangeSet]:
        return self.stacks.find_change_set(
            self._get_param("ChangeSetName"), self._get_param("StackName"), self.region
        )

    def _body(self, stack: Stack | None) -> str:
        if self._get_param("TemplateBody"):
            return str(self._get_param("TemplateBody"))
        if self._get_param("TemplateURL"):
            return self.stacks.template_at(self._get_param("TemplateURL"))
        if stack is not None and stack.blueprint is not None:
            return stack.blueprint.body
        raise ValidationError("Either Template URL or Template Body must be specified.")

    def _blueprint(self, stack: Stack | None) -> Blueprint:
        return self.stacks.blueprint(
            body=self._body(stack),
            asked=self._get_param("Parameters", []),
            tags=self._get_param("Tags"),
            role_arn=self._get_param("RoleARN"),
            previous=stack.blueprint if stack else None,
            region=self.region,
            capabilities=self._get_param("Capabilities", []),
            notification_arns=self._get_param("NotificationARNs", []),
        )


# ------------------------------------------------------------------ descriptions


def _parameters(blueprint: Blueprint) -> list[dict[str, str]]:
    declared = blueprint.template.get("Parameters") or {}
    described = []
    for name, value in blueprint.values.items():
        hidden = str(declared[name].get("NoEcho", "")).lower() == "true"
        parameter = {"ParameterKey": name, "ParameterValue": "****" if hidden else value}
        resolved = blueprint.resolved[name]
        if str(declared[name].get("Type", "")).startswith("AWS::SSM::"):
            parameter["ResolvedValue"] = ",".join(resolved) if isinstance(resolved, list) else resolved
        described.append(parameter)
    return described


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _described(stack: Stack) -> dict[str, Any]:
    blueprint = stack.blueprint
    return _without_none(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "Description": blueprint.template.get("Description") if blueprint else None,
            "Parameters": _parameters(blueprint) if blueprint else [],
            "CreationTime": stack.created_at,
            "LastUpdatedTime": stack.updated_at,
            "DeletionTime": stack.deleted_at,
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DisableRollback": stack.disable_rollback,
            "NotificationARNs": list(blueprint.notification_arns) if blueprint else [],
            "Capabilities": list(blueprint.capabilities) if blueprint else [],
            "Outputs": stack.outputs,
            "RoleARN": blueprint.role_arn if blueprint else None,
            "Tags": list(blueprint.tags) if blueprint else [],
            "EnableTerminationProtection": stack.termination_protection,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
    )


def _described_change_set(stack: Stack, change_set: ChangeSet) -> dict[str, Any]:
    blueprint = change_set.blueprint
    return _without_none(
        {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.id,
            "StackId": stack.id,
            "StackName": stack.name,
            "Description": change_set.description,
            "Parameters": _parameters(blueprint),
            "CreationTime": change_set.created_at,
            "ExecutionStatus": change_set.execution_status,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "NotificationARNs": list(blueprint.notification_arns),
            "Capabilities": list(blueprint.capabilities),
            "Tags": list(blueprint.tags),
            "Changes": change_set.changes,
        }
    )


def _event(stack: Stack, event: Event) -> dict[str, Any]:
    return _without_none(
        {
            "StackId": stack.id,
            "EventId": event.event_id,
            "StackName": stack.name,
            "LogicalResourceId": event.logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.type,
            "Timestamp": event.at,
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
            "ClientRequestToken": event.token,
        }
    )


def _resource(stack: Stack, logical_id: str) -> dict[str, Any]:
    resource = stack.resources[logical_id]
    return _without_none(
        {
            "StackName": stack.name,
            "StackId": stack.id,
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": resource.made.physical_id,
            "ResourceType": resource.type,
            "Timestamp": stack.updated_at or stack.created_at,
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }
    )
