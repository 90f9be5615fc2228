"""What may be asked of `migrate`, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from know_me.errors import InvalidRequest, ManifestMissing
from know_me.generations import Generations
from know_me.manifest import Manifest
from know_me.names import first_free_generation
from know_me.requests import Migration, plan_migration

from tests.unit.lambdas.conftest import BUCKET, manifest_document

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = [
    "environment",
    "candidate",
    "engine_version",
    "instance_class",
    "allocated_storage",
    "preflight_only",
    "grace_seconds",
    "job_timeout_seconds",
    "unknown",
]
REQUEST_LIKE = some.dictionaries(some.sampled_from(FIELDS), JSON)
MANIFEST = Manifest.model_validate(manifest_document())
GENERATIONS = Generations.model_validate(
    {"database": {"active": "blue", "all": {"blue": {"engine_version": "17"}}}}
)


def plan(document: object, run_id: str = "run-1", generations: Generations = GENERATIONS) -> Migration:
    return plan_migration(
        document,
        run_id=run_id,
        environment="staging",
        manifest=MANIFEST,
        generations=generations,
        bucket=BUCKET,
    )


def test_an_empty_request_migrates_to_the_first_free_colour_with_the_settings_of_the_old_database() -> None:
    migration = plan({})
    assert (migration.source, migration.candidate) == ("blue", "green")
    assert migration.candidate_settings.engine_version == "17"
    assert (migration.grace_seconds, migration.job_timeout_seconds) == (60, 28800)
    assert migration.run_folder == f"s3://{BUCKET}/runs/run-1"


def test_every_fault_of_a_request_is_in_one_message() -> None:
    # Given a request with a fault in every field
    wrong = {
        "environment": "production",
        "candidate": "blue",
        "engine_version": 17,
        "instance_class": "large",
        "allocated_storage": "much",
        "preflight_only": "yes",
        "grace_seconds": 3601,
        "job_timeout_seconds": 9,
        "colour": "red",
    }
    # When it is read
    with pytest.raises(InvalidRequest) as refused:
        plan(wrong)
    # Then each is named, and so is what would be valid
    for field in wrong:
        assert f"{field}: " in str(refused.value)
    assert "unknown field" in str(refused.value)
    assert str(refused.value).count("Valid inputs are") == 1


@pytest.mark.parametrize("document", [None, [], "{}", 1, True])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(InvalidRequest, match="not a JSON object"):
        plan(document)


def test_a_name_of_an_execution_that_leaves_no_room_for_its_children_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 60"):
        plan({}, run_id="r" * 61)


def test_an_environment_that_terraform_has_not_caught_up_with_is_refused() -> None:
    ahead = Generations.model_validate({"database": {"active": "green", "all": {"blue": {}, "green": {}}}})
    with pytest.raises(InvalidRequest, match="start know-me-staging-provision first"):
        plan({}, generations=ahead)


@settings(max_examples=300, deadline=None)
@given(document=JSON | REQUEST_LIKE)
def test_any_json_is_a_migration_or_is_refused_with_every_fault_named(document: object) -> None:
    try:
        migration = plan(document)
    except (InvalidRequest, ManifestMissing) as refused:
        # each field that alone would be refused is named when they come together
        for field in document if isinstance(document, dict) else ():
            try:
                plan({field: document[field]})  # type: ignore[index]
            except InvalidRequest:
                assert f"{field}" in str(refused)
    else:
        assert migration.candidate not in GENERATIONS.database.all
        assert 10 <= migration.job_timeout_seconds <= 86400
        assert Migration.model_validate_json(migration.model_dump_json()) == migration


@given(
    taken=some.sets(
        some.sampled_from(["blue", "green", "amber", "violet", "teal", "coral", "indigo", "olive"])
    )
)
def test_the_first_free_generation_is_free(taken: set[str]) -> None:
    assert first_free_generation(taken) not in taken


def test_when_the_colours_are_used_up_generations_are_numbered() -> None:
    taken: set[str] = set()
    for _ in range(10):
        taken.add(first_free_generation(taken))
    assert {"generation-9", "generation-10"} <= taken
