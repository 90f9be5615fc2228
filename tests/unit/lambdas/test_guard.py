"""The guard: what a plan may do to what holds data.

The plans of `plans/` are real (`plans/make.py` makes them); the others are made here, one change at a time.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from know_me.guard import NAMED, STATEFUL, Judgement, Rules, judge

PLANS = Path(__file__).parent / "plans"
EVERYWHERE = {"database": frozenset({"blue", "green"}), "media": frozenset({"blue", "green"})}
ONLY_BLUE = {"database": frozenset({"blue"}), "media": frozenset({"blue"})}
DATABASE = 'module.database["blue"].aws_db_instance.this'
BUCKET = 'module.media["blue"].aws_s3_bucket.this'


def rules(**change: Any) -> Rules:
    base = {"environment": "staging", "action": "apply", "approval_mode": "never", "acting_for": None}
    return Rules.model_validate({**base, "published": EVERYWHERE, **change})


def real(name: str, **change: Any) -> Judgement:
    """Judge one of the real plans."""
    return judge(json.loads((PLANS / f"{name}.json").read_text()), rules(**change))


def entry(
    address: str,
    *actions: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a change as a plan has it; `reason`, `paths`, `unknown`, `mode` and `deposed` as wanted."""
    kind = re.sub(r'module\.\w+(\["[^"]*"\])?\.', "", address).split(".")[0]
    change: dict[str, Any] = {
        "actions": list(actions),
        "before": None if actions == ("create",) else (before or {}),
        "after": None if actions == ("delete",) else (after or {}),
        "after_unknown": more.get("unknown", {}),
    }
    if "paths" in more:
        change["replace_paths"] = more["paths"]
    found = {"address": address, "mode": more.get("mode", "managed"), "type": kind, "change": change}
    if "reason" in more:
        found["action_reason"] = more["reason"]
    if "deposed" in more:
        found["deposed"] = more["deposed"]
    return found


def plan_of(*changes: dict[str, Any], generations: tuple[str, ...] = ("blue", "green")) -> dict[str, Any]:
    store = {"active": "blue", "all": {name: {} for name in generations}}
    document = {"database": store, "media": store}
    return {
        "applyable": any(change["change"]["actions"] not in (["no-op"], ["read"]) for change in changes),
        "variables": {"generations": {"value": document}},
        "resource_changes": list(changes),
    }


def judged(*changes: dict[str, Any], **change: Any) -> Judgement:
    return judge(plan_of(*changes), rules(**change))


# ------------------------------------------------------------------ what holds data stays


HOLDING = {
    "aws_db_instance": DATABASE,
    "aws_s3_bucket": BUCKET,
    **{kind: f"{kind}.this" for kind in STATEFUL if kind not in ("aws_db_instance", "aws_s3_bucket")},
}


@pytest.mark.parametrize("kind", STATEFUL)
@pytest.mark.parametrize("actions", [("delete",), ("delete", "create"), ("create", "delete")])
def test_what_holds_data_is_neither_deleted_nor_replaced(kind: str, actions: tuple[str, ...]) -> None:
    judgement = judged(entry(HOLDING[kind], *actions, paths=[["name"]] if len(actions) > 1 else []))
    assert judgement.verdict == "refused"
    (refusal,) = judgement.refusals
    assert refusal.address == HOLDING[kind]
    assert refusal.attributes == (["name"] if len(actions) > 1 else [])


@pytest.mark.parametrize("kind", STATEFUL)
@pytest.mark.parametrize("actions", [("create",), ("no-op",), ("read",)])
def test_what_holds_data_may_be_made(kind: str, actions: tuple[str, ...]) -> None:
    assert judged(entry(HOLDING[kind], *actions)).refusals == []


def test_an_action_that_nobody_knows_yet_is_taken_for_a_deletion() -> None:
    assert judged(entry(DATABASE, "evaporate")).verdict == "refused"
    assert judged(entry("aws_lb.a", "evaporate")).counts.delete == 1


def test_the_attributes_that_force_a_replacement_are_named_as_terraform_writes_them() -> None:
    paths = [["kms_key_id"], ["attribute", 0, "name"]]
    (refusal,) = judged(entry("aws_dynamodb_table.a", "delete", "create", paths=paths)).refusals
    assert refusal.attributes == ["kms_key_id", "attribute[0].name"]
    assert "kms_key_id and attribute[0].name cannot change in place" in refusal.reason


