"""Inputs are checked as a whole, and values are never repeated."""

import json
from typing import Any

import pytest
from database_jobs.command_line import parse_inputs, parser
from hypothesis import given
from hypothesis import strategies as st

DATABASE: dict[str, Any] = {
    "generation": "blue",
    "instance_id": "know-me-staging-blue",
    "endpoint": "blue.example.com",
    "port": 5432,
    "database_name": "know_me",
    "engine_version": "17.4",
    "master_secret_arn": "arn:aws:secretsmanager:eu-central-1:1:secret:master",
    "application_secret_arn": "arn:aws:secretsmanager:eu-central-1:1:secret:application",
    "application_secret_label": "blue",
    "application_role": "know_me",
    "subnet_ids": [],
}


def options(job: str = "dump", **changes: str) -> Any:
    values = {
        "run-id": "run-1",
        "run-folder": "s3://know-me-staging-artifacts-123456789012/runs/run-1",
        "certificate-bundle-url": "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
        "source": json.dumps(DATABASE),
        "candidate": "{}",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return parser().parse_args([job, *(f"--{name}={value}" for name, value in values.items())])


def test_manifest_entry_is_accepted_with_fields_of_no_use_here() -> None:
    inputs = parse_inputs(options())
    assert inputs.source is not None and inputs.source.port == 5432
    assert inputs.candidate is None and inputs.grace_seconds == 60


def test_empty_grace_seconds_of_a_build_means_the_default() -> None:
    assert parse_inputs(options(grace_seconds="")).grace_seconds == 60


def test_no_grace_is_not_the_default() -> None:
    assert parse_inputs(options(grace_seconds="0")).grace_seconds == 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"run_id": "a b"}, "run_id"),
        ({"run_folder": "/tmp/x"}, "run_folder"),
        ({"certificate_bundle_url": "ftp://x"}, "certificate_bundle_url"),
        ({"grace_seconds": "-1"}, "grace_seconds"),
        ({"grace_seconds": "3601"}, "grace_seconds"),
        ({"source": "{"}, "source: not JSON"),
        ({"source": "[1]"}, "source"),
        ({"source": "{}"}, "needs this database"),
        ({"workers": "0"}, "workers"),
    ],
)
def test_wrong_option_is_named(changes: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=r"The options are wrong") as refusal:
        parse_inputs(options(**changes))
    assert word in str(refusal.value)


@given(
    st.dictionaries(
        st.sampled_from([*DATABASE, "other"]), st.none() | st.integers() | st.text() | st.booleans()
    )
)
def test_any_database_is_accepted_whole_or_refused_with_its_faults(changes: dict[str, Any]) -> None:
    # Given a manifest's entry with anything in it
    document = DATABASE | changes
    try:
        # When it is parsed, then what is accepted is what was given
        inputs = parse_inputs(options(source=json.dumps(document)))
    except ValueError as refusal:
        assert "The options are wrong: source" in str(refusal)
    else:
        assert inputs.source is not None
        assert inputs.source.endpoint == document["endpoint"] != ""
        assert 1 <= inputs.source.port <= 65535
