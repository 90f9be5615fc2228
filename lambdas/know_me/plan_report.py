"""What a report says about a plan: what it would do, what the guard thinks of it, who allowed it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from know_me.guard import Destruction, Difference, Judgement, Refusal
from know_me.run_folder import RunFolder
from know_me.security_groups import ForeignRule
from know_me.wording import counted, listed

SHOWN = 20
"""How many resources, and how many rules, a message names; the report has all of them."""

FOREIGN_RULES = "Rules of security groups that Terraform does not describe, and that no apply takes back"


class Approval(BaseModel):
    """What somebody decided about a plan."""

    model_config = ConfigDict(extra="ignore")

    decision: Literal["approve", "reject"]
    by: str
    at: datetime
    comment: str | None = None


class PlanReport(BaseModel):
    """The plan of a run; `judged` is false when the run ended before the guard looked at it."""

    create: int
    update: int
    replace: int
    delete: int
    addresses: dict[str, list[str]]
    judged: bool
    sentence: str
    destructions: list[Destruction]
    refusals: list[Refusal]
    differences: list[Difference]
    foreign_rules: list[ForeignRule]
    approval: Approval | None

    @property
    def outside(self) -> list[Difference]:
        """What was changed by something else than Terraform."""
        return [difference for difference in self.differences if difference.outside]


def compose_plan(folder: RunFolder, approval: Approval | None) -> PlanReport | None:
    """Read what a run folder says about the run's plan; None when there was none."""
    summary: dict[str, Any] | None = folder.read("plan/summary.json")
    if summary is None:
        return None
    guard = folder.read("plan/guard.json")
    judgement = Judgement.model_validate(guard) if guard else None
    if approval is None and (kept := folder.read("approval.json")):
        approval = Approval.model_validate(kept)
    return PlanReport(
        create=summary["create"],
        update=summary["update"],
        replace=summary["replace"],
        delete=summary["delete"],
        addresses=summary.get("addresses", {}),
        judged=judgement is not None,
        sentence=judgement.sentence if judgement else "",
        destructions=judgement.destructions if judgement else [],
        refusals=judgement.refusals if judgement else [],
        differences=judgement.differences if judgement else [],
        foreign_rules=judgement.foreign_rules if judgement else [],
        approval=approval,
    )


def plan_in_words(plan: PlanReport, outcome: str) -> list[str]:
    """Return the lines of a notification about a plan."""
    lines = []
    if outcome not in ("nothing_to_change", "refused") and plan.sentence:
        lines.append(plan.sentence)
    if outcome == "drift_found":
        lines += _named([f"- {difference_in_words(each)}" for each in plan.differences])
    elif outcome in ("planned", "provisioned") and plan.destructions:
        lines += _named([f"- {each.reason}" for each in plan.destructions])
    if outcome in ("planned", "drift_found") and plan.refusals:
        lines.append("An apply would be refused:")
        lines += _named([f"- {each.address}: {each.reason}" for each in plan.refusals])
    # A destruction took them with their groups.
    if plan.foreign_rules and outcome != "destroyed":
        lines.append(f"{FOREIGN_RULES}:")
        lines += _named([f"- {foreign_rule_in_words(each)}" for each in plan.foreign_rules], "rule")
    if plan.approval and plan.approval.decision == "approve":
        comment = f": {plan.approval.comment}" if plan.approval.comment else ""
        lines.append(f"Approved by {plan.approval.by}{comment}")
    return lines


def difference_in_words(difference: Difference) -> str:
    """Say how one resource differs from its description."""
    if difference.action == "create":
        what = "was deleted" if difference.outside else "does not exist"
    elif difference.action in ("delete", "forget"):
        what = "is not described (any more)"
    else:
        what = f"differs in {listed(difference.attributes)}" if difference.attributes else "differs"
    hand = ", changed outside Terraform" if difference.outside and difference.action != "create" else ""
    return f"{difference.address} {what}{hand}"


def foreign_rule_in_words(foreign: ForeignRule) -> str:
    """Say what a rule that Terraform does not know lets through, and how it is taken back."""
    way = "in" if foreign.direction == "ingress" else "out"
    return f"{foreign.address} lets {way} {foreign.rule}. {what_to_do(foreign)}: {foreign.remedy}"


def what_to_do(foreign: ForeignRule) -> str:
    """Say what the command beside a rule is for, and what must follow it."""
    if foreign.in_place_of is None:
        return "Take it back"
    # What needs the rule is cut off until Terraform has made its own.
    return (
        f"It is in the place of {foreign.in_place_of}, which no apply can make meanwhile. Take it back, and "
        "start provision right after"
    )


def _named(lines: list[str], what: str = "resource") -> list[str]:
    rest = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"- and {counted(rest, f'more {what}')}"] if rest > 0 else [])]
