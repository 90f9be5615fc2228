"""What may be asked of `provision`, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from know_me.errors import InvalidRequest
from know_me.provisioning import Bundle, Provision, plan_provision

from tests.unit.lambdas.conftest import BUCKET
from tests.unit.lambdas.test_requests import JSON

BUNDLE = {"key": "bundles/a.zip", "version_id": "v1"}
FIELDS = ["action", "targets", "replace", "bundle", "drift", "acting_for", "unknown"]


def plan(document: object, environment: str = "staging", run_id: str = "p1", **more: Any) -> Provision:
    return plan_provision(
        document,
        **{
            "run_id": run_id,
            "environment": environment,
            "artifacts_bucket": BUCKET,
            "approval_mode": "destructive",
            "approval_timeout_seconds": 600,
            "remembered": None,
            **more,
        },
    )


def faults(document: object, environment: str = "staging", **more: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        plan(document, environment, **more)
    return refused.value.cause


def test_an_empty_request_applies_everything_under_its_own_lock() -> None:
    provision = plan({})
    assert provision.model_dump() == {
        "run_id": "p1",
        "holder": "p1",
        "own_lock": True,
        "action": "apply",
        "targets": [],
        "replace": [],
        "drift": False,
        "acting_for": None,
        "approval_mode": "destructive",
        "approval_timeout_seconds": 600,
        "bundle": None,
        "source_location": None,
    }


def test_a_run_for_another_one_works_under_its_lock() -> None:
    provision = plan({"acting_for": "run-1"})
    assert (provision.holder, provision.own_lock) == ("run-1", False)


def test_a_bundle_that_is_given_goes_before_the_one_that_was_applied_last() -> None:
    remembered = Bundle(key="bundles/old.zip", version_id="v0")
    own, earlier = plan({"bundle": BUNDLE}, remembered=remembered), plan({}, remembered=remembered)
    assert own.source_location and earlier.source_location
    assert (own.source_location.location, own.source_location.version_id) == (f"{BUCKET}/bundles/a.zip", "v1")
    assert (earlier.source_location.location, earlier.bundle) == (f"{BUCKET}/bundles/old.zip", None)


@pytest.mark.parametrize(
    "address",
    [
        "module.api",
        "module.a.module.b",
        'module.database["blue"]',
        'module.database["blue"].aws_db_instance.this',
        "aws_s3_bucket.a",
        "aws_s3_bucket.a[0]",
        'aws_s3_bucket.a["x.y/z \\\\ \\" é"]',
        "data.aws_region.current",
        "module.a.data.aws_region.current",
    ],
)
def test_addresses_of_modules_and_resources_are_targets(address: str) -> None:
    assert plan({"targets": [address]}).targets == [address]


NO_ADDRESS = [
    "",
    "module",
    "module.",
    "module.a.",
    "-destroy",
    "a b.c",
    "aws_s3_bucket",
    "aws_s3_bucket.a.b",
    "aws_s3_bucket.a[",
    "aws_s3_bucket.a[x]",
    "aws_s3_bucket.a[-1]",
    'aws_s3_bucket.a["x',
    'aws_s3_bucket.a["x"y"]',
    'aws_s3_bucket.a["x\ny"]',
    "aws_s3_bucket.a\n",
    "data.module.a",
    "x" * 501,
    7,
    None,
]


@pytest.mark.parametrize("address", NO_ADDRESS)
@pytest.mark.parametrize("field", ["targets", "replace"])
def test_what_is_no_address_is_refused_by_its_place(field: str, address: object) -> None:
    assert f"{field}.1" in faults({field: ["aws_s3_bucket.fine", address]})


@pytest.mark.parametrize("address", ["module.api", "data.aws_region.current", "module.a.module.b"])
def test_only_a_resource_can_be_replaced(address: str) -> None:
    assert "is not the address of a resource" in faults({"replace": [address]})


def test_an_address_is_named_once() -> None:
    assert "module.a is named twice" in faults({"targets": ["module.a", "module.b", "module.a"]})


def test_every_fault_is_named_at_once() -> None:
    said = faults(
        {
            "action": "destroy",
            "drift": True,
            "replace": ["module.api"],
            "targets": "module.api",
            "bundle": {"key": "runs/a.zip"},
            "acting_for": "",
            "colour": 1,
        },
        "production",
        run_id="p.1",
    )
    for part in (
        "replace.0",
        "targets:",
        "bundle.key",
        "bundle.version_id",
        "acting_for",
        "colour: unknown field",
        "production is never destroyed",
        "replace: it makes no sense",
        "bundle: it makes no sense",
        "drift:",
        "the name of the execution",
    ):
        assert part in said


def test_production_is_planned_and_applied_but_never_destroyed() -> None:
    assert plan({}, "production").action == "apply"
    assert plan({"action": "plan"}, "production").action == "plan"
    assert "never destroyed" in faults({"action": "destroy"}, "production")
    assert plan({"action": "destroy", "targets": ["module.api"]}).action == "destroy"


def test_a_look_for_drift_is_a_plan() -> None:
    assert plan({"action": "plan", "drift": True}).drift
    assert "drift" in faults({"drift": True})


@pytest.mark.parametrize("key", ["a.zip", "bundles/", "runs/bundles/a.zip", "bundles/a\nb", 1])
def test_a_bundle_is_an_object_below_bundles(key: object) -> None:
    assert "bundle.key" in faults({"bundle": {**BUNDLE, "key": key}})


@given(JSON | some.dictionaries(some.sampled_from(FIELDS), JSON))
def test_any_document_is_planned_or_refused_in_words(document: object) -> None:
    try:
        provision = plan(document, "production")
    except InvalidRequest as refused:
        assert refused.remedy
        assert "docs/operate/provision.md" in refused.remedy
    else:
        assert provision.action in ("apply", "plan")
