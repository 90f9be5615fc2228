"""Traffic: which target group gets how much of a listener.

True: the default action of a listener and every rule of it that forwards to one of the two target groups
are changed, with ModifyListener and ModifyRule; other actions, and stickiness, stay.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from localaws.codedeploy.errors import failure

CODE = "ELASTIC_LOAD_BALANCING_INVALID"


class Traffic:
    """The two target groups of a deployment and the listeners in front of them.

    Parameters
    ----------
    client:
        Elastic Load Balancing's, as the deployment group's role.
    pair:
        Names of the two target groups.
    production, test:
        ARNs of listeners.

    Raises
    ------
    localaws.codedeploy.errors.EndingError
        A target group does not exist.
    """

    def __init__(
        self, client: Any, pair: Sequence[str], production: Sequence[str], test: Sequence[str]
    ) -> None:
        self._client = client
        self.production = list(production)
        self.test = list(test)
        try:
            found = client.describe_target_groups(Names=list(pair))["TargetGroups"]
        except ClientError as error:
            raise failure(CODE, f"The ELB could not be read due to the following error: {error}") from error
        self.groups = {str(each["TargetGroupArn"]): str(each["TargetGroupName"]) for each in found}

    def replacement_of(self, present: str) -> str:
        """Return the ARN of the target group that is not the present one.

        Raises
        ------
        localaws.codedeploy.errors.EndingError
            The present one is none of the pair.
        """
        others = [arn for arn in self.groups if arn != present]
        if present not in self.groups or len(others) != 1:
            raise failure(
                CODE,
                "The ELB could not be updated due to the following error: the primary task set's target group"
                f" {present} is none of the deployment group's pair {', '.join(self.groups.values())}.",
            )
        return others[0]

    def divide(self, listeners: Sequence[str], weights: Mapping[str, int]) -> None:
        """Let listeners forward by weight; one target group alone when there is one weight.

        Raises
        ------
        localaws.codedeploy.errors.EndingError
            A listener does not exist or forwards to none of the two.
        """
        for listener in listeners:
            try:
                if not self._divide(listener, weights):
                    raise failure(
                        CODE,
                        "The ELB could not be updated due to the following error: Primary taskset target"
                        f" group must be behind listener {listener}",
                    )
            except ClientError as error:
                raise failure(
                    CODE, f"The ELB could not be updated due to the following error: {error}"
                ) from error

    def _divide(self, listener: str, weights: Mapping[str, int]) -> bool:
        found = False
        (present,) = self._client.describe_listeners(ListenerArns=[listener])["Listeners"]
        if self._concerned(present["DefaultActions"]):
            found = True
            self._client.modify_listener(
                ListenerArn=listener, DefaultActions=_weighted(present["DefaultActions"], weights)
            )
        for rule in self._client.describe_rules(ListenerArn=listener)["Rules"]:
            if not rule["IsDefault"] and self._concerned(rule["Actions"]):
                found = True
                self._client.modify_rule(RuleArn=rule["RuleArn"], Actions=_weighted(rule["Actions"], weights))
        return found

    def _concerned(self, actions: Sequence[Mapping[str, Any]]) -> bool:
        return any(arn in self.groups for action in actions for arn in targets(action))


def targets(action: Mapping[str, Any]) -> list[str]:
    """Return the ARNs of the target groups that an action forwards to."""
    groups = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
    single = [action["TargetGroupArn"]] if action.get("TargetGroupArn") else []
    return [*single, *(each["TargetGroupArn"] for each in groups)]


def _weighted(actions: Sequence[Mapping[str, Any]], weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the actions with the forward action divided by weights."""
    changed = []
    for action in actions:
        if action["Type"] != "forward":
            changed.append(dict(action))
            continue
        configuration: dict[str, Any] = {
            "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
        }
        stickiness = (action.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig")
        if stickiness:
            configuration["TargetGroupStickinessConfig"] = stickiness
        kept = {name: action[name] for name in ("Type", "Order") if name in action}
        changed.append({**kept, "ForwardConfig": configuration})
    return changed
