"""Generations: what may be added, made active and dropped."""

import json

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as some
from know_me.errors import InvalidRequest
from know_me.generations import (
    FIRST,
    DatabaseSettings,
    Generations,
    activate,
    add,
    create_generations,
    drop,
    read_generations,
)

from tests.unit.lambdas.conftest import get_parameter, put_parameter

NAMES = some.sampled_from(["blue", "green", "amber", "teal", "generation-9"])
SETTINGS = some.builds(
    DatabaseSettings,
    engine_version=some.none() | some.sampled_from(["16", "17.4"]),
    instance_class=some.none() | some.just("db.t4g.micro"),
    allocated_storage=some.none() | some.integers(20, 100),
)


@some.composite
def documents(draw: some.DrawFn) -> Generations:
    everything = draw(some.dictionaries(NAMES, SETTINGS, min_size=1))
    active = draw(some.sampled_from(sorted(everything)))
    return Generations.model_validate(
        {"database": {"active": active, "all": {name: dict(value) for name, value in everything.items()}}}
    )


@given(documents(), NAMES, SETTINGS)
def test_adding_keeps_all_that_was_there_and_what_is_active(
    document: Generations, name: str, what: DatabaseSettings
) -> None:
    try:
        added = add(document, name, what)
    except InvalidRequest:
        assert document.database.all[name] != what
        return
    assert added.database.active == document.database.active
    assert added.database.all == {**document.database.all, name: what}
    assert add(added, name, what) == added


@given(documents(), NAMES, SETTINGS)
def test_activating_and_dropping_take_an_addition_back(
    document: Generations, name: str, what: DatabaseSettings
) -> None:
    if name in document.database.all:
        return
    switched = activate(add(document, name, what), name)
    assert drop(activate(switched, document.database.active), name) == document


@given(documents(), NAMES)
def test_the_active_generation_is_never_dropped_and_always_exists(document: Generations, name: str) -> None:
    try:
        dropped = drop(document, name)
    except InvalidRequest:
        assert name == document.database.active
    else:
        assert dropped.database.active in dropped.database.all
        assert drop(dropped, name) == dropped


def test_a_generation_that_does_not_exist_cannot_be_active() -> None:
    with pytest.raises(InvalidRequest, match="amber does not exist"):
        activate(FIRST, "amber")


def test_the_first_document_is_written_once(aws: None) -> None:
    ssm = boto3.client("ssm")
    # Given a new environment, when it is provisioned twice
    assert create_generations(ssm, "staging") is True
    put_parameter("generations", {"database": {"active": "green", "all": {"green": {}}}})
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
        "media": {"active": None, "all": {}},
    }


def test_a_parameter_that_holds_something_else_is_named(aws: None) -> None:
    put_parameter("generations", {"database": {"active": "green", "all": {"blue": {"colour": 1}}}})
    with pytest.raises(InvalidRequest) as refused:
        read_generations(boto3.client("ssm"), "staging")
    assert "/know-me/staging/generations" in str(refused.value)


def test_media_generations_pass_through_untouched() -> None:
    document = Generations.model_validate(
        {**json.loads(FIRST.model_dump_json()), "media": {"active": "one", "all": {"one": {"bucket": "b"}}}}
    )
    assert add(document, "green", DatabaseSettings()).media == document.media