def test_a_store_is_replaced_by_a_migration_and_everything_else_by_care() -> None:
    judgement = judged(
        entry(DATABASE, "delete", "create", paths=[["kms_key_id"]]),
        entry(BUCKET, "delete", "create", paths=[["bucket"]]),
        entry("aws_kms_key.environment", "delete"),
    )
    database, bucket, key = (refusal.remedy for refusal in judgement.refusals)
    assert 'know-me-staging-migrate, {"stores": ["database"]}' in database
    assert '{"stores": ["media"]}' in bucket
    assert "`moved` block" in key and "migrate" not in key


def test_what_only_an_earlier_replacement_left_behind_may_go() -> None:
    # Given the old half of a "create before delete" that broke off: its successor is in use
    judgement = judged(entry("aws_ecr_repository.a", "delete", deposed="abc"))
    assert (judgement.verdict, judgement.destructive) == ("allowed", 1)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("know-me-staging-web-123456789012", "allowed"),
        ("know-me-staging-delivery-123456789012", "allowed"),
        ("know-me-staging-website-123456789012", "refused"),
        # A generation of the media, and the bucket of another environment
        ("know-me-staging-media-web-123456789012", "refused"),
        ("know-me-other-web-123456789012", "refused"),
    ],
)
def test_only_a_bucket_that_a_pipeline_fills_again_may_go(name: str, verdict: str) -> None:
    change = entry("module.web.aws_s3_bucket.this", "delete", before={"bucket": name})
    assert judged(change).verdict == verdict


# ------------------------------------------------------------------ generations


GREEN = 'module.database["green"].aws_db_instance.this'
LEFT = {"reason": "delete_because_each_key"}


def green_left(**change: Any) -> Judgement:
    return judge(plan_of(entry(GREEN, "delete", **LEFT), generations=("blue",)), rules(**change))


def test_a_generation_that_was_never_used_may_go_when_it_left_the_document() -> None:
    # Given a candidate whose run ended before Terraform published it
    judgement = green_left(published=ONLY_BLUE)
    assert (judgement.verdict, judgement.destructive) == ("allowed", 1)
    # And one of an environment that never had a manifest
    assert green_left(published=None).verdict == "allowed"


def test_a_generation_that_was_published_stays_although_it_left_the_document() -> None:
    (refusal,) = green_left().refusals
    assert "/know-me/staging/generations" in refusal.remedy
    assert "`retire`" in refusal.remedy and "still to come" in refusal.remedy


def test_a_generation_of_the_document_stays_whether_it_was_published_or_not() -> None:
    for published in (ONLY_BLUE, None):
        assert judged(entry(GREEN, "delete"), published=published).verdict == "refused"


def test_a_plan_that_does_not_tell_its_generations_lets_none_go() -> None:
    plan = plan_of(entry(GREEN, "delete", **LEFT))
    del plan["variables"]
    assert judge(plan, rules(published=ONLY_BLUE)).verdict == "refused"


def test_the_stores_are_told_apart() -> None:
    # Given a bucket green that is used and a database green that never was
    published = {"database": frozenset({"blue"}), "media": frozenset({"blue", "green"})}
    bucket = 'module.media["green"].aws_s3_bucket.this'
    plan = plan_of(entry(GREEN, "delete"), entry(bucket, "delete"), generations=("blue",))
    assert [each.address for each in judge(plan, rules(published=published)).refusals] == [bucket]


def test_only_the_module_of_a_store_is_a_generation() -> None:
    for address in (
        'module.archive["green"].aws_db_instance.this',
        'module.a.module.database["green"].aws_kms_key.a',
    ):
        plan = plan_of(entry(address, "delete"), generations=("blue",))
        assert judge(plan, rules(published=ONLY_BLUE)).verdict == "refused"


@pytest.mark.parametrize("published", [ONLY_BLUE, None])
def test_a_database_whose_creation_broke_off_may_be_made_anew(published: Any) -> None:
    tainted = entry(GREEN, "delete", "create", reason="replace_because_tainted")
    assert judged(tainted, published=published).verdict == "allowed"


def test_a_database_that_is_used_is_not_made_anew_because_it_is_tainted() -> None:
    (refusal,) = judged(entry(DATABASE, "delete", "create", reason="replace_because_tainted")).refusals
    assert f"terraform untaint '{DATABASE}'" in refusal.remedy


