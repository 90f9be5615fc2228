"""CodeDeploy: releases of ECS services, blue and green, that really happen.

True: applications, deployment groups, deployment configurations (predefined and custom) and their tags; a
deployment of an ECS service makes a replacement task set, asks the functions of its hooks and waits for their
answer, sends test and production traffic through the real load balancer by weight, waits, deletes the
original task set; alarms, StopDeployment and failures end it and, where the group says so, roll it back by a
deployment of its own; one deployment at a time in a group; events and messages of triggers. What is exact and
what is not is said by each module: `groups`, `configurations`, `appspec`, `procedure`, `hooks`, `traffic`.
`pace` shortens the waits.

Not true: a deployment's rollback shows the lifecycle event AllowTraffic alone, and a rollback of a rollback
never comes. AfterAllowTestTraffic needs a test listener.

Refused by name: deployments of the compute platforms Server and Lambda, RegisterApplicationRevision and the
listing of revisions (GetApplicationRevision knows what was deployed), instances.
"""

from collections.abc import Callable, Mapping
from typing import Any

from moto.codedeploy.models import codedeploy_backends
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.responses import ActionResult, EmptyResult

from localaws.codedeploy.api import Actions, Releases
from localaws.codedeploy.pace import PATH, Pace
from localaws.codedeploy.running import Runner
from localaws.runtime import Runtime

ACTIONS = (
    "create_application", "get_application", "batch_get_applications", "list_applications",
    "update_application", "delete_application",
    "create_deployment_config", "get_deployment_config", "list_deployment_configs",
    "delete_deployment_config",
    "create_deployment_group", "get_deployment_group", "batch_get_deployment_groups",
    "list_deployment_groups", "update_deployment_group", "delete_deployment_group",
    "create_deployment", "get_deployment", "batch_get_deployments", "list_deployments",
    "get_application_revision",
    "stop_deployment", "continue_deployment", "put_lifecycle_event_hook_execution_status",
    "list_deployment_targets", "get_deployment_target", "batch_get_deployment_targets",
)  # fmt: skip
"""Actions that are ours; the tags are moto's."""


def install(runtime: Runtime) -> None:
    """Make CodeDeploy real: called once, before the server answers its first request."""
    pace = Pace()
    actions = Actions(Runner(runtime, pace))
    codedeploy_backends.backend = Releases
    for name in ACTIONS:
        setattr(CodeDeployResponse, name, _handler(getattr(actions, name)))
    runtime.routes[PATH] = pace.route
    runtime.instances["codedeploy"] = _status


def _handler(
    action: Callable[[Releases, Mapping[str, Any]], dict[str, Any]],
) -> Callable[[Any], ActionResult]:
    def handle(response: Any) -> ActionResult:
        answer = action(response.codedeploy_backend, response._get_params())
        return ActionResult(answer) if answer else EmptyResult()

    return handle


def _status() -> list[dict[str, Any]]:
    return [
        {
            "name": f"{deployment.application}/{deployment.group}",
            "deployment": deployment.id,
            "status": deployment.status,
        }
        for _, _, backend in list(codedeploy_backends.iter_backends())
        for deployment in list(backend.deployments.values())
        if deployment.active
    ]


__all__ = ["install"]
