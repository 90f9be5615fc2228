"""Runs deployments: each in a thread of its own, and after it the rollback that it asks for."""

import threading
from typing import Any, Protocol

from localaws.codedeploy.configurations import Configurations
from localaws.codedeploy.deployments import Deployment
from localaws.codedeploy.errors import EndingError, failure
from localaws.codedeploy.hooks import Hooks
from localaws.codedeploy.notices import Notices
from localaws.codedeploy.pace import Pace
from localaws.codedeploy.procedure import Procedure, ServerStopsError
from localaws.roles import RoleUnknownError
from localaws.runtime import Runtime

HAPPENED = {"Failed": "DeploymentFailure", "Stopped": "DeploymentStop"}
WORDS = {
    "DEPLOYMENT_FAILURE": "failed",
    "DEPLOYMENT_STOP_ON_ALARM": "was stopped by an alarm",
    "DEPLOYMENT_STOP_ON_REQUEST": "was stopped on request",
}


class Place(Protocol):
    """Where deployments are: CodeDeploy of one account and region."""

    deployments: dict[str, Deployment]
    configurations: Configurations
    hooks: Hooks
    lock: Any


class Runner:
    """Runs the deployments of one server.

    Parameters
    ----------
    runtime, pace:
        Of the server.
    """

    def __init__(self, runtime: Runtime, pace: Pace) -> None:
        self._runtime = runtime
        self._pace = pace
        self._notices = Notices(runtime)
        self._stopping = threading.Event()
        runtime.on_shutdown(self._stopping.set)

    def start(self, place: Place, group_id: str, deployment: Deployment) -> None:
        """Begin a deployment and return at once."""
        self._runtime.background(f"codedeploy/{deployment.id}", self._run, place, group_id, deployment)

    def _run(self, place: Place, group_id: str, deployment: Deployment) -> None:
        def tell(happened: str) -> None:
            self._notices.tell(deployment, group_id, happened)

        routing = place.configurations.get(deployment.configuration)["trafficRoutingConfig"]
        procedure = Procedure(
            self._runtime, self._pace, place.hooks, deployment, routing, self._stopping, tell
        )
        deployment.begin()
        tell("DeploymentStart")
        try:
            if deployment.undoes:
                procedure.roll_back()
            else:
                procedure.release()
        except ServerStopsError:
            return
        except EndingError as ending:
            self._end(place, group_id, deployment, ending)
        except RoleUnknownError as error:
            self._end(place, group_id, deployment, failure("IAM_ROLE_MISSING", error.message))
        except Exception as error:
            self._runtime.log.exception("codedeploy: %s", deployment.id)
            words = f"An internal error: {type(error).__name__}: {error}"
            self._end(place, group_id, deployment, failure("INTERNAL_ERROR", words))
        else:
            deployment.end()
            tell("DeploymentSuccess")

    def _end(self, place: Place, group_id: str, deployment: Deployment, ending: EndingError) -> None:
        """End a deployment; its rollback is there before, so that nothing comes between the two."""
        if deployment.undoes or not deployment.rolls_back(ending.trigger):
            deployment.end(ending)
            self._notices.tell(deployment, group_id, HAPPENED[ending.status])
            return
        with place.lock:
            rollback = self._rollback_of(deployment, ending)
            place.deployments[rollback.id] = rollback
            deployment.end(ending)
        self._notices.tell(deployment, group_id, HAPPENED[ending.status])
        self._notices.tell(deployment, group_id, "DeploymentRollback")
        self._run(place, group_id, rollback)

    @staticmethod
    def _rollback_of(deployment: Deployment, ending: EndingError) -> Deployment:
        rollback = Deployment(
            deployment.application,
            deployment.group,
            deployment.region,
            deployment.account,
            deployment.settings,
            deployment.cluster,
            deployment.service,
            dict(deployment.previous_revision or {}),  # none: what CreateService put in place
            "CodeDeployDefault.ECSAllAtOnce",
            f"Automatic rollback of the deployment {deployment.id}, which {WORDS[ending.trigger]}.",
            creator="codeDeployRollback",
            undoes=deployment,
            previous_revision=deployment.previous_revision,
        )
        deployment.rollback_info = {
            "rollbackDeploymentId": rollback.id,
            "rollbackMessage": f"The deployment {deployment.id} {WORDS[ending.trigger]}. It is rolled back by"
            f" the deployment {rollback.id}.",
        }
        rollback.rollback_info = {
            "rollbackTriggeringDeploymentId": deployment.id,
            "rollbackMessage": rollback.description or "",
        }
        return rollback
