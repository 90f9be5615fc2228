"""What a deployment tells others: events on the bus, and messages to the topics of its group's triggers."""

import json
from typing import Any

from localaws.codedeploy.deployments import Deployment
from localaws.events import publisher
from localaws.runtime import Runtime

STATES = {
    "DeploymentStart": "START",
    "DeploymentReady": "READY",
    "DeploymentSuccess": "SUCCESS",
    "DeploymentFailure": "FAILURE",
    "DeploymentStop": "STOP",
}
"""Event of a trigger → state in the event on the bus; DeploymentRollback is none there."""

WORDS = {
    "DeploymentStart": "CREATED",
    "DeploymentReady": "READY",
    "DeploymentSuccess": "SUCCEEDED",
    "DeploymentFailure": "FAILED",
    "DeploymentStop": "STOPPED",
    "DeploymentRollback": "CREATED",
}


class Notices:
    """Tells what happens to deployments.

    Parameters
    ----------
    runtime:
        Of this server.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._publish = publisher(runtime)

    def tell(self, deployment: Deployment, group_id: str, happened: str) -> None:
        """Publish what happened: `DeploymentStart`, `DeploymentSuccess` and so on.

        What cannot be delivered is logged: it does not hold up a deployment, in AWS either.
        """
        try:
            self._tell(deployment, group_id, happened)
        except Exception:
            self._runtime.log.exception("codedeploy: %s of %s was not delivered", happened, deployment.id)

    def _tell(self, deployment: Deployment, group_id: str, happened: str) -> None:
        prefix = f"arn:aws:codedeploy:{deployment.region}:{deployment.account}"
        if happened in STATES:
            self._publish(
                "aws.codedeploy",
                "CodeDeploy Deployment State-change Notification",
                [
                    f"{prefix}:application:{deployment.application}",
                    f"{prefix}:deploymentgroup:{deployment.application}/{deployment.group}",
                ],
                {
                    "instanceGroupId": group_id,
                    "region": deployment.region,
                    "application": deployment.application,
                    "deploymentId": deployment.id,
                    "state": STATES[happened],
                    "deploymentGroup": deployment.group,
                },
            )
        for trigger in deployment.settings.get("triggerConfigurations") or []:
            if happened in (trigger.get("triggerEvents") or []):
                self._send(deployment, trigger, WORDS[happened])

    def _send(self, deployment: Deployment, trigger: dict[str, Any], word: str) -> None:
        message = {
            "region": deployment.region,
            "accountId": deployment.account,
            "eventTriggerName": trigger["triggerName"],
            "applicationName": deployment.application,
            "deploymentId": deployment.id,
            "deploymentGroupName": deployment.group,
            "createTime": deployment.created.strftime("%a %b %d %H:%M:%S UTC %Y"),
            "completeTime": deployment.completed
            and deployment.completed.strftime("%a %b %d %H:%M:%S UTC %Y"),
            "deploymentOverview": json.dumps(deployment.overview()),
            "status": word,
            "errorInformation": deployment.error and json.dumps(deployment.error),
            "rollbackInformation": deployment.rollback_info and json.dumps(deployment.rollback_info),
        }
        subject = f"{word}: AWS CodeDeploy {deployment.id} in {deployment.region} to {deployment.application}"
        self._runtime.client("sns", deployment.settings["serviceRoleArn"], deployment.region).publish(
            TopicArn=trigger["triggerTargetArn"],
            Subject=subject[:100],
            Message=json.dumps({name: value for name, value in message.items() if value is not None}),
        )