def test_in_an_environment_without_a_manifest_a_broken_key_may_be_made_anew() -> None:
    tainted = entry("aws_kms_key.environment", "delete", "create", reason="replace_because_tainted")
    assert judged(tainted, published=None).verdict == "allowed"
    assert judged(tainted).verdict == "refused"
    assert judged(entry("aws_kms_key.environment", "delete"), published=None).verdict == "refused"


# ------------------------------------------------------------------ harm in place


DATABASE_BEFORE = {
    "identifier": "know-me-staging-blue",
    "db_subnet_group_name": "know-me-staging-blue",
    "engine_version": "16.4",
    "deletion_protection": True,
    "backup_retention_period": 14,
    "skip_final_snapshot": False,
    "delete_automated_backups": False,
}
HARMFUL = [
    (DATABASE, DATABASE_BEFORE, {"identifier": "other"}, True),
    (DATABASE, DATABASE_BEFORE, {"db_subnet_group_name": "other"}, True),
    (DATABASE, DATABASE_BEFORE, {"engine_version": "17.1"}, True),
    (DATABASE, DATABASE_BEFORE, {"deletion_protection": False}, False),
    (DATABASE, DATABASE_BEFORE, {"backup_retention_period": 7}, False),
    (DATABASE, DATABASE_BEFORE, {"backup_retention_period": 0}, False),
    (DATABASE, DATABASE_BEFORE, {"skip_final_snapshot": True}, False),
    (DATABASE, DATABASE_BEFORE, {"delete_automated_backups": True}, False),
    (BUCKET, {"force_destroy": False}, {"force_destroy": True}, False),
    ("aws_kms_key.a", {"is_enabled": True}, {"is_enabled": False}, True),
    ("aws_kms_key.a", {"enable_key_rotation": True}, {"enable_key_rotation": False}, False),
    ("aws_kms_key.a", {"deletion_window_in_days": 30}, {"deletion_window_in_days": 7}, False),
    ("aws_secretsmanager_secret.a", {"recovery_window_in_days": 30}, {"recovery_window_in_days": 0}, False),
    ("aws_cloudwatch_log_group.a", {"retention_in_days": 90}, {"retention_in_days": 30}, False),
    ("aws_cloudwatch_log_group.a", {"retention_in_days": 0}, {"retention_in_days": 30}, False),
    (
        "aws_dynamodb_table.a",
        {"deletion_protection_enabled": True},
        {"deletion_protection_enabled": False},
        False,
    ),
    ("aws_route53_zone.a", {"force_destroy": False}, {"force_destroy": True}, False),
    ("aws_ecr_repository.a", {"force_delete": False}, {"force_delete": True}, False),
]


@pytest.mark.parametrize(("address", "before", "change", "refused"), HARMFUL)
def test_an_update_that_harms_is_refused_or_destructive_with_its_reason(
    address: str, before: dict[str, Any], change: dict[str, Any], refused: bool
) -> None:
    judgement = judged(entry(address, "update", before=before, after={**before, **change}))
    assert judgement.verdict == ("refused" if refused else "allowed")
    assert judgement.destructive == 1
    if refused:
        assert judgement.refusals[0].attributes == list(change)
    # And a person is asked about the one that is not refused
    if not refused:
        asked = judged(
            entry(address, "update", before=before, after={**before, **change}), approval_mode="destructive"
        )
        assert asked.verdict == "approval_needed"


@pytest.mark.parametrize(("address", "before", "change", "_refused"), HARMFUL)
def test_the_same_update_the_other_way_round_is_fine_unless_it_is_a_name(
    address: str, before: dict[str, Any], change: dict[str, Any], _refused: bool
) -> None:
    judgement = judged(entry(address, "update", before={**before, **change}, after=before))
    both_ways = {"identifier", "db_subnet_group_name", "engine_version"}
    assert bool(judgement.destructive) == bool(set(change) & both_ways)


@pytest.mark.parametrize(
    "change", [{"engine_version": "16.9"}, {"backup_retention_period": 30}, {"multi_az": True}]
)
def test_an_update_that_harms_nothing_passes(change: dict[str, Any]) -> None:
    after = {**DATABASE_BEFORE, **change}
    judgement = judged(entry(DATABASE, "update", before=DATABASE_BEFORE, after=after))
    assert (judgement.verdict, judgement.destructive) == ("allowed", 0)


