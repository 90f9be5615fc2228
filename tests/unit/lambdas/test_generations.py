"""Generations: what may be added, made active and dropped."""

from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as some
from know_me.errors import InvalidRequest
from know_me.generations import (
    FIRST,
    STORES,
    DatabaseSettings,
    Generations,
    GenerationSettings,
    MediaSettings,
    Store,
    activate,
    add,
    create_generations,
    drop,
    read_generations,
    unfinished_media,
)

from tests.unit.lambdas.conftest import get_parameter, put_parameter

NAMES = some.sampled_from(["blue", "green", "amber", "teal", "generation-9"])
SETTINGS = some.builds(
    DatabaseSettings,
    engine_version=some.none() | some.sampled_from(["16", "17.4"]),
    instance_class=some.none() | some.just("db.t4g.micro"),
    allocated_storage=some.none() | some.integers(20, 100),
)


MEDIA_SETTINGS = some.builds(MediaSettings, unfinished=some.booleans())
STORE = some.sampled_from(STORES)


@some.composite
def stores(draw: some.DrawFn, settings: some.SearchStrategy[GenerationSettings]) -> dict[str, Any]:
    everything = draw(some.dictionaries(NAMES, settings, min_size=1))
    active = draw(some.sampled_from(sorted(everything)))
    everything[active] = everything[active].finished()
    return {"active": active, "all": {name: dict(value) for name, value in everything.items()}}


@some.composite
def documents(draw: some.DrawFn) -> Generations:
    return Generations.model_validate(
        {"database": draw(stores(SETTINGS)), "media": draw(stores(MEDIA_SETTINGS))}
    )


@some.composite
def additions(draw: some.DrawFn) -> tuple[Store, str, GenerationSettings]:
    store = draw(STORE)
    return store, draw(NAMES), draw(SETTINGS if store == "database" else MEDIA_SETTINGS)


@given(documents(), additions())
def test_adding_keeps_all_that_was_there_and_what_is_active(
    document: Generations, addition: tuple[Store, str, GenerationSettings]
) -> None:
    store, name, what = addition
    try:
        added = add(document, store, name, what)
    except InvalidRequest:
        assert document.of(store).all[name] != what
        return
    assert added.of(store).active == document.of(store).active
    assert added.of(store).all == {**document.of(store).all, name: what}
    assert add(added, store, name, what) == added


@given(documents(), additions())
def test_activating_and_dropping_take_an_addition_back(
    document: Generations, addition: tuple[Store, str, GenerationSettings]
) -> None:
    store, name, what = addition
    if name in document.of(store).all:
        return
    switched = activate(add(document, store, name, what), store, name)
    assert drop(activate(switched, store, document.of(store).active), store, name) == document


@given(documents(), additions())
def test_a_change_of_one_store_leaves_the_other_alone(
    document: Generations, addition: tuple[Store, str, GenerationSettings]
) -> None:
    store, name, what = addition
    other: Store = "media" if store == "database" else "database"
    if name in document.of(store).all:
        return
    assert activate(add(document, store, name, what), store, name).of(other) == document.of(other)


@given(documents(), NAMES)
def test_the_active_bucket_is_never_unfinished(document: Generations, name: str) -> None:
    added = add(drop_if_there(document, name), "media", name, MediaSettings(unfinished=True))
    assert unfinished_media(added) is not None
    active = activate(added, "media", name).media
    assert not active.all[active.active].unfinished


def drop_if_there(document: Generations, name: str) -> Generations:
    """Make room for a name, activating another bucket first when it has to be."""
    if name == document.media.active:
        other = "generation-10"
        document = activate(add(document, "media", other, MediaSettings()), "media", other)
    return drop(document, "media", name)


@given(documents(), STORE, NAMES)
def test_the_active_generation_is_never_dropped_and_always_exists(
    document: Generations, store: Store, name: str
) -> None:
    try:
        dropped = drop(document, store, name)
    except InvalidRequest:
        assert name == document.of(store).active
    else:
        assert dropped.of(store).active in dropped.of(store).all
        assert drop(dropped, store, name) == dropped


@pytest.mark.parametrize("store", STORES)
def test_a_generation_that_does_not_exist_cannot_be_active(store: Store) -> None:
    with pytest.raises(InvalidRequest, match=f"amber of the {store} does not exist"):
        activate(FIRST, store, "amber")


def test_the_first_document_is_written_once(aws: None) -> None:
    ssm = boto3.client("ssm")
    # Given a new environment, when it is provisioned twice
    assert create_generations(ssm, "staging") is True
    switched = {"active": "green", "all": {"green": {}}}
    put_parameter("generations", {"database": switched, "media": switched})
    assert create_generations(ssm, "staging") is False
    # Then what a run has written since stands
    assert get_parameter("generations")["database"]["active"] == "green"


def test_the_document_is_that_of_the_contract(aws: None) -> None:
    create_generations(boto3.client("ssm"), "staging")
    assert get_parameter("generations") == {
        "database": {
            "active": "blue",
            "all": {"blue": {"engine_version": None, "instance_class": None, "allocated_storage": None}},
        },
        "media": {"active": "blue", "all": {"blue": {"unfinished": False}}},
    }


@pytest.mark.parametrize("media", [{}, {"media": {"active": None, "all": {}}}, {"media": None}])
def test_a_document_from_before_the_media_had_generations_is_completed_and_written_back(
    aws: None, media: dict[str, Any]
) -> None:
    # Given an environment that was made before this
    ssm = boto3.client("ssm")
    put_parameter("generations", {"database": {"active": "teal", "all": {"teal": {}}}, **media})
    # When it is read, then the app's bucket is the first one
    found = read_generations(ssm, "staging")
    assert found is not None and found.media == FIRST.media
    # And provision tells Terraform so, once
    assert create_generations(ssm, "staging") is True
    assert get_parameter("generations")["media"] == {"active": "blue", "all": {"blue": {"unfinished": False}}}
    assert get_parameter("generations")["database"]["active"] == "teal"
    assert create_generations(ssm, "staging") is False


def test_a_parameter_that_holds_something_else_is_named(aws: None) -> None:
    put_parameter("generations", {"database": {"active": "green", "all": {"blue": {"colour": 1}}}})
    with pytest.raises(InvalidRequest) as refused:
        read_generations(boto3.client("ssm"), "staging")
    assert "/know-me/staging/generations" in str(refused.value)
