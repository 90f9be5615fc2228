"""What `make policies` calls a fault; the tools themselves run in `make policies`."""

from pathlib import Path

import pytest

from tests.policies import stack, terraform
from tests.policies.findings import Acceptance, Examination, Finding
from tests.policies.terraform import Block, Skip

REASON = "Nothing but the balancer reaches it here"


def examination(*, open_: tuple[Finding, ...] = (), accepted: tuple[Acceptance, ...] = ()) -> Examination:
    return Examination("a tool", "3 passed", open_, accepted)


def test_what_is_open_is_a_fault_with_its_remedy() -> None:
    found = Finding("main.tf:3", "RULE_1", "this: must be so", "Fix it")
    assert examination(open_=(found, found)).faults == ["main.tf:3: RULE_1: this: must be so\n    Fix it"]


def test_what_is_accepted_for_a_reason_is_no_fault_and_is_counted() -> None:
    accepted = tuple(Acceptance(f"main.tf:{line}", "RULE_1", REASON, needed=True) for line in (3, 9))
    examined = examination(accepted=accepted)
    assert examined.faults == []
    assert examined.summary == "a tool: 3 passed, 0 open, 2 accepted for 1 written reasons"


@pytest.mark.parametrize("reason", ["", "not needed", "we do not do this"])
def test_a_reason_that_explains_nothing_is_a_fault(reason: str) -> None:
    [fault] = examination(accepted=(Acceptance("main.tf:3", "RULE_1", reason, needed=True),)).faults
    assert "explains nothing" in fault


def test_an_acceptance_that_accepts_nothing_any_more_is_a_fault() -> None:
    [fault] = examination(accepted=(Acceptance("main.tf:3", "RULE_1", REASON, needed=False),)).faults
    assert "nothing is found there any more" in fault


# ------------------------------------------------------------------ terraform/


def test_skips_are_read_wherever_they_stand_but_not_in_tests(tmp_path: Path) -> None:
    # Given skips in the root, in a module, outside of a block, without a reason, and in a test
    for name, text in {
        "main.tf": 'resource "a" "b" {\n  #checkov:skip=CKV_AWS_1:because: it is so\n}\n',
        "modules/x/main.tf": "# checkov:skip=CKV2_AWS_2\n",
        "tests/environment/main.tf": "#checkov:skip=CKV_AWS_3:not looked at\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    # When they are read, then each has its place and all of its reason
    assert terraform.skips(tmp_path) == [
        Skip("main.tf", 2, "CKV_AWS_1", "because: it is so"),
        Skip("modules/x/main.tf", 1, "CKV2_AWS_2", ""),
    ]


@pytest.mark.parametrize(
    ("skip", "needed"),
    [
        (Skip("main.tf", 12, "CKV_AWS_1", REASON), True),
        (Skip("main.tf", 21, "CKV_AWS_1", REASON), False),  # outside of the block
        (Skip("main.tf", 12, "CKV_AWS_2", REASON), False),  # another rule
        (Skip("other.tf", 12, "CKV_AWS_1", REASON), False),
    ],
)
def test_a_skip_is_needed_when_its_block_fails_without_it(skip: Skip, needed: bool) -> None:
    found = [Block("main.tf", 10, 20, "module.x.aws_lb.this", "CKV_AWS_1", "must be so")]
    assert [acceptance.needed for acceptance in terraform.acceptances([skip], found)] == [needed]


def test_without_skips_the_copy_keeps_every_line(tmp_path: Path) -> None:
    terraform.copy(tmp_path / "written", keep_skips=True, connected=True)
    terraform.copy(tmp_path / "bare", keep_skips=False, connected=False)
    assert terraform.skips(tmp_path / "written") == terraform.skips(terraform.SOURCE)
    assert terraform.skips(tmp_path / "bare") == []
    for file in (tmp_path / "bare").rglob("*.tf"):
        written = tmp_path / "written" / file.relative_to(tmp_path / "bare")
        assert len(file.read_text().splitlines()) == len(written.read_text().splitlines())


@pytest.mark.parametrize(
    ("written", "apart"),
    [
        ("x = module.api.url", 'x = "known"'),
        ("x = module.media[var.generations.media.active].bucket", 'x = "known"'),
        ('x = module.database["blue"].manifest.port', 'x = "known"'),
        ("x = one(module.web[*].names[0])", 'x = one("known")'),
        (
            "x = { for name, one in module.database : name => one.arn }",
            'x = { for name, one in "known" : name => one.arn }',
        ),
        ('x = "${module.a.b}/*"', 'x = "${"known"}/*"'),
        ('module "api" {', 'module "api" {'),
        ('source = "./modules/api"', 'source = "./modules/api"'),
        ("x = var.module.y", "x = var.module.y"),
    ],
)
def test_apart_a_module_gets_something_known_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, apart: str
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "main.tf").write_text(written)
    monkeypatch.setattr(terraform, "SOURCE", tmp_path / "source")
    terraform.copy(tmp_path / "apart", keep_skips=True, connected=False)
    assert (tmp_path / "apart" / "main.tf").read_text() == apart


# ------------------------------------------------------------------ the stack


def test_an_acknowledgement_is_needed_when_something_is_found_at_or_below_it() -> None:
    # Given acknowledgements of two constructs, one of which has a name that begins like the other's
    metadata = {
        path: [
            {"type": "aws:cdk:logicalId", "data": "Role"},
            {
                "type": "aws:cdk:acknowledged-rules",
                "data": {"Annotation::AwsSolutions-IAM5[Resource::arn:*]": REASON},
            },
        ]
        for path in ("/know-me-staging/Step", "/know-me-staging/Step/Role", "/know-me-staging/St")
    }
    # When the rule fails below the first one
    found = [("know-me-staging/Step/Role/Resource", "AwsSolutions-IAM5[Resource::arn:*]")]
    # Then the other one is not needed
    assert {each.place: each.needed for each in stack.acceptances(metadata, found)} == {
        "know-me-staging/Step": True,
        "know-me-staging/Step/Role": True,
        "know-me-staging/St": False,
    }


def test_findings_of_all_rules_are_read_with_their_constructs() -> None:
    report = {
        "pluginReports": [
            {
                "violations": [
                    {
                        "ruleName": "AwsSolutions-S1",
                        "description": "no access logs",
                        "violatingConstructs": [{"constructPath": "stack/A"}, {"constructPath": "stack/B"}],
                    }
                ]
            },
            {"violations": []},
        ]
    }
    assert stack.violations(report) == [
        ("stack/A", "AwsSolutions-S1", "no access logs"),
        ("stack/B", "AwsSolutions-S1", "no access logs"),
    ]
