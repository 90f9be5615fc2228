"""What may be asked of `migrate`, and what is refused."""

from typing import Any

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
    "stores",
    "copy_ahead",
    "versions",
    "metadata_sample",
    "unknown",
]
STORE_LISTS = some.lists(some.sampled_from(["database", "media", "cellar"]), max_size=3)
REQUEST_LIKE = some.dictionaries(some.sampled_from(FIELDS), JSON | STORE_LISTS)
MANIFEST = Manifest.model_validate(manifest_document())
GENERATIONS = Generations.model_validate(
    {"database": {"active": "blue", "all": {"blue": {"engine_version": "17"}}}}
)
LIMIT = 5 * 1024**3


def plan(document: object, run_id: str = "run-1", generations: Generations = GENERATIONS) -> Migration:
    return plan_migration(
        document,
        run_id=run_id,
        environment="staging",
        manifest=MANIFEST,
        generations=generations,
        bucket=BUCKET,
        single_copy_limit_bytes=LIMIT,
    )


def test_an_empty_request_migrates_to_the_first_free_colour_with_the_settings_of_the_old_database() -> None:
    migration = plan({})
    assert (migration.source, migration.candidate) == ("blue", "green")
    assert migration.candidate_settings.engine_version == "17"
    assert (migration.grace_seconds, migration.job_timeout_seconds) == (60, 28800)
    assert migration.stores == ["database", "media"]
    assert (migration.media_source, migration.media_candidate) == ("blue", "green")
    assert migration.source_bucket == MANIFEST.media.generations["blue"]
    assert (migration.copy_ahead, migration.versions, migration.metadata_sample) == (True, "current", 1000)
    assert migration.file_columns[0].table == "public.know_me_photo"
    assert migration.single_copy_limit_bytes == LIMIT
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
        "stores": ["database", "cellar"],
        "copy_ahead": "no",
        "versions": "some",
        "metadata_sample": 1_000_001,
        "colour": "red",
    }
    # When it is read
    with pytest.raises(InvalidRequest) as refused:
        plan(wrong)
    # Then each is named, and so is what would be valid
    for field in wrong:
        assert f"{field}: " in str(refused.value) or f"{field}.1: " in str(refused.value)
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


def both(database: dict[str, Any], media: dict[str, Any]) -> Generations:
    return Generations.model_validate(
        {"database": {"active": "blue", "all": database}, "media": {"active": "blue", "all": media}}
    )


@pytest.mark.parametrize(
    ("stores", "database", "media"),
    [(["database"], "green", None), (["media"], None, "green"), (["media", "database"], "green", "green")],
)
def test_only_what_moves_has_a_candidate(stores: list[str], database: str | None, media: str | None) -> None:
    migration = plan({"stores": stores})
    assert (migration.candidate, migration.media_candidate) == (database, media)
    assert (migration.snapshot is None) == (database is None)
    assert (migration.source_bucket is None) == (migration.media_source is None) == (media is None)
    # the database that the app uses is told in any case: its rows say which files there must be
    assert migration.source_database.generation == migration.source == "blue"


@pytest.mark.parametrize(
    ("database", "media"),
    [({"blue": {}, "green": {}}, {"blue": {}}), ({"blue": {}}, {"blue": {}, "green": {}})],
)
def test_a_name_that_either_store_has_used_is_not_free(
    database: dict[str, Any], media: dict[str, Any]
) -> None:
    migration = plan({}, generations=both(database, media))
    assert (migration.candidate, migration.media_candidate) == ("amber", "amber")


def test_a_bucket_that_a_failed_run_began_to_fill_is_taken_up_again() -> None:
    # Given an environment with an unfinished bucket
    generations = both({"blue": {}, "green": {}}, {"blue": {}, "green": {"unfinished": True}})
    # When both stores are migrated
    migration = plan({}, generations=generations)
    # Then the database gets a new name, and the bucket keeps its own
    assert (migration.candidate, migration.media_candidate) == ("amber", "green")
    assert plan({"stores": ["media"]}, generations=generations).media_candidate == "green"


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"stores": ["media"], "engine_version": "17"}, "engine_version: it belongs to the database"),
        ({"stores": ["database"], "copy_ahead": False}, "copy_ahead: it belongs to the media"),
        ({"stores": ["database"], "versions": "all"}, "versions: it belongs to the media"),
        ({"stores": []}, "stores: list should have at least 1 item"),
        ({"stores": ["media", "media"]}, "stores: each store is named once"),
        ({"metadata_sample": True}, 'metadata_sample: a number from 0 to 1000000, or "all"'),
    ],
)
def test_what_means_nothing_is_refused(document: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plan(document)
    assert str(refused.value).count(fault) == 1


def test_a_bucket_that_terraform_has_not_caught_up_with_is_refused() -> None:
    ahead = Generations.model_validate(
        {
            "database": {"active": "blue", "all": {"blue": {}}},
            "media": {"active": "green", "all": {"blue": {}, "green": {}}},
        }
    )
    with pytest.raises(InvalidRequest, match="blue as the active generation of the media"):
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
        assert {migration.candidate, migration.media_candidate}.isdisjoint({"blue"})
        assert (migration.candidate is None) == ("database" not in migration.stores)
        assert (migration.media_candidate is None) == ("media" not in migration.stores)
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
