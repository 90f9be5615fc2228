"""EventBridge rules."""

import json
from typing import Any

from typing_extensions import override

from localaws.cloudformation.errors import ResourceFailedError
from localaws.cloudformation.resources.base import Made, Place, Properties, ResourceType, conform


class Rule(ResourceType):
    """AWS::Events::Rule with its targets."""

    name = "AWS::Events::Rule"
    name_property = "Name"
    replaced_by = frozenset({"Name", "EventBusName"})
    properties = frozenset(
        {
            "Description",
            "EventBusName",
            "EventPattern",
            "Name",
            "RoleArn",
            "ScheduleExpression",
            "State",
            "Tags",
            "Targets",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the rule, then its targets."""
        return self._put(place, properties, properties.get("Name") or place.generated_name(64), [])

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change the rule, put the targets that it has now, remove the others."""
        return self._put(place, new, made.physical_id, [target["Id"] for target in old.get("Targets", [])])

    def _put(self, place: Place, properties: Properties, name: str, targets_before: list[str]) -> Made:
        events = place.client("events")
        parameters: dict[str, Any] = {key: value for key, value in properties.items() if key != "Targets"}
        if "EventPattern" in parameters:
            parameters["EventPattern"] = json.dumps(parameters["EventPattern"])
        parameters["Name"] = name
        arn = events.put_rule(**conform("events", "PutRule", parameters))["RuleArn"]
        bus = {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}
        targets = properties.get("Targets", [])
        if targets:
            answer = events.put_targets(
                **conform("events", "PutTargets", {"Rule": name, "Targets": targets, **bus})
            )
            if answer.get("FailedEntryCount"):
                raise ResourceFailedError(f"Targets were refused: {answer['FailedEntries']}")
        gone = [each for each in targets_before if each not in {target["Id"] for target in targets}]
        if gone:
            events.remove_targets(Rule=name, Ids=gone, **bus)
        return Made(name, {"Arn": arn})

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the rule and its targets."""
        events = place.client("events")
        bus = {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}
        ids = [
            target["Id"] for target in events.list_targets_by_rule(Rule=made.physical_id, **bus)["Targets"]
        ]
        if ids:
            events.remove_targets(Rule=made.physical_id, Ids=ids, **bus)
        events.delete_rule(Name=made.physical_id, **bus)


TYPES = (Rule(),)