def versioning(*actions: str, status: str | None = None) -> dict[str, Any]:
    after = {"bucket": "media", "versioning_configuration": [{"status": status}]} if status else None
    before = {"bucket": "media", "versioning_configuration": [{"status": "Enabled"}]}
    return entry('module.media["blue"].aws_s3_bucket_versioning.this', *actions, before=before, after=after)


def test_old_versions_are_kept() -> None:
    assert judged(versioning("update", status="Suspended")).verdict == "refused"
    assert judged(versioning("delete")).verdict == "refused"
    assert judged(versioning("update", status="Enabled")).verdict == "allowed"


def test_the_versioning_of_a_bucket_that_may_go_goes_with_it() -> None:
    plan = plan_of(
        entry('module.media["green"].aws_s3_bucket.this', "delete", before={"bucket": "media"}),
        versioning("delete"),
        generations=("blue",),
    )
    assert judge(plan, rules(published=ONLY_BLUE)).verdict == "allowed"


def test_a_value_that_only_the_apply_will_know_is_no_reason_to_trust_a_name() -> None:
    after = {name: value for name, value in DATABASE_BEFORE.items() if name != "db_subnet_group_name"}
    unknown = {"db_subnet_group_name": True}
    (refusal,) = judged(
        entry(DATABASE, "update", before=DATABASE_BEFORE, after=after, unknown=unknown)
    ).refusals
    assert refusal.attributes == ["db_subnet_group_name"]


SUBNET_GROUP = 'module.database["blue"].aws_db_subnet_group.this'


def network(*going: str, **change: Any) -> Judgement:
    """Judge a change of two subnets, in which a database is, as a VPC that is made anew causes it."""
    paths = [["cidr_block"], ["vpc_id"]]
    subnets = [
        entry(f"aws_subnet.{name}", "delete", "create", paths=paths, before={"id": name})
        if name in going
        else entry(f"aws_subnet.{name}", "no-op", before={"id": name})
        for name in ("a", "b")
    ]
    group = entry(SUBNET_GROUP, "update", before={"subnet_ids": ["a", "b"]}, unknown={"subnet_ids": True})
    return judged(*subnets, group, **change)


def test_a_database_does_not_move_to_another_vpc_with_its_subnets() -> None:
    # When every subnet of a database would be made anew, though the database itself stays
    judgement = network("a", "b")
    # Then that is refused with what forces it
    assert judgement.verdict == "refused"
    (refusal,) = judgement.refusals
    assert refusal.address == SUBNET_GROUP
    assert refusal.attributes == ["subnet_ids", "cidr_block", "vpc_id"]
    assert "cidr_block and vpc_id cannot change in place" in refusal.reason


def test_a_subnet_may_go_while_a_database_has_another_and_all_of_them_with_the_environment() -> None:
    assert network("a").verdict == "allowed"
    assert network("a", "b", action="destroy").verdict == "allowed"


# ------------------------------------------------------------------ destroying, forgetting


def test_a_destruction_deletes_everything_but_in_production() -> None:
    everything = [entry(address, "delete") for address in HOLDING.values()]
    judgement = judged(*everything, action="destroy")
    assert (judgement.verdict, judgement.counts.delete) == ("allowed", len(everything))
    assert judged(*everything, action="destroy", environment="production").verdict == "refused"


def test_forgetting_deletes_nothing_and_is_asked_about() -> None:
    judgement = judged(entry(DATABASE, "forget"), entry("aws_lb.a", "forget"), approval_mode="destructive")
    assert judgement.verdict == "approval_needed"
    assert judgement.refusals == []
    assert [each.address for each in judgement.destructions] == [DATABASE]
    assert judgement.forgotten == [DATABASE, "aws_lb.a"]


# ------------------------------------------------------------------ who is asked


CREATE, DELETE = entry("aws_lb.a", "create"), entry("aws_lb.b", "delete")


@pytest.mark.parametrize(
    ("mode", "create", "delete", "for_another", "empty"),
    [
        ("never", "allowed", "allowed", "allowed", "empty"),
        ("destructive", "allowed", "approval_needed", "allowed", "empty"),
        ("changes", "approval_needed", "approval_needed", "allowed", "empty"),
        ("always", "approval_needed", "approval_needed", "approval_needed", "empty"),
    ],
)
def test_people_are_asked_as_the_mode_says(
    mode: str, create: str, delete: str, for_another: str, empty: str
) -> None:
    assert judged(CREATE, approval_mode=mode).verdict == create
    assert judged(DELETE, approval_mode=mode).verdict == delete
    assert judged(DELETE, approval_mode=mode, acting_for="run-1").verdict == for_another
    assert judged(entry("aws_lb.a", "no-op"), approval_mode=mode).verdict == empty


