"""A plan in figures."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terraform_jobs.errors import LONGEST_CAUSE, failure_of, plain
from terraform_jobs.plan_summary import KINDS, count_changes, sentence, summarise
from terraform_jobs.terraform import readable

ACTIONS = [["no-op"], ["read"], *map(list, KINDS)]


def test_both_orders_of_a_replacement_count_as_replace(changes: Callable[..., dict[str, Any]]) -> None:
    summary = summarise(changes(a=["delete", "create"], b=["create", "delete"]), {})
    assert (summary["replace"], summary["create"], summary["delete"]) == (2, 0, 0)
    assert summary["addresses"] == {"replace": ["a", "b"]}


def test_reading_changes_nothing(changes: Callable[..., dict[str, Any]]) -> None:
    assert summarise(changes(a=["read"], b=["no-op"]), {})["addresses"] == {}


def test_changed_output_alone_is_a_change() -> None:
    summary = summarise({"output_changes": {"url": {"actions": ["update"]}}}, {})
    assert count_changes(summary, empty=False) == 1


def test_move_alone_is_a_change_though_no_resource_changes(
    changes: Callable[..., dict[str, Any]],
) -> None:
    assert count_changes(summarise(changes(a=["no-op"]), {}), empty=False) == 1


@given(st.lists(st.sampled_from(ACTIONS)))
def test_every_change_is_counted_exactly_once(actions: list[list[str]]) -> None:
    plan = {
        "resource_changes": [{"address": str(i), "change": {"actions": a}} for i, a in enumerate(actions)]
    }
    summary = summarise(plan, {"serial": 3})
    changing = [a for a in actions if tuple(a) in KINDS]
    assert sum(len(found) for found in summary["addresses"].values()) == len(changing)
    assert count_changes(summary, empty=False) == max(1, len(changing))
    assert count_changes(summary, empty=True) == 0


def test_sentence_names_what_happens(changes: Callable[..., dict[str, Any]]) -> None:
    summary = summarise(changes(a=["create"], b=["delete"]), {}) | {"changes": 2}
    assert sentence(summary) == "The plan: 1 to create, 1 to delete."


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("Error acquiring the state lock", "force-unlock"),
        ("api error AccessDenied: nope", "permission"),
        ("Error: Invalid value for variable", "tfvars"),
        ("Error: Instance cannot be destroyed", "prevent_destroy"),
        ("Cannot delete protected DB Instance, please disable deletion protection", "deletion_protection"),
        ("anything else", "log"),
    ],
)
def test_remedy_fits_what_terraform_says(words: str, remedy: str) -> None:
    assert remedy in failure_of("terraform plan", words).remedy


def test_warnings_are_left_out_of_the_cause() -> None:
    said = "╷\n│ Warning: old\n╵\n╷\n│ Error: broken\n│ \n│   on main.tf line 1\n╵\n"
    assert plain(said) == "Error: broken on main.tf line 1"


@given(st.text())
def test_cause_stays_short_whatever_terraform_says(said: str) -> None:
    assert len(failure_of("terraform plan", said).cause) <= LONGEST_CAUSE + 30


def test_words_of_a_plan_are_without_progress_and_without_what_to_type() -> None:
    said = (
        "data.aws_region.current: Reading...\ndata.aws_region.current: Read complete after 0s [id=r]\n"
        "module.a.aws_s3_bucket.b: Refreshing state... [id=b]\n\nTerraform will perform:\n"
        "  + name: Reading between the lines\n\n─────────────\n\nSaved the plan to: /tmp/x\n"
    )
    assert readable(said) == "Terraform will perform:\n  + name: Reading between the lines\n"
