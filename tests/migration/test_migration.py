"""A migration that goes well: what the operator is promised."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.migration.scenarios import Facts

Story = Callable[[str], Any]


@pytest.mark.scenario("success")
def test_the_environment_ends_on_the_new_generation(story: Story) -> None:
    facts: Facts = story("success")
    assert facts.execution.status == "SUCCEEDED", facts.execution
    assert facts.after != facts.before
    assert facts.healthy
    assert facts.running_tasks >= 1
    assert facts.lock is None


@pytest.mark.scenario("success")
def test_tasks_are_led_to_the_new_stores_without_a_release(story: Story) -> None:
    facts = story("success")
    before, after = facts.extra["task_definitions"]
    assert before == after
    database, bucket = facts.extra["led_to"]
    assert facts.after in database and "AWSCURRENT" in database
    assert f"-media-{facts.after}-" in bucket


@pytest.mark.scenario("success")
def test_pipeline_and_background_jobs_stand_still_meanwhile_and_go_on_afterwards(story: Story) -> None:
    before, meanwhile, afterwards = story("success").extra["ways_to_start"]
    assert before == dict.fromkeys(
        ("know-me-one/Build", "know-me-one/Release", "know-me-one-background-jobs"), True
    )
    assert meanwhile == dict.fromkeys(before, False)
    assert afterwards == before


@pytest.mark.scenario("success")
def test_every_acknowledged_write_is_in_the_new_database(story: Story) -> None:
    facts: Facts = story("success")
    assert facts.reconciliation.agrees, facts.reconciliation
    assert facts.reconciliation.kept == facts.reconciliation.acknowledged > 50
    # The client must have seen the app stop, otherwise nothing was proven about the writes around it.
    assert facts.figures.outages


@pytest.mark.scenario("success")
def test_the_verification_compared_every_table(story: Story) -> None:
    verification = story("success").extra["verification"]
    assert verification["verdict"] == "equal"
    assert verification["differences"] == []
    names = {table["name"] for table in verification["tables"]}
    assert any("know_me_journalentry" in name for name in names)
    assert any("harvest_2023" in name for name in names)


@pytest.mark.scenario("success")
def test_terraform_plans_no_change_afterwards(story: Story) -> None:
    assert story("success").extra["planned_changes"] == 0


@pytest.mark.scenario("success")
def test_the_old_instance_exists_refuses_writes_and_is_in_terraform(story: Story) -> None:
    extra = story("success").extra
    assert extra["old_status"] == "available"
    assert extra["refusal"] is not None
    assert extra["old_instance"] in extra["in_terraform"]
    assert len(extra["in_terraform"]) == 2


@pytest.mark.scenario("success")
def test_a_second_start_is_refused_and_names_the_run_that_holds_the_lock(story: Story) -> None:
    facts: Facts = story("success")
    second = facts.extra["second"]
    assert (second.status, second.error) == ("FAILED", "LockHeld")
    assert facts.run_id in str(second.cause)


@pytest.mark.scenario("success")
def test_the_report_says_what_happened(story: Story) -> None:
    facts: Facts = story("success")
    assert facts.run_id in facts.extra["report"]
    assert facts.after in facts.extra["report"]


@pytest.mark.scenario("success")
def test_no_secret_is_written_anywhere(story: Story) -> None:
    # Given every password that Secrets Manager ever held, and everything that an operator can read
    facts: Facts = story("success")
    secrets, written = facts.extra["secrets"], facts.extra["written"]
    assert len(secrets) >= 4
    assert all(len(secret) >= 12 for secret in secrets)
    assert any(name.startswith("history of") and "RUN_ID" in text for name, text in written)
    assert any(name.endswith("terraform.tfstate") and "aws_db_instance" in text for name, text in written)
    assert any(name.startswith("log ") and text for name, text in written)
    # Then no secret is found in it
    found = {name for name, text in written for secret in secrets if secret in text}
    assert not found


@pytest.mark.scenario("success")
def test_no_secret_is_seen_in_the_process_list(story: Story) -> None:
    facts: Facts = story("success")
    processes = facts.extra["processes"]
    assert any("pg_dump" in line for line in processes)
    found = {line[:40] for line in processes for secret in facts.extra["secrets"] if secret in line}
    assert not found


@pytest.mark.scenario("success", "again")
def test_the_same_environment_migrates_again_with_an_empty_input(story: Story) -> None:
    first, second = story("success"), story("again")
    assert second.execution.status == "SUCCEEDED", second.execution
    assert second.before == first.after
    assert second.after not in (first.before, first.after)
    assert second.healthy
    assert second.reconciliation.agrees, second.reconciliation
    assert second.lock is None