def test_a_refusal_goes_before_every_mode() -> None:
    for mode in ("never", "destructive", "changes", "always"):
        assert judged(entry(DATABASE, "delete"), approval_mode=mode, acting_for="run-1").verdict == "refused"


def test_a_changed_output_alone_is_no_empty_plan() -> None:
    plan = {"resource_changes": [], "output_changes": {"url": {"actions": ["update"]}}}
    assert judge(plan, rules(approval_mode="changes")).verdict == "approval_needed"
    assert judge({"resource_changes": [], "output_changes": {}}, rules()).verdict == "empty"


def test_a_move_alone_is_no_empty_plan_because_terraform_says_so() -> None:
    plan = {**plan_of(entry("aws_lb.a", "no-op")), "applyable": True}
    judgement = judge(plan, rules())
    assert judgement.verdict == "allowed"
    assert "outputs or addresses" in judgement.sentence


def test_reading_is_no_change() -> None:
    assert judged(entry("data.aws_region.a", "read", mode="data")).differences == []


def test_a_sentence_names_three_refusals_and_counts_the_rest() -> None:
    buckets = [entry(f"aws_s3_bucket.b{number}", "delete") for number in range(30)]
    judgement = judged(*buckets)
    assert len(judgement.refusals) == 30
    assert "aws_s3_bucket.b2 would be deleted" in judgement.sentence
    assert "aws_s3_bucket.b3" not in judgement.sentence
    assert "and 27 more" in judgement.sentence


# ------------------------------------------------------------------ any plan


KINDS = [
    ("no-op",), ("read",), ("create",), ("update",), ("delete",), ("forget",), ("delete", "create"),
    ("create", "delete"),
]  # fmt: skip
TYPES = [*STATEFUL, "aws_lb", "aws_ecs_service", "terraform_data"]
PLACES = ["", 'module.database["blue"].', 'module.media["green"].', "module.api."]


