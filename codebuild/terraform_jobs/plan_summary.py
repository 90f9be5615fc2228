"""What a plan would do, in figures: read from `terraform show -json`."""

from collections.abc import Mapping
from typing import Any

KINDS = {
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("forget",): "forget",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}
"""Actions of a change -> the word a person uses. What is missing here (no-op, read) changes nothing.
https://developer.hashicorp.com/terraform/internals/json-format#change-representation"""


def summarise(plan: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document `plan/summary.json`.

    Parameters
    ----------
    plan
        The plan as JSON.
    state
        The state it was made from, as `terraform state pull` prints it; empty for a new environment.

    Returns
    -------
    dict
        Number of resources per kind, their addresses, names of changed outputs, and the state's serial and
        lineage, by which a plan and the state it belongs to can be told apart.
    """
    addresses: dict[str, list[str]] = {kind: [] for kind in KINDS.values()}
    for change in plan.get("resource_changes", []):
        kind = KINDS.get(tuple(change["change"]["actions"]))
        if kind:
            addresses[kind].append(change["address"])
    outputs = [
        name for name, change in plan.get("output_changes", {}).items() if change["actions"] != ["no-op"]
    ]
    return {
        **{kind: len(found) for kind, found in addresses.items()},
        "outputs": len(outputs),
        "addresses": {kind: sorted(found) for kind, found in addresses.items() if found},
        "serial": state.get("serial", 0),
        "lineage": state.get("lineage", ""),
    }


def count_changes(summary: Mapping[str, Any], *, empty: bool) -> int:
    """Return the number of changes; 0 only when Terraform itself says that the plan is empty.

    A plan can be without a changed resource and not empty: it may only move or import something.
    """
    if empty:
        return 0
    changes = sum(int(summary[kind]) for kind in {*KINDS.values(), "outputs"})
    return max(1, changes)


def count_resources(state: Mapping[str, Any]) -> int:
    """Return how many resources a state has, as `terraform state pull` prints it."""
    managed = [entry for entry in state.get("resources", []) if entry.get("mode") == "managed"]
    return sum(len(entry["instances"]) for entry in managed)


def sentence(summary: Mapping[str, Any]) -> str:
    """Return the plan in one line for the log."""
    if not summary["changes"]:
        return "The plan is empty: the infrastructure is as described."
    figures = ", ".join(
        f"{summary[kind]} to {kind}" for kind in dict.fromkeys(KINDS.values()) if summary[kind]
    )
    return f"The plan: {figures or 'no resource changes, but outputs or addresses do'}."
