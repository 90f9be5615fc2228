"""Judge a plan of Terraform before anything is applied."""

from typing import Literal, TypedDict

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ProvisionFailed
from know_me.guard import NAMED, Counts, Refusal, Rules, Verdict, judge
from know_me.manifest import read_published_generations
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import ApprovalMode, Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run whose plan it is, what was asked for, and which plans a person is asked about."""

    run_id: str
    action: Literal["apply", "plan", "destroy"]
    approval_mode: ApprovalMode
    acting_for: str | None = None


class Judged(TypedDict):
    """What the state machine goes by; `plan/guard.json` has everything."""

    verdict: Verdict
    sentence: str
    counts: Counts
    destructive: int
    foreign_rules: int
    refusals: list[Refusal]


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Judged:
    """Write `plan/guard.json`; return the verdict, figures and the first refusals.

    Raises
    ------
    ProvisionFailed
        The run has no plan.
    """
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    plan = folder.read("plan/plan.json")
    if plan is None:
        raise ProvisionFailed(
            f"{folder.address}/plan/plan.json does not exist, so nobody knows what the plan would do.",
            "Start provision again.",
        )
    rules = Rules(
        environment=settings.environment,
        action=event.action,
        approval_mode=event.approval_mode,
        acting_for=event.acting_for,
        published=read_published_generations(client("ssm"), settings.environment),
    )
    judgement = judge(plan, rules)
    folder.write("plan/guard.json", judgement)
    return Judged(
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        counts=judgement.counts,
        destructive=judgement.destructive,
        foreign_rules=len(judgement.foreign_rules),
        refusals=judgement.refusals[:NAMED],
    )