@some.composite
def plans(draw: some.DrawFn) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return places, types and actions of changes, each address once."""
    found = draw(
        some.lists(some.tuples(some.sampled_from(PLACES), some.sampled_from(TYPES), some.sampled_from(KINDS)))
    )
    return [
        (f"{place}{kind}.r{number}", kind, actions) for number, (place, kind, actions) in enumerate(found)
    ]


@given(plans())
def test_a_plan_is_refused_exactly_when_something_that_holds_data_goes(
    changes: list[tuple[str, str, tuple[str, ...]]],
) -> None:
    going = [address for address, kind, actions in changes if kind in STATEFUL and "delete" in actions]
    judgement = judged(*(entry(address, *actions) for address, _, actions in changes))
    assert [refusal.address for refusal in judgement.refusals] == going
    assert (judgement.verdict == "refused") == bool(going)


@given(plans())
def test_every_change_is_counted_once_and_named(changes: list[tuple[str, str, tuple[str, ...]]]) -> None:
    judgement = judged(*(entry(address, *actions) for address, _, actions in changes))
    changing = [address for address, _, actions in changes if actions[0] not in ("no-op", "read")]
    assert sum(judgement.counts.model_dump().values()) + len(judgement.forgotten) == len(changing)
    assert [difference.address for difference in judgement.differences] == changing
    assert judgement.destructive >= judgement.counts.delete + judgement.counts.replace
    assert (judgement.verdict == "empty") == (not changing)


@given(plans(), some.sampled_from(["never", "destructive", "changes", "always"]))
def test_nothing_is_applied_unasked_that_the_mode_asks_about(
    changes: list[tuple[str, str, tuple[str, ...]]], mode: str
) -> None:
    judgement = judged(*(entry(address, *actions) for address, _, actions in changes), approval_mode=mode)
    if judgement.verdict == "allowed":
        assert mode == "never" or (mode == "destructive" and judgement.destructive == 0)
    assert Judgement.model_validate_json(judgement.model_dump_json()) == judgement


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = some.dictionaries(
    some.sampled_from([*DATABASE_BEFORE, "versioning_configuration", "bucket", "force_destroy"]), JSON
)


@given(some.sampled_from([*TYPES, "aws_s3_bucket_versioning"]), ATTRIBUTES, ATTRIBUTES)
def test_whatever_the_values_are_the_guard_has_an_answer(
    kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    judgement = judged(entry(f"{kind}.a", "update", before=before, after=after))
    assert len(judgement.differences[0].attributes) <= NAMED


# ------------------------------------------------------------------ real plans


def refused(judgement: Judgement) -> set[str]:
    """Return the addresses that are refused."""
    return {refusal.address for refusal in judgement.refusals}


def test_a_new_environment_is_made() -> None:
    judgement = real("new-environment", published=None, approval_mode="destructive")
    assert (judgement.verdict, judgement.destructive) == ("allowed", 0)
    assert judgement.counts.create == len(judgement.differences) > 5


def test_a_plan_without_a_change_is_empty_whatever_the_mode() -> None:
    judgement = real("empty", approval_mode="always")
    assert (judgement.verdict, judgement.differences) == ("empty", [])


def test_a_database_whose_name_inside_changes_is_refused_with_that_attribute() -> None:
    judgement = real("database-replaced")
    assert refused(judgement) == {DATABASE, GREEN}
    assert judgement.counts.replace == 2
    assert {tuple(refusal.attributes) for refusal in judgement.refusals} == {("db_name",)}
    assert "db_name cannot change in place" in judgement.sentence
    assert "know-me-staging-migrate" in judgement.sentence


def test_a_generation_that_left_goes_whole_or_not_at_all() -> None:
    unused = real("generation-left", published=ONLY_BLUE)
    assert (unused.verdict, unused.counts.delete) == ("allowed", 4)
    assert refused(real("generation-left")) == {
        'module.database["green"].aws_cloudwatch_log_group.export',
        GREEN,
        'module.media["green"].aws_s3_bucket.this',
    }


def test_everything_that_gets_less_safe_is_named() -> None:
    judgement = real("less-safe")
    assert refused(judgement) == {
        f'module.media["{name}"].aws_s3_bucket_versioning.this' for name in ("blue", "green")
    }
    said = " ".join(destruction.reason for destruction in judgement.destructions)
    for attribute in (
        *("deletion_protection", "backup_retention_period", "retention_in_days"),
        *("enable_key_rotation", "deletion_window_in_days", "force_destroy"),
    ):
        assert f"({attribute})" in said


def test_a_module_that_is_renamed_needs_a_moved_block() -> None:
    judgement = real("renamed-without-moved")
    assert refused(judgement) == {f'module.media["{name}"].aws_s3_bucket.this' for name in ("blue", "green")}
    moved = real("renamed-with-moved")
    assert (moved.verdict, moved.differences) == ("allowed", [])


def test_a_zone_that_is_forgotten_stays_and_is_asked_about() -> None:
    judgement = real("zone-forgotten", approval_mode="destructive")
    assert judgement.verdict == "approval_needed"
    assert judgement.forgotten == ["aws_route53_zone.this"]
    assert "it stays" in judgement.destructions[0].reason


def test_asking_for_a_replacement_overrules_nothing() -> None:
    judgement = real("replace-by-request")
    assert "aws_kms_key.environment" in refused(judgement)
    assert "aws_s3_bucket.web" not in refused(judgement)
    assert "was asked for" in next(
        each.reason for each in judgement.refusals if each.address == "aws_kms_key.environment"
    )


def test_a_destruction_of_everything_is_let_through_only_as_such() -> None:
    assert real("destroyed", action="destroy").verdict == "allowed"
    assert real("destroyed", action="destroy", environment="production").verdict == "refused"
    assert len(refused(real("destroyed"))) == 8


def test_a_tainted_database_is_made_anew_only_when_nobody_used_it() -> None:
    assert real("tainted", published=ONLY_BLUE).verdict == "allowed"
    assert refused(real("tainted")) == {GREEN}


def test_drift_tells_what_was_deleted_and_what_was_changed_outside() -> None:
    found = {each.address: each for each in real("drift").differences}
    deleted = found['module.database["blue"].aws_cloudwatch_log_group.export']
    changed = found['module.media["blue"].aws_s3_bucket_versioning.this']
    assert (deleted.action, deleted.outside) == ("create", True)
    assert (changed.action, changed.outside) == ("update", True)
    assert changed.attributes == ["versioning_configuration"]
    # And an apply would only bring things back
    assert real("drift").refusals == []
