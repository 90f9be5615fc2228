"""The report: what an on-call engineer reads first, and what never gets into it."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from know_me.failures import Failure
from know_me.generations import Generations
from know_me.reports import Facts, Report, compose, message, render
from know_me.run_folder import RunFolder
from know_me.timeline import Entry, entries, executions_of

from tests.unit.lambdas.conftest import NOW

GENERATIONS = Generations.model_validate(
    {
        "database": {"active": "green", "all": {"blue": {}, "green": {}}},
        "media": {"active": "green", "all": {"blue": {}, "green": {}}},
    }
)
TIMELINE = [
    Entry(machine="migrate", state="Take the lock", entered_at=NOW, left_at=NOW + timedelta(seconds=2)),
    Entry(machine="migrate", state="Copy <all>", entered_at=NOW + timedelta(seconds=2)),
]


def facts(**change: Any) -> Facts:
    base = {"run_id": "run-1", "environment": "staging", "runbook": "migrate", "outcome": "migrated"}
    return Facts.model_validate({**base, **change})


@pytest.fixture
def full(folder: RunFolder) -> RunFolder:
    """The folder of a run that did everything."""
    folder.write("request.json", {"candidate": "green", "media_candidate": "green", "media_source": "blue"})
    folder.write("stopped.json", {"stopped_at": NOW.isoformat()})
    folder.write("generations-before.json", {"database": {"active": "blue", "all": {"blue": {}}}})
    folder.write(
        "preflight.json",
        {
            "verdict": "passed",
            "findings": [
                {
                    "check": "slots",
                    "result": "warning",
                    "subject": "<b>s1</b>",
                    "message": "Look",
                    "remedy": "Drop it",
                }
            ],
        },
    )
    folder.write(
        "jobs/dump.json",
        {
            "job": "dump",
            "status": "succeeded",
            "seconds": 61.2,
            "figures": {"bytes": 5 * 1024**2, "tables": 3},
        },
    )
    folder.write(
        "verification.json",
        {
            "verdict": "equal",
            "differences": [],
            "tables": [{"name": "public.users", "rows": 7, "hash": "abc"}],
        },
    )
    folder.write("plan/summary.json", {"create": 1, "update": 2, "replace": 0, "delete": 0})
    return folder


def report_of(folder: RunFolder, timeline: list[Entry] | None = None, **change: Any) -> Report:
    return compose(
        facts(**change), folder, TIMELINE if timeline is None else timeline, GENERATIONS, "123456789012", NOW
    )


def test_a_migration_reports_its_downtime_and_what_is_left_to_do(full: RunFolder) -> None:
    report = report_of(full, passed_at=(NOW + timedelta(seconds=95)).isoformat())
    assert report.sentence == (
        "staging runs on the new database green and the new bucket green; nothing is missing there."
    )
    assert report.downtime_seconds == 95
    assert "The old database blue still exists" in report.to_do[0]
    assert [job["job"] for job in report.jobs] == ["dump"]


def test_the_page_is_self_contained_and_escapes_what_it_shows(full: RunFolder) -> None:
    page = render(report_of(full, passed_at=(NOW + timedelta(seconds=95)).isoformat()))
    tags: list[str] = []

    class Collect(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not {"src", "href", "onclick"} & {name for name, _ in attrs}

    Collect().feed(page)
    assert not {"script", "link", "img", "iframe"} & set(tags)
    for expected in (
        "1 min 35 s",
        "5.0 MiB",
        "public.users",
        "&lt;b&gt;s1&lt;/b&gt;",
        "Copy &lt;all&gt;",
        "abc",
    ):
        assert expected in page
    assert "<b>" not in page


def test_a_run_that_failed_early_has_a_report_too(folder: RunFolder) -> None:
    # Given a run that left nothing in its folder
    failure = Failure(error="LockHeld", cause="Another run works.")
    report = report_of(folder, timeline=[], runbook="provision", outcome="failed", failure=failure)
    # When it is rendered, then the page says what happened
    assert "Another run works." in render(report)


@pytest.mark.parametrize(
    ("way_back", "sentence"),
    [
        (
            {"touched": False},
            "The migration ended before anything was touched; staging runs on the database green and the "
            "bucket green as before.",
        ),
        (
            {"touched": True},
            "The migration failed; staging runs on the old database green and the old bucket green again.",
        ),
    ],
)
def test_a_return_says_whether_anything_was_touched(
    folder: RunFolder, way_back: dict[str, Any], sentence: str
) -> None:
    assert report_of(folder, runbook="return", outcome="returned", way_back=way_back).sentence == sentence


def test_a_return_after_the_cutover_warns_of_writes_that_are_only_on_the_candidate(folder: RunFolder) -> None:
    way_back = {"touched": True, "cutover_begun": True, "candidate": "green", "candidate_fate": "kept"}
    report = report_of(folder, runbook="return", outcome="returned", way_back=way_back)
    assert "what it wrote there is not on the old one" in report.warnings[0]
    assert "green exists" in report.to_do[0]


def test_a_return_that_failed_says_how_to_repeat_it(folder: RunFolder) -> None:
    failure = Failure(error="ResumeFailed", cause="No task starts.")
    report = report_of(folder, runbook="return", outcome="return_failed", failure=failure)
    assert '{"run_id": "run-1"}' in report.to_do[0]
    subject, text = message(report)
    assert subject == "Know Me staging: return failed"
    assert "ResumeFailed: No task starts." in text
    assert "runs/run-1/report.html" in text


def test_a_state_that_was_visited_often_is_one_entry_and_waiting_is_none() -> None:
    def entered(second: int, name: str, kind: str = "Task") -> dict[str, Any]:
        moment = NOW + timedelta(seconds=second)
        return {
            "type": f"{kind}StateEntered",
            "timestamp": moment,
            "stateEnteredEventDetails": {"name": name},
        }

    def left(second: int, name: str, kind: str = "Task") -> dict[str, Any]:
        moment = NOW + timedelta(seconds=second)
        return {"type": f"{kind}StateExited", "timestamp": moment, "stateExitedEventDetails": {"name": name}}

    events = [
        entered(0, "Look"),
        left(1, "Look"),
        entered(1, "Wait", "Wait"),
        left(4, "Wait", "Wait"),
        entered(4, "Look"),
        left(5, "Look"),
        entered(5, "Copy"),
    ]
    found = entries("migrate", events)
    assert [(entry.state, entry.visits, entry.seconds) for entry in found] == [
        ("Look", 2, 5.0),
        ("Copy", 1, None),
    ]


def test_the_executions_of_a_run_are_those_of_the_contract() -> None:
    assert executions_of("r", "provision") == [("provision", "r")]
    assert {name for _, name in executions_of("r", "migrate")} == {
        "r",
        "r-provision-candidate",
        "r-move-media-ahead",
        "r-move-database",
        "r-move-media",
        "r-provision-cutover",
        "r-return",
        "r-provision-return",
    }


# ------------------------------------------------------------------ provision


INSTANCE = 'module.database["blue"].aws_db_instance.this'


def judgement(**change: Any) -> dict[str, Any]:
    """Return `plan/guard.json` of a plan that changes the database in place."""
    return {
        "verdict": "allowed",
        "sentence": "The plan: 1 to update.",
        "counts": {"create": 0, "update": 1, "replace": 0, "delete": 0},
        "forgotten": [],
        "destructive": 0,
        "destructions": [],
        "refusals": [],
        "differences": [
            {"address": INSTANCE, "action": "update", "attributes": ["multi_az"], "outside": True}
        ],
        **change,
    }


def planned(folder: RunFolder, outcome: str, guard: dict[str, Any] | None, **change: Any) -> Report:
    summary = {"create": 0, "update": 1, "replace": 0, "delete": 0, "addresses": {"update": [INSTANCE]}}
    folder.write("plan/summary.json", summary)
    if guard:
        folder.write("plan/guard.json", guard)
    return report_of(folder, timeline=[], runbook="provision", outcome=outcome, **change)


PROVISION_OUTCOMES = [
    *("provisioned", "nothing_to_change", "planned", "drift_found", "destroyed"),
    *("refused", "rejected", "approval_timed_out", "failed"),
]


@pytest.mark.parametrize("outcome", PROVISION_OUTCOMES)
@pytest.mark.parametrize("judged", [True, False])
def test_every_end_of_a_provision_has_a_page_and_a_message(
    folder: RunFolder, outcome: str, judged: bool
) -> None:
    report = planned(folder, outcome, judgement() if judged else None)
    subject, text = message(report)
    assert outcome.replace("_", " ") in subject
    assert text.startswith(report.sentence)
    assert report.sentence in render(report)


def test_drift_names_what_differs_and_who_to_look_for(folder: RunFolder) -> None:
    report = planned(folder, "drift_found", judgement())
    _, text = message(report)
    assert f"- {INSTANCE} differs in multi_az, changed outside Terraform" in text
    assert "Find out who changed what" in text
    assert "differs in multi_az" in render(report)


FOREIGN = {
    "address": 'module.database["blue"].aws_security_group.this',
    "direction": "ingress",
    "rule": "tcp 5432 from 0.0.0.0/0",
    "remedy": "aws ec2 revoke-security-group-ingress --group-id sg-1 --ip-permissions '[{}]'",
}
EMPTY = {"verdict": "empty", "sentence": "The plan is empty: nothing would change.", "differences": []}


def test_drift_names_each_rule_that_somebody_added_with_the_command_that_takes_it_back(
    folder: RunFolder,
) -> None:
    # Given that nothing else differs
    out = {**FOREIGN, "direction": "egress", "rule": "all traffic to ::/0", "remedy": "aws <out>"}
    report = planned(folder, "drift_found", judgement(**EMPTY, foreign_rules=[FOREIGN, out]))
    # Then message and page name both
    _, text = message(report)
    assert f"- {FOREIGN['address']} lets in {FOREIGN['rule']}. Take it back: {FOREIGN['remedy']}" in text
    assert "lets out all traffic to ::/0. Take it back: aws <out>" in text
    page = render(report)
    assert FOREIGN["rule"] in page and "--group-id sg-1" in page and "aws &lt;out&gt;" in page
    # And nobody is told to start provision, which would take back neither
    (to_do,) = report.to_do
    assert "who added the rules" in to_do and "`import` block" in to_do


def test_what_an_apply_stumbles_over_is_to_be_taken_back_before_it(folder: RunFolder) -> None:
    # Given a rule of Terraform's that somebody deleted and made again
    difference = {"address": "rule.client", "action": "create", "attributes": [], "outside": True}
    again = {**FOREIGN, "in_place_of": "rule.client"}
    report = planned(folder, "drift_found", judgement(differences=[difference], foreign_rules=[again]))
    # Then one line says that it is gone, and the other what is there instead
    _, text = message(report)
    assert "- rule.client was deleted" in text
    assert "It is in the place of rule.client" in text and "start provision right after: aws ec2" in text
    assert ["Take each of them back" in item for item in report.to_do] == [True, False]
    assert "in the place of rule.client" in render(report)


@pytest.mark.parametrize("outcome", [each for each in PROVISION_OUTCOMES if each != "destroyed"])
def test_every_provision_warns_of_rules_that_it_neither_made_nor_takes_back(
    folder: RunFolder, outcome: str
) -> None:
    report = planned(folder, outcome, judgement(foreign_rules=[FOREIGN]))
    assert FOREIGN["remedy"] in message(report)[1]
    assert FOREIGN["rule"] in render(report)
    # And no run does so without any
    report = planned(folder, outcome, judgement())
    assert "security groups" not in message(report)[1] + render(report)


def test_a_destruction_took_the_rules_with_their_groups(folder: RunFolder) -> None:
    report = planned(folder, "destroyed", judgement(foreign_rules=[FOREIGN]))
    assert FOREIGN["rule"] not in message(report)[1] + render(report)


def test_a_message_names_twenty_rules_and_counts_the_rest(folder: RunFolder) -> None:
    many = [{**FOREIGN, "rule": f"tcp {port} from 0.0.0.0/0"} for port in range(25)]
    report = planned(folder, "drift_found", judgement(**EMPTY, foreign_rules=many))
    _, text = message(report)
    assert text.count(FOREIGN["remedy"]) == 20
    assert "- and 5 more rules" in text
    assert "tcp 24 from" in render(report)


def test_a_refusal_is_shown_with_attributes_and_the_way_that_is_open(folder: RunFolder) -> None:
    refusal = {
        "address": INSTANCE,
        "action": "replace",
        "reason": "the database holds data, and <kms_key_id> cannot change in place",
        "attributes": ["kms_key_id"],
        "remedy": "Use migrate.",
    }
    report = planned(
        folder,
        "refused",
        judgement(verdict="refused", refusals=[refusal]),
        failure=Failure(error="PlanRefused", cause="The plan is refused."),
    )
    page = render(report)
    assert "Use migrate." in page and "&lt;kms_key_id&gt;" in page and "<kms_key_id>" not in page
    assert "PlanRefused: The plan is refused." in message(report)[1]


def test_a_plan_says_what_an_apply_would_delete_and_what_would_be_refused(folder: RunFolder) -> None:
    gone = {"address": "aws_lb.a", "action": "delete", "reason": "the resource aws_lb.a is deleted: no block"}
    report = planned(folder, "planned", judgement(destructive=1, destructions=[gone]))
    assert f"- {gone['reason']}" in message(report)[1]
    assert "aws_lb.a" in render(report)


def test_who_approved_is_in_the_report_from_the_state_machine_or_from_the_folder(folder: RunFolder) -> None:
    approval = {"decision": "approve", "by": "<ada>", "at": NOW.isoformat(), "comment": "Fine"}
    told = planned(folder, "provisioned", judgement(), approval=approval)
    folder.write("approval.json", approval)
    found = planned(folder, "provisioned", judgement())
    assert told.plan == found.plan
    assert "Approved by <ada>: Fine" in message(told)[1]
    assert "&lt;ada&gt;" in render(found)


def test_after_a_destruction_what_is_kept_is_named(folder: RunFolder) -> None:
    report = planned(folder, "destroyed", judgement())
    text = message(report)[1]
    for kept in ("snapshots", "artifacts and state buckets", "/know-me/staging/generations", "cdk destroy"):
        assert kept in text
