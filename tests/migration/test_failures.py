"""Migrations that fail: the environment ends on the old generation, running, and nothing is lost."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.migration.scenarios import Facts

Story = Callable[[str], Any]

# Story → how the execution ends, with which errors, and what its cause names (a pattern).
FAILURES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "restore_killed": ("FAILED", ("RestoreFailed", "DatabaseJobFailed"), "restore"),
    "verification_differs": ("FAILED", ("VerificationFailed",), "know_me_journalentry"),
    "job_times_out": ("FAILED", ("DatabaseJobTimedOut",), "verify"),
    "candidate_stopped": (
        "FAILED",
        ("RestoreFailed", "DatabaseJobFailed", "DatabaseJobInterrupted"),
        # Stopped while pg_restore runs, or between two connections of the job.
        "restore|No connection to know-me-three-",
    ),
    "cutover_fails": ("FAILED", ("CutoverFailed",), "Refused by the test"),
    "stopped_by_hand": ("ABORTED", ("StoppedByHand",), "changed its mind"),
}

each_failure = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.scenario(name)) for name in FAILURES]
)


@each_failure
def test_a_failed_migration_says_why(story: Story, name: str) -> None:
    facts: Facts = story(name)
    status, errors, named = FAILURES[name]
    assert facts.execution.status == status
    assert facts.execution.error in errors, facts.execution
    assert re.search(named, str(facts.execution.cause)), facts.execution


@each_failure
def test_a_failed_migration_ends_on_the_old_generation_with_the_app_running(story: Story, name: str) -> None:
    facts: Facts = story(name)
    assert facts.after == facts.before
    assert facts.healthy
    assert facts.running_tasks >= 1
    assert facts.ways_to_start and all(facts.ways_to_start.values()), facts.ways_to_start
    assert facts.lock is None
    assert "return" in {visit.runbook for visit in facts.visits}


@each_failure
def test_a_failed_migration_loses_nothing(story: Story, name: str) -> None:
    facts: Facts = story(name)
    assert facts.reconciliation.agrees, facts.reconciliation
    assert facts.reconciliation.acknowledged > 10
    # Writes are acknowledged again after the return: the client waits for that, and says so by its figures.
    assert facts.figures.outages
    assert not facts.figures.in_outage
