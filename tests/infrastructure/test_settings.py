"""The context of the CDK app: defaults, and every fault in one message."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.settings import SettingsError, parse_settings


def test_without_context_the_environment_is_staging() -> None:
    settings = parse_settings({})
    assert (settings.environment, settings.python_runtime, settings.architecture) == (
        "staging",
        "3.13",
        "x86_64",
    )


def test_contexts_of_cdk_itself_are_none_of_ours() -> None:
    context = {"@aws-cdk/core:something": True, "aws:cdk:enable-path-metadata": True, "cli-telemetry": False}
    assert parse_settings(context).environment == "staging"


def test_objects_may_come_as_json_from_the_command_line() -> None:
    settings = parse_settings({"terraform_variables": '{"api_maximum_tasks": 4}', "log_retention_days": "30"})
    assert settings.terraform_variables == {"api_maximum_tasks": 4}
    assert settings.log_retention_days == 30


def test_bad_context_lists_every_fault() -> None:
    # Given a fault in every setting, and a misspelt one
    context = {
        "environment": "Production!",
        "python_runtime": "2.7",
        "architecture": "sparc",
        "terraform_variables": {"environment": "x", "generations": {}, "Bad-Name": 1},
        "terraform_backend": "[1]",
        "log_retention_days": 8,
        "single_copy_limit_bytes": 5 * 1024**3 + 1,
        "approval": "sometimes",
        "approval_timeout_seconds": 59,
        "drift_schedule": "every morning",
        "enviroment": "production",
    }
    # When it is parsed, then one message names them all
    with pytest.raises(SettingsError) as refused:
        parse_settings(context)
    message = str(refused.value)
    for name in context:
        assert re.search(rf"^  {name}: ", message, re.MULTILINE), name
    for word in (
        "environment is set by the stack",
        "generations is set by the runbooks",
        "Bad-Name is not a name",
    ):
        assert word in message


def test_objects_are_copied_in_one_request_as_far_as_s3_can() -> None:
    assert parse_settings({}).single_copy_limit_bytes == 5368709120
    assert parse_settings({"single_copy_limit_bytes": "8388608"}).single_copy_limit_bytes == 8388608


@pytest.mark.parametrize(
    ("context", "mode"),
    [
        ({}, "destructive"),
        ({"environment": "production"}, "changes"),
        ({"environment": "production", "approval": "never"}, "never"),
        ({"approval": "always"}, "always"),
    ],
)
def test_production_is_asked_about_every_change_unless_it_is_set(context: dict[str, str], mode: str) -> None:
    assert parse_settings(context).approval_mode == mode


def test_a_run_waits_a_day_for_approval_and_drift_is_looked_for_daily() -> None:
    settings = parse_settings({})
    assert (settings.approval_timeout_seconds, settings.drift_schedule) == (86400, "cron(0 5 * * ? *)")


@pytest.mark.parametrize(
    "expression",
    ["", "rate(1 hour)", "rate(12 hours)", "cron(0/15 8-18 ? * MON-FRI *)", "cron(0 5 L * ? 2026,2027)"],
)
def test_schedules_of_eventbridge_are_taken(expression: str) -> None:
    assert parse_settings({"drift_schedule": expression}).drift_schedule == expression


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 hours)",
        "rate(5 hour)",
        "rate(0 days)",
        "cron(0 5 * * *)",
        "cron(0 5 * * * *)",
        "0 5 * * ? *",
        " ",
    ],
)
def test_what_eventbridge_would_refuse_is_refused(expression: str) -> None:
    with pytest.raises(SettingsError, match="drift_schedule: must"):
        parse_settings({"drift_schedule": expression})


def test_broken_json_is_said_to_be_broken() -> None:
    with pytest.raises(SettingsError, match="terraform_variables: must be a JSON object"):
        parse_settings({"terraform_variables": "{oops"})


@given(st.text(max_size=20))
def test_only_names_of_the_contracts_are_environments(name: str) -> None:
    allowed = bool(re.fullmatch(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", name)) and "--" not in name
    try:
        assert parse_settings({"environment": name}).environment == name
        accepted = True
    except SettingsError:
        accepted = False
    assert accepted == allowed
