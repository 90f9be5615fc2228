"""The guard: what a plan of Terraform would do to what holds data (contracts, section 11).

A pure function of the plan's JSON (https://developer.hashicorp.com/terraform/internals/json-format). Three
kinds of change are told apart:

* *refused*: what holds data would be deleted or replaced, or changed in place in a way that takes it from
  the app;
* *destructive*: something is deleted or replaced, or made easier to lose; a person is asked about it;
* everything else.

What the guard does not know (an action that a later Terraform invents) it takes for a deletion.

It also names the rules of security groups that Terraform does not know: no plan says anything about them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from know_me.generations import STORES, Store
from know_me.harmful_updates import IN_PLACE, InPlace
from know_me.security_groups import ForeignRule, foreign_rules
from know_me.settings import ApprovalMode
from know_me.wording import counted, listed

Kind = Literal["create", "update", "replace", "delete", "forget"]
Verdict = Literal["empty", "allowed", "approval_needed", "refused"]

KINDS: dict[tuple[str, ...], Kind | None] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("forget",): "forget",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}

NAMED = 20
"""How many refusals, differences and attributes a state machine or a sentence carries."""

NEVER_DESTROYED = "production"

STATEFUL = {
    "aws_db_instance": "the database",
    "aws_s3_bucket": "the bucket",
    "aws_secretsmanager_secret": "the secret",
    "aws_kms_key": "the key",
    "aws_cloudwatch_log_group": "the log group",
    "aws_route53_zone": "the hosted zone",
    "aws_dynamodb_table": "the table",
    "aws_ecr_repository": "the image repository",
}
"""What holds data that nobody can make again, by type."""

MADE_AGAIN = ("web", "delivery")
"""Buckets whose content a pipeline makes again: the web app, and what its stages hand on."""

RETIRE = "`retire`, the runbook that will drop an old generation after a last snapshot, is still to come"

REASONS = {
    "replace_because_tainted": "its creation ended half way (it is tainted)",
    "replace_by_request": "its replacement was asked for (`replace`)",
    "replace_by_triggers": "what it is triggered by changes (replace_triggered_by)",
    "delete_because_no_resource_config": "its block is not in the configuration any more",
    "delete_because_no_module": "its module is not in the configuration any more",
    "delete_because_wrong_repetition": "its block is repeated in another way (count, for_each)",
    "delete_because_count_index": "its index is beyond the block's count",
    "delete_because_each_key": "its key is not in the block's for_each any more",
    "delete_because_no_move_target": "it was moved to an address that the configuration does not have",
}
"""Terraform's reasons, in words."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Refusal(_Part):
    """A change that is not made: which, why, and what to do instead."""

    address: str
    action: str
    reason: str
    attributes: list[str]
    remedy: str


class Destruction(_Part):
    """A change that a person is asked about."""

    address: str
    action: str
    reason: str


class Difference(_Part):
    """How a resource differs from its description."""

    address: str
    action: str
    attributes: list[str]
    outside: bool
    """Whether it was changed or deleted by something else than Terraform."""


