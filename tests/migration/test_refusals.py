"""Bad requests are refused before anything is touched, each with one clear message."""

from collections.abc import Callable
from typing import Any

import pytest

from examples.executions import Execution
from tests.migration.stories import BAD_INPUTS, Refusals

Story = Callable[[str], Any]

WORDS = {
    "unknown field": ("surprise",),
    "wrong type": ("grace_seconds", "preflight_only"),
    "generation that exists": ("blue", "exists"),
    "unknown environment": ("one",),
    "no object": ("list",),
    "everything at once": ("surprise", "blue", "environment", "engine_version"),
}


@pytest.mark.scenario("refusals")
@pytest.mark.parametrize("name", BAD_INPUTS)
def test_a_bad_request_is_refused_with_every_fault(story: Story, name: str) -> None:
    refusals: Refusals = story("refusals")
    execution = refusals.executions[name]
    assert (execution.status, execution.error) == ("FAILED", "InvalidRequest")
    missing = [word for word in WORDS[name] if word not in str(execution.cause)]
    assert not missing, execution.cause


@pytest.mark.scenario("refusals")
def test_a_refused_request_touches_nothing(story: Story) -> None:
    refusals: Refusals = story("refusals")
    assert refusals.after == refusals.before
    assert refusals.before["lock"] is None


@pytest.mark.scenario("manifest_missing")
def test_an_environment_without_infrastructure_is_refused(story: Story) -> None:
    execution: Execution = story("manifest_missing")
    assert (execution.status, execution.error) == ("FAILED", "ManifestMissing")
    assert "provision" in str(execution.cause)
