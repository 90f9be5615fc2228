"""Approval of plans: links that cannot be forged, and one decision that stands."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from know_me.approvals import (
    ApprovalRequest,
    Change,
    Decision,
    Topics,
    Waiting,
    attribute,
    changes_of,
    command_line,
    course,
    expiry,
    figures,
    in_words,
    link,
    message,
    parse_form,
    parse_link,
    signature,
)
from know_me.errors import InvalidRequest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EXPIRES = int(NOW.timestamp()) + 3600

run_ids = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True)
expiries = st.integers(min_value=1, max_value=10**12 - 1)
texts = st.text(min_size=1, max_size=60)


def waiting(**change: Any) -> Waiting:
    return Waiting.model_validate(
        {
            "run_id": "run-1",
            "task_token": "token",
            "execution_arn": "arn:execution",
            "expires_at": EXPIRES,
            "nonce": "nonce",
            **change,
        }
    )


def resource(address: str, *actions: str, paths: list[list[str | int]] | None = None) -> dict[str, Any]:
    change: dict[str, Any] = {"actions": list(actions)}
    return {"address": address, "change": change | ({"replace_paths": paths} if paths else {})}


# ------------------------------------------------------------------ what is shown


def test_what_destroys_comes_first_with_the_attributes_that_force_it() -> None:
    plan = {
        "resource_changes": [
            resource("c", "create"),
            resource("b", "update"),
            resource("z", "delete", "create", paths=[["identifier"], ["storage", 0, "size"], ["identifier"]]),
            resource("y", "delete"),
            resource("x", "no-op"),
            resource("w", "read"),
            resource("v", "create", "delete"),
            resource("u", "forget"),
        ]
    }
    assert changes_of(plan) == [
        Change(address="y", action="delete", destroys="it is deleted"),
        Change(address="v", action="replace", destroys="it is deleted and made anew"),
        Change(
            address="z",
            action="replace",
            forced_by=["identifier", "storage[0].size"],
            destroys="it is deleted and made anew",
        ),
        Change(address="b", action="update"),
        Change(address="c", action="create"),
        Change(address="u", action="forget"),
    ]


def test_what_the_guard_calls_destructive_comes_first_with_its_reason() -> None:
    plan = {"resource_changes": [resource("a", "create"), resource("b", "update"), resource("c", "update")]}
    judgement = {"destructions": [{"address": "c", "action": "update", "reason": "its protection ends"}]}
    changes = changes_of(plan, judgement)
    assert [(change.address, change.destroys) for change in changes] == [
        ("c", "its protection ends"),
        ("b", None),
        ("a", None),
    ]
    assert in_words(changes[0]) == "update   c (its protection ends)"


def test_a_plan_without_resources_changes_none() -> None:
    assert changes_of({}) == []
    assert figures({"create": 0, "delete": 0}) == "no resource changes, but outputs or addresses do"


def test_figures_name_what_destroys_first() -> None:
    assert figures({"create": 1204, "update": 0, "replace": 2, "delete": 1}) == (
        "1 to delete, 2 to replace, 1,204 to create"
    )


def test_a_path_is_written_as_terraform_does() -> None:
    assert attribute(["ordered_cache_behavior", 0, "headers", 1]) == "ordered_cache_behavior[0].headers[1]"


# ------------------------------------------------------------------ links


@given(key=texts, run_id=run_ids, expires=expiries, nonce=texts)
def test_what_a_link_says_comes_back_and_is_signed(key: str, run_id: str, expires: int, nonce: str) -> None:
    address = urlsplit(link("https://page.example/", key, run_id, expires, nonce))
    parsed = parse_link(address.query)
    assert (address.netloc, address.path) == ("page.example", "/")
    assert (parsed.run_id, int(parsed.expires)) == (run_id, expires)
    assert parsed.signature == signature(key, run_id, expires, nonce)
    assert parsed.query == address.query


@given(key=texts, run_id=run_ids, expires=expiries, nonce=texts, data=st.data())
def test_no_other_link_has_the_same_signature(
    key: str, run_id: str, expires: int, nonce: str, data: st.DataObject
) -> None:
    # Given what a link says, and something else in one or more places
    other = (data.draw(texts), data.draw(run_ids), data.draw(expiries), data.draw(texts))
    assume(other != (key, run_id, expires, nonce))
    # Then the signatures differ
    assert signature(*other) != signature(key, run_id, expires, nonce)


def test_parts_of_a_message_cannot_move_into_each_other() -> None:
    assert signature("key", "run-1", 12, "3") != signature("key", "run-1", 1, "23")


@given(st.text(max_size=200))
def test_any_query_is_a_link_or_refused_in_words(query: str) -> None:
    try:
        parsed = parse_link(query)
    except InvalidRequest as refused:
        assert str(refused).startswith("The request is refused: ")
    else:
        assert dict(parse_qsl(query)) == parsed.model_dump()


def test_a_broken_link_is_told_every_fault() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_link("run_id=a%20b&run_id=c&signature=XYZ&extra=1")
    for fault in (
        "run_id: it is there twice",
        "expires: field required",
        "signature: ",
        "extra: unknown field",
    ):
        assert fault in str(refused.value)


@pytest.mark.parametrize("seconds", [60, 100, 300, 86400])
def test_a_link_ends_before_the_run_stops_waiting(seconds: int) -> None:
    left = expiry(NOW, seconds) - NOW.timestamp()
    assert 0.9 * seconds <= left < seconds and seconds - left <= 30


# ------------------------------------------------------------------ decisions


def test_a_form_is_a_decision_a_name_and_a_comment() -> None:
    answer = parse_form(urlencode({"decision": "approve", "by": "  Ada L. ", "comment": "one\r\ntwo\r\n"}))
    assert (answer.decision, answer.by, answer.comment) == ("approve", "Ada L.", "one\ntwo")


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ("", ["decision: field required", "by: field required"]),
        ("decision=maybe&by=+&comment=" + "x" * 1001, ["decision: ", "by: ", "comment: "]),
        ("decision=approve&by=a%00b", ["by: one line without control characters"]),
        ("decision=approve&by=a%0Ab", ["by: one line without control characters"]),
        ("decision=approve&by=a&comment=%1b", ["comment: text without control characters"]),
        ("decision=approve&by=" + "a" * 101, ["by: "]),
        ("decision=approve&decision=reject&by=a", ["decision: it is there twice"]),
        ("decision=approve&by=a&run_id=other", ["run_id: unknown field"]),
        ("decision=approve&by=%ff", ["it is not text"]),
        ("&".join(f"f{number}=1" for number in range(11)), ["at most 10 fields"]),
    ],
)
def test_a_broken_form_is_told_every_fault(body: str, faults: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_form(body)
    for fault in faults:
        assert fault in str(refused.value)


@given(
    decision=st.sampled_from(["approve", "reject"]),
    stands=st.sampled_from([None, "approve", "reject"]),
    delivered=st.booleans(),
    seconds=st.integers(-7200, 7200),
)
def test_one_decision_stands_and_only_the_first_in_time(
    decision: Decision, stands: Decision | None, delivered: bool, seconds: int
) -> None:
    # Given a request, decided or not, told to the run or not, and a moment before or after its end
    item = waiting(decision=stands, delivered_at="then" if stands and delivered else None)
    now = NOW + timedelta(seconds=3600 + seconds)
    # When somebody decides
    way = course(item, decision, now)
    # Then a decision that stands is never changed
    if stands is not None:
        assert way in ("resend", "confirm") if stands == decision else way == "decided_otherwise"
        assert (way == "confirm") == (stands == decision and delivered)
    # And the first one is taken in time only
    else:
        assert way == ("decide" if seconds < 0 else "expired")


# ------------------------------------------------------------------ the message


def request(number: int, destructive: int = 0) -> ApprovalRequest:
    return ApprovalRequest(
        run_id="run-1",
        environment="staging",
        execution_arn="arn:execution",
        requested_at=NOW,
        expires_at=NOW + timedelta(days=1),
        counts={"create": number},
        destructive=destructive,
        changes=[Change(address=f"a{each}", action="replace", forced_by=["name"]) for each in range(number)],
    )


def test_the_message_has_what_changes_the_link_and_the_command_on_lines_of_their_own() -> None:
    topics = Topics(link="https://page/?a=b", command="printf …", plan="s3://bucket/plan.txt")
    subject, text = message(request(23, destructive=2), topics)
    assert subject == "Know Me staging: a destructive plan waits for approval (run-1)"
    lines = text.splitlines()
    assert topics.link in lines and topics.command in lines
    assert "replace  a0 (forced by name)" in lines and "and 3 more" in lines
    assert "Destructive: 2 of these changes. They come first:" in lines
    assert "before 2026-03-02 12:00 UTC" in text and "arn:execution" in text and topics.plan in text


def test_a_subject_has_the_characters_that_sns_takes() -> None:
    long = request(1).model_copy(update={"run_id": "r" * 80})
    subject, _ = message(long, Topics(link="l", command="c", plan="p"))
    assert len(subject) <= 100 and subject.isascii() and "\n" not in subject


def test_the_command_passes_the_shells_user_and_needs_no_quoting() -> None:
    assert command_line("know-me-staging-decide-approval", "eu-west-1", "run-1") == (
        """printf '{"run_id": "%s", "decision": "approve", "by": "%s", "comment": ""}' 'run-1' "$(id -un)" """
        "| aws lambda invoke --region eu-west-1 --function-name know-me-staging-decide-approval "
        "--payload fileb:///dev/stdin /dev/stdout"
    )