class Counts(_Part):
    """Resources per kind of change."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0


class Judgement(_Part):
    """`plan/guard.json`."""

    verdict: Verdict
    sentence: str
    counts: Counts
    forgotten: list[str]
    destructive: int
    destructions: list[Destruction]
    refusals: list[Refusal]
    differences: list[Difference]
    # Judgements of runs that waited for a person while the functions were updated have none.
    foreign_rules: list[ForeignRule] = []


class Rules(_Part):
    """What the judgement depends on besides the plan.

    Parameters
    ----------
    action
        What was asked for.
    approval_mode
        Which plans a person is asked about.
    acting_for
        The run that this one works for, if any: that one was asked.
    published
        Generations of each store in the manifest; None when the environment has no manifest yet.
    """

    environment: str
    action: Literal["apply", "plan", "destroy"]
    approval_mode: ApprovalMode
    acting_for: str | None
    published: Mapping[Store, frozenset[str]] | None


class _Change:
    """One entry of `resource_changes`, with names for what is asked of it."""

    def __init__(self, entry: Mapping[str, Any], environment: str) -> None:
        change = entry["change"]
        self.address = str(entry["address"])
        self.type = str(entry.get("type", ""))
        self.before: Mapping[str, Any] = change.get("before") or {}
        self.after: Mapping[str, Any] = change.get("after") or {}
        self.unknown: Mapping[str, Any] = change.get("after_unknown") or {}
        self.paths = [_written(path) for path in change.get("replace_paths") or []]
        self.why = str(entry.get("action_reason", ""))
        self.kind: Kind | None = KINDS.get(tuple(change["actions"]), "delete")
        # A deposed object is what a broken "create before delete" left behind: its successor is in use.
        self.deposed = "deposed" in entry
        self.generation = _generation_of(self.address)
        # The whole name: a generation of the media may be called "web" too.
        named = rf"know-me-{re.escape(environment)}-({'|'.join(MADE_AGAIN)})-[0-9]{{12}}"
        self.is_made_again = bool(re.fullmatch(named, str(self.before.get("bucket"))))

    @property
    def is_stateful(self) -> bool:
        return self.type in STATEFUL and not (self.type == "aws_s3_bucket" and self.is_made_again)

    @property
    def goes(self) -> bool:
        return self.kind in ("delete", "replace")

    @property
    def differing(self) -> list[str]:
        names = sorted({*self.before, *self.after, *self.unknown})
        return [
            name
            for name in names
            if self.before.get(name) != self.after.get(name) or self.unknown.get(name) is True
        ]

    @property
    def harmful_updates(self) -> list[InPlace]:
        if self.kind != "update":
            return []
        rules = IN_PLACE.get(self.type, ())
        return [rule for rule in rules if rule.applies(self.before, self.after, self.unknown)]

    @property
    def called(self) -> str:
        return f"{STATEFUL.get(self.type, 'the resource')} {self.address}"

    def reason(self) -> str:
        """Say why it goes, in words."""
        if self.paths:
            return f"{listed(self.paths[:NAMED])} cannot change in place"
        return REASONS.get(self.why, "the configuration asks for it")


def judge(plan: Mapping[str, Any], rules: Rules) -> Judgement:
    """Judge a plan.

    Parameters
    ----------
    plan
        What `terraform show -json` prints.

    Returns
    -------
    Judgement
        Verdict, and everything that it rests on.
    """
    changes = [
        _Change(entry, rules.environment)
        for entry in plan.get("resource_changes", [])
        if entry.get("mode") != "data"
    ]
    refusals: list[Refusal] = []
    destructions: list[Destruction] = []
    gone = {str(change.before.get("bucket")) for change in changes if change.goes and _is_bucket(change)}
    subnets = {
        str(change.before.get("id")): change for change in changes if _is_subnet(change) and change.goes
    }
    for change in changes:
        refusal = _refusal(change, plan, rules, gone) or _loses_its_network(change, rules, subnets)
        if refusal:
            refusals.append(refusal)
        destructions += _destructions(change, gone)
    counts = _counts(changes)
    verdict = _verdict(plan, changes, rules, bool(refusals), len(destructions))
    return Judgement(
        verdict=verdict,
        sentence=_sentence(verdict, counts, refusals, destructions),
        counts=counts,
        forgotten=[change.address for change in changes if change.kind == "forget"],
        destructive=len(destructions),
        destructions=destructions,
        refusals=refusals,
        differences=_differences(plan, changes),
        foreign_rules=foreign_rules(plan),
    )


# ------------------------------------------------------------------ the verdict


def _verdict(
    plan: Mapping[str, Any], changes: Iterable[_Change], rules: Rules, refused: bool, destructive: int
) -> Verdict:
    if refused:
        return "refused"
    if not _changes_anything(plan, changes):
        return "empty"
    asked = {
        "never": False,
        "destructive": destructive > 0,
        "changes": True,
        "always": True,
    }[rules.approval_mode]
    if rules.acting_for and rules.approval_mode != "always":
        asked = False
    return "approval_needed" if asked else "allowed"


def _changes_anything(plan: Mapping[str, Any], changes: Iterable[_Change]) -> bool:
    """Whether an apply would do anything: Terraform says it itself since 1.8, also of moves and imports."""
    if "applyable" in plan:
        return bool(plan["applyable"])
    outputs = plan.get("output_changes", {}).values()
    return any(change.kind for change in changes) or any(each["actions"] != ["no-op"] for each in outputs)


def _counts(changes: Iterable[_Change]) -> Counts:
    found = [change.kind for change in changes]
    return Counts(
        create=found.count("create"),
        update=found.count("update"),
        replace=found.count("replace"),
        delete=found.count("delete"),
    )


def _sentence(
    verdict: Verdict, counts: Counts, refusals: list[Refusal], destructions: list[Destruction]
) -> str:
    if verdict == "empty":
        return "The plan is empty: nothing would change."
    if refusals:
        shown = refusals[:3]
        rest = len(refusals) - len(shown)
        named = "; ".join(f"{each.address} would be {_done(each.action)}: {each.reason}" for each in shown)
        more = f"; and {rest} more, all in plan/guard.json" if rest else ""
        remedies = " ".join(dict.fromkeys(each.remedy for each in shown))
        return f"The plan is refused, nothing was applied: {named}{more}. {remedies}"
    figures = [f"{number} to {kind}" for kind, number in counts.model_dump().items() if number]
    words = listed(figures) if figures else "no resource changes, but outputs or addresses do"
    harm = f" Destructive: {counted(len(destructions), 'change')}." if destructions else ""
    return f"The plan: {words}.{harm}"


def _done(action: str) -> str:
    return {"delete": "deleted", "replace": "replaced"}.get(action, "changed")


# ------------------------------------------------------------------ what goes


def _refusal(change: _Change, plan: Mapping[str, Any], rules: Rules, gone: set[str]) -> Refusal | None:
    if change.goes and change.is_stateful and not change.deposed:
        if _may_go(change, plan, rules):
            return None
        return Refusal(
            address=change.address,
            action=str(change.kind),
            reason=f"{STATEFUL[change.type]} holds data, and {change.reason()}",
            attributes=change.paths[:NAMED],
            remedy=_remedy(change, rules),
        )
    for rule in change.harmful_updates:
        if rule.refused:
            return Refusal(
                address=change.address,
                action="update",
                reason=rule.reason,
                attributes=[rule.attribute],
                remedy=rule.remedy or _remedy(change, rules),
            )
    if _suspends_versions(change, gone) and rules.action != "destroy":
        return Refusal(
            address=change.address,
            action=str(change.kind),
            reason="the bucket would not keep old versions any more, which are the only way back",
            attributes=["versioning_configuration"],
            remedy="Leave its versioning enabled.",
        )
    return None


def _loses_its_network(
    change: _Change, rules: Rules, subnets_that_go: Mapping[str, _Change]
) -> Refusal | None:
    """Refuse what takes every subnet from under a database: it is in one of them, and cannot follow.

    A subnet group stays in its VPC:
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
    """
    ids = change.before.get("subnet_ids") or []
    if change.type != "aws_db_subnet_group" or not ids or rules.action == "destroy":
        return None
    going = [subnets_that_go[each] for each in ids if each in subnets_that_go]
    if len(going) < len(ids):
        return None
    forced = sorted({path for each in going for path in each.paths})
    return Refusal(
        address=change.address,
        action=str(change.kind or "update"),
        reason=(
            f"a database is in its subnets, and all of them would go: {going[0].address} would be "
            f"{_done(str(going[0].kind))}, {going[0].reason()}"
        ),
        attributes=["subnet_ids", *forced][:NAMED],
        remedy=(
            "Take the change of the network back: a database stays in its VPC. For another network make "
            "another environment."
        ),
    )


def _may_go(change: _Change, plan: Mapping[str, Any], rules: Rules) -> bool:
    """Whether something that holds data may be deleted or replaced all the same."""
    if rules.action == "destroy":
        return rules.environment != NEVER_DESTROYED
    if change.generation:
        store, name = change.generation
        used = rules.published is not None and name in rules.published[store]
        # What is in no manifest was never used: it was being made when its run ended.
        return not used and (_left_document(plan, store, name) or change.why == "replace_because_tainted")
    return rules.published is None and change.why == "replace_because_tainted"


def _left_document(plan: Mapping[str, Any], store: Store, name: str) -> bool:
    """Whether the document of generations, as this plan was made with it, is without a generation."""
    document = plan.get("variables", {}).get("generations", {}).get("value")
    try:
        return name not in document[store]["all"]
    except (KeyError, TypeError):
        return False


def _remedy(change: _Change, rules: Rules) -> str:
    if change.why == "replace_because_tainted":
        return (
            f"When it is whole, say so: `terraform untaint '{change.address}'`; otherwise look at what it "
            "holds before anybody deletes it."
        )
    if change.generation:
        store, name = change.generation
        if change.kind == "delete":
            return (
                f"Put the generation {name} of the {store} back into "
                f"/know-me/{rules.environment}/generations. {RETIRE}."
            )
        return (
            f"Replace the {store} with the runbook `migrate` (know-me-{rules.environment}-migrate, "
            f'{{"stores": ["{store}"]}}): it makes another generation, copies, compares and switches. '
            "Take the change of the existing one back."
        )
    return (
        "Take the change back. Where only the address changed, write a `moved` block; to let Terraform "
        "forget it and keep it, a `removed` block with `destroy = false`."
    )


def _generation_of(address: str) -> tuple[Store, str] | None:
    """Return store and name of the generation that an address belongs to: `module.database["blue"]…`."""
    found = re.match(r'module\.(\w+)\["([^"\\]+)"\]\.', address)
    for store in STORES:
        if found and found[1] == store:
            return store, found[2]
    return None


def _is_bucket(change: _Change) -> bool:
    return change.type == "aws_s3_bucket"


def _is_subnet(change: _Change) -> bool:
    return change.type == "aws_subnet"


# ------------------------------------------------------------------ what is harmful without going


def _destructions(change: _Change, gone: set[str]) -> Iterator[Destruction]:
    def found(reason: str) -> Destruction:
        return Destruction(address=change.address, action=str(change.kind), reason=reason)

    if change.goes:
        yield found(f"{change.called} is {_done(str(change.kind))}: {change.reason()}")
    elif change.kind == "forget" and change.is_stateful:
        yield found(f"Terraform forgets {change.called}: it stays, and nobody looks after it")
    elif change.kind == "update":
        for rule in change.harmful_updates:
            yield found(rule.reason)
        if _suspends_versions(change, gone):
            yield found("the bucket would not keep old versions any more")


def _suspends_versions(change: _Change, gone: set[str]) -> bool:
    if change.type != "aws_s3_bucket_versioning" or change.kind not in ("update", "delete"):
        return False
    if str(change.before.get("bucket")) in gone or change.is_made_again:
        return False
    return _status(change.before) == "Enabled" and _status(change.after) != "Enabled"


def _status(versioning: Mapping[str, Any]) -> str | None:
    match versioning.get("versioning_configuration"):
        case [{"status": str(status)}, *_]:
            return status
    return None


# ------------------------------------------------------------------ drift


def _differences(plan: Mapping[str, Any], changes: Iterable[_Change]) -> list[Difference]:
    """Return every resource that an apply would change, and whether something else had changed it.

    Terraform also notices changes that no apply would take back (a counter, a setting that the configuration
    leaves open): they are no differences.
    """
    outside = {entry["address"] for entry in plan.get("resource_drift", [])}
    return [
        Difference(
            address=change.address,
            action=str(change.kind),
            attributes=change.differing[:NAMED] if change.kind in ("update", "replace") else [],
            outside=change.address in outside,
        )
        for change in changes
        if change.kind
    ]


def _written(path: Any) -> str:
    """Write a path of `replace_paths` as Terraform does: `storage.0.size` → `storage[0].size`."""
    parts = path if isinstance(path, list) else [path]
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text
