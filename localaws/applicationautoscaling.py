"""Application Auto Scaling: scalable targets that hold their service between minimum and maximum.

True: a target that is registered or changed moves the ECS service's desired count into its bounds, unless
scaling is suspended, as AWS does; SuspendedState, role and tags are kept and reported. Not true: policies
and scheduled actions are stored and never evaluated, because there are no metrics behind them; resuming
therefore scales nothing by itself.
"""

import json
from typing import Any

from moto.applicationautoscaling.models import FakeScalableTarget
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult

from localaws.runtime import Runtime

SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
LINKED_ROLE = (
    "aws-service-role/ecs.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_ECSService"
)


def install(runtime: Runtime) -> None:
    """Make scalable targets real: called once, before the server answers its first request."""
    actions = Actions(runtime)
    for name in ("register_scalable_target", "list_tags_for_resource", "tag_resource", "untag_resource"):
        setattr(ApplicationAutoScalingResponse, name, _handler(getattr(actions, name)))


def _handler(action: Any) -> Any:
    def handle(response: Any) -> Any:
        return action(response)

    return handle


class Actions:
    """The actions that differ from moto's."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tags: dict[str, dict[str, str]] = {}
        self._register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(self, response: Any) -> str:
        """RegisterScalableTarget: keep everything, and move the service into the bounds."""
        request = json.loads(response.body)
        self._check(request)
        backend = response.applicationautoscaling_backend
        known = backend.targets.get(request["ScalableDimension"], {}).get(request["ResourceId"])
        before = dict(known.suspended_state) if known else dict.fromkeys(SUSPENSIONS, False)
        answer: str = self._register(response)
        target = backend.targets[request["ScalableDimension"]][request["ResourceId"]]
        # moto replaces the whole state; AWS changes the flags that are given.
        target.suspended_state = {**before, **(request.get("SuspendedState") or {})}
        target.role_arn = target.role_arn or f"arn:aws:iam::{response.current_account}:role/{LINKED_ROLE}"
        arn = json.loads(answer)["ScalableTargetARN"]
        if request.get("Tags"):
            self._tags[arn] = {**self._tags.get(arn, {}), **request["Tags"]}
        if target.service_namespace == "ecs":
            self._move_into_bounds(target, response.region)
        return answer

    @staticmethod
    def _check(request: dict[str, Any]) -> None:
        low, high = request.get("MinCapacity"), request.get("MaxCapacity")
        if low is not None and high is not None and low > high:
            raise JsonRESTError(
                "ValidationException", "Maximum capacity cannot be less than minimum capacity"
            )

    def _move_into_bounds(self, target: FakeScalableTarget, region: str) -> None:
        _, cluster, service = target.resource_id.split("/")
        ecs = self._runtime.client("ecs", region=region)
        found = ecs.describe_services(cluster=cluster, services=[service])["services"]
        if not found or found[0]["status"] != "ACTIVE":
            return
        desired = found[0]["desiredCount"]
        wanted = desired
        if desired < target.min_capacity and not target.suspended_state["DynamicScalingOutSuspended"]:
            wanted = target.min_capacity
        if desired > target.max_capacity and not target.suspended_state["DynamicScalingInSuspended"]:
            wanted = target.max_capacity
        if wanted != desired:
            ecs.update_service(cluster=cluster, service=service, desiredCount=wanted)

    def list_tags_for_resource(self, response: Any) -> ActionResult:
        """ListTagsForResource."""
        return ActionResult({"Tags": self._tags.get(json.loads(response.body)["ResourceARN"], {})})

    def tag_resource(self, response: Any) -> ActionResult:
        """TagResource."""
        request = json.loads(response.body)
        self._tags.setdefault(request["ResourceARN"], {}).update(request["Tags"])
        return EmptyResult()

    def untag_resource(self, response: Any) -> ActionResult:
        """UntagResource."""
        request = json.loads(response.body)
        for key in request["TagKeys"]:
            self._tags.get(request["ResourceARN"], {}).pop(key, None)
        return EmptyResult()
