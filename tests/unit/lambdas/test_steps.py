"""The steps as Lambda calls them: an event in, plain JSON out, an error whose name Step Functions shows."""

import importlib
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import (
    BUCKET,
    MEDIA_BUCKET_PARAMETER,
    bucket,
    execution,
    get_parameter,
    manifest_document,
    put_parameter,
)

LAMBDAS = Path(__file__).resolve().parents[3] / "lambdas"
STEPS = sorted(path.stem for path in LAMBDAS.glob("*.py"))
CONTEXT = SimpleNamespace(aws_request_id="request-1")
FIRST = {
    "database": {"active": "blue", "all": {"blue": {}}},
    "media": {"active": "blue", "all": {"blue": {"unfinished": False}}},
}


def call(step: str, **event: Any) -> Any:
    result = importlib.import_module(step).lambda_handler(event, CONTEXT)
    assert json.loads(json.dumps(result)) == result  # Lambda can return it
    return result


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_handler_of_event_and_context_and_is_in_the_table(step: str) -> None:
    handler = importlib.import_module(step).lambda_handler
    assert callable(handler)
    assert inspect.getdoc(importlib.import_module(step))
    assert f"| `{step}` |" in (LAMBDAS / "README.md").read_text()


@pytest.fixture
def environment(aws: None) -> None:
    put_parameter("generations", FIRST)
    put_parameter("manifest", manifest_document())


def test_a_new_environment_gets_its_generations_and_provision_its_own_lock(aws: None) -> None:
    answer = call("validate_provision", run_id="p1", request={})
    assert (answer["holder"], answer["own_lock"], answer["action"]) == ("p1", True, "apply")
    assert get_parameter("generations")["database"]["active"] == "blue"


def test_provision_for_another_run_works_under_its_lock(environment: None) -> None:
    answer = call("validate_provision", run_id="p1", request={"acting_for": "run-1"})
    assert (answer["holder"], answer["own_lock"], answer["acting_for"]) == ("run-1", False, "run-1")


def test_provision_takes_its_source_from_the_bundle_that_was_applied_last(environment: None) -> None:
    # Given
    put_parameter("bundle", {"key": "bundles/a.zip", "version_id": "v1"})
    # When
    answer = call("validate_provision", run_id="p1", request={})
    # Then the bundle is not this run's own, which it would have to remember
    assert answer["source_location"] == {"location": f"{BUCKET}/bundles/a.zip", "version_id": "v1"}
    assert answer["bundle"] is None
    folder = RunFolder(boto3.client("s3"), BUCKET, "p1")
    assert folder.read("request.json") == answer


@pytest.mark.parametrize("value", ["text", {"key": "elsewhere/a.zip", "version_id": "v"}])
def test_a_remembered_bundle_that_cannot_be_read_stops_the_run(environment: None, value: Any) -> None:
    put_parameter("bundle", value)
    with pytest.raises(Exception, match="/know-me/staging/bundle cannot be read") as refused:
        call("validate_provision", run_id="p1", request={})
    assert type(refused.value).__name__ == "InvalidRequest"


PLAN = {
    "applyable": True,
    "variables": {"generations": {"value": FIRST}},
    "resource_changes": [
        {
            "address": 'module.database["blue"].aws_db_instance.this',
            "mode": "managed",
            "type": "aws_db_instance",
            "change": {
                "actions": ["delete", "create"],
                "before": {},
                "after": {},
                "replace_paths": [["kms_key_id"]],
            },
        }
    ],
}


def test_a_plan_is_judged_from_the_run_folder_and_the_judgement_kept_there(environment: None) -> None:
    folder = RunFolder(boto3.client("s3"), BUCKET, "p1")
    folder.write("plan/plan.json", PLAN)
    # When
    answer = call("judge_plan", run_id="p1", action="apply", approval_mode="never", acting_for=None)
    # Then
    assert (answer["verdict"], answer["destructive"]) == ("refused", 1)
    assert answer["counts"] == {"create": 0, "update": 0, "replace": 1, "delete": 0}
    assert [refusal["attributes"] for refusal in answer["refusals"]] == [["kms_key_id"]]
    assert folder.read("plan/guard.json")["refusals"] == answer["refusals"]


def test_of_rules_that_terraform_does_not_know_the_state_machine_learns_the_number(
    environment: None,
) -> None:
    # Given the plan of an environment whose groups somebody opened
    plans = Path(__file__).parent / "plans"
    folder = RunFolder(boto3.client("s3"), BUCKET, "p1")
    folder.write("plan/plan.json", json.loads((plans / "rules-added.json").read_text()))
    # When
    answer = call("judge_plan", run_id="p1", action="plan", approval_mode="never")
    # Then they themselves are in the file
    kept = folder.read("plan/guard.json")["foreign_rules"]
    assert answer["foreign_rules"] == len(kept) == 6
    assert all(rule["remedy"].startswith("aws ec2 revoke-security-group-") for rule in kept)


def test_a_run_without_a_plan_cannot_be_judged(environment: None) -> None:
    with pytest.raises(Exception, match=r"plan/plan\.json does not exist") as failed:
        call("judge_plan", run_id="p1", action="apply", approval_mode="never")
    assert type(failed.value).__name__ == "ProvisionFailed"


@pytest.mark.parametrize(
    "document",
    ["text", {"database": {}}, {"database": {"generations": {"blue": {}}}, "media": None}],
)
def test_a_manifest_that_names_no_generations_lets_nothing_go(environment: None, document: Any) -> None:
    # Given a manifest from which nobody can tell what was used, when a plan is judged
    put_parameter("manifest", document)
    RunFolder(boto3.client("s3"), BUCKET, "p1").write("plan/plan.json", PLAN)
    with pytest.raises(Exception, match="does not say which generations") as failed:
        call("judge_plan", run_id="p1", action="apply", approval_mode="never")
    assert type(failed.value).__name__ == "ManifestMissing"


def test_errors_keep_the_name_and_the_sentence_that_step_functions_shows(aws: None) -> None:
    # Given an environment without a manifest, when a migration is asked for
    with pytest.raises(Exception) as refused:
        call("validate_migration", run_id="run-1", request={})
    # Then the class is the error's name, and the message says the remedy
    assert type(refused.value).__name__ == "ManifestMissing"
    assert "know-me-staging-provision" in str(refused.value)


def test_a_manifest_that_cannot_be_read_is_named_with_its_faults(environment: None) -> None:
    put_parameter("manifest", {**manifest_document(), "version": 2, "colour": "red"})
    with pytest.raises(Exception, match=r"version: .*colour: unknown field") as refused:
        call("validate_migration", run_id="run-1", request={})
    assert type(refused.value).__name__ == "ManifestMissing"


def test_the_request_is_kept_and_the_lock_taken_and_released(environment: None, folder: RunFolder) -> None:
    migration = call("validate_migration", run_id="run-1", request={})
    assert migration["candidate"] == "green"
    assert folder.read("request.json")["candidate"] == "green"
    arn = execution("migrate", "run-1")
    assert call("take_lock", run_id="run-1", execution_arn=arn, purpose="migrate", holder="run-1") == {
        "taken": True
    }
    child = execution("provision", "run-1-provision-candidate")
    assert call("take_lock", run_id="c", execution_arn=child, purpose="provision", holder="run-1") == {
        "taken": False
    }
    assert call("release_lock", run_id="run-1") == {"released": True}


def test_the_candidate_is_added_once_and_what_was_before_is_kept(
    environment: None, folder: RunFolder
) -> None:
    migration = call("validate_migration", run_id="run-1", request={"engine_version": "18"})
    # When the step is repeated
    for _ in range(2):
        call("add_generation", run_id="run-1", migration=migration)
    # Then the record is that of the first time
    assert set(folder.read("generations-before.json")["database"]["all"]) == {"blue"}
    assert get_parameter("generations")["database"]["all"]["green"]["engine_version"] == "18"


def test_a_migration_planned_from_what_is_no_longer_true_adds_nothing(environment: None) -> None:
    # Given a request that was checked before another run switched
    migration = call("validate_migration", run_id="run-1", request={})
    switched = {**FIRST, "database": {"active": "teal", "all": {"blue": {}, "teal": {}}}}
    put_parameter("generations", switched)
    # When its candidate is added, then it is refused
    with pytest.raises(Exception, match="blue or blue is no longer active"):
        call("add_generation", run_id="run-1", migration=migration)
    assert get_parameter("generations") == switched


def test_an_unfinished_bucket_is_added_with_the_database(environment: None, folder: RunFolder) -> None:
    migration = call("validate_migration", run_id="run-1", request={})
    assert call("add_generation", run_id="run-1", migration=migration) == {
        "candidate": "green",
        "media_candidate": "green",
    }
    assert get_parameter("generations")["media"] == {
        "active": "blue",
        "all": {"blue": {"unfinished": False}, "green": {"unfinished": True}},
    }


@pytest.mark.parametrize(("stores", "stays"), [(["media"], "database"), (["database"], "media")])
def test_a_store_that_stays_gets_no_generation(environment: None, stores: list[str], stays: str) -> None:
    migration = call("validate_migration", run_id="run-1", request={"stores": stores})
    call("add_generation", run_id="run-1", migration=migration)
    assert set(get_parameter("generations")[stays]["all"]) == {"blue"}
    assert set(get_parameter("generations")[stores[0]]["all"]) == {"blue", "green"}


def test_the_stores_are_found_or_the_missing_one_is_named(environment: None) -> None:
    migration = call("validate_migration", run_id="run-1", request={})
    put_parameter("manifest", manifest_document("blue", "green"))
    with pytest.raises(Exception, match="does not have the generation green"):
        call("find_candidate", run_id="run-1", migration=migration)
    put_parameter("manifest", manifest_document("blue", "green", media=("blue", "green")))
    found = call("find_candidate", run_id="run-1", migration=migration)
    assert found.pop("copy_role_arn").endswith("role/know-me-staging-media-copy")
    assert {role: store["generation"] for role, store in found.items()} == {
        "source": "blue",
        "candidate": "green",
        "source_bucket": "blue",
        "candidate_bucket": "green",
    }


def test_what_stays_is_null_where_a_state_machine_looks_for_it(environment: None) -> None:
    migration = call("validate_migration", run_id="run-1", request={"stores": ["media"]})
    assert migration["candidate"] is migration["snapshot"] is None
    put_parameter("manifest", manifest_document(media=("blue", "green")))
    found = call("find_candidate", run_id="run-1", migration=migration)
    assert found["candidate"] is None
    assert (found["source"]["generation"], found["candidate_bucket"]["generation"]) == ("blue", "green")


def test_activating_both_stores_is_one_write_and_safe_to_repeat(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given candidates of both stores
    put_parameter(
        "generations",
        {
            "database": {"active": "blue", "all": {"blue": {}, "green": {}}},
            "media": {"active": "blue", "all": {"blue": {}, "green": {"unfinished": True}}},
        },
    )
    version = boto3.client("ssm").get_parameter(Name="/know-me/staging/generations")["Parameter"]["Version"]
    # When they become active
    wanted = {"database": "green", "media": "green"}
    assert call("activate_generation", run_id="run-1", **wanted) == wanted
    # Then both did in one version of the parameter, and the bucket is finished
    parameter = boto3.client("ssm").get_parameter(Name="/know-me/staging/generations")["Parameter"]
    assert parameter["Version"] == version + 1
    document = json.loads(parameter["Value"])
    assert (document["database"]["active"], document["media"]["active"]) == ("green", "green")
    assert document["media"]["all"]["green"] == {"unfinished": False}
    assert call("activate_generation", run_id="run-1", **wanted) == wanted


def test_a_store_that_stays_is_not_activated(environment: None) -> None:
    put_parameter("generations", {**FIRST, "database": {"active": "blue", "all": {"blue": {}, "green": {}}}})
    call("activate_generation", run_id="run-1", database="green", media=None)
    assert get_parameter("generations")["media"] == FIRST["media"]
    with pytest.raises(Exception, match="teal is no longer a generation of the media"):
        call("activate_generation", run_id="run-1", database=None, media="teal")


def test_findings_of_every_source_are_judged_together(environment: None, folder: RunFolder) -> None:
    finding = {"check": "c", "result": "passed", "subject": "s", "message": "m", "remedy": None}
    folder.write("findings/environment.json", [finding])
    folder.write("findings/source.json", [{**finding, "result": "warning"}])
    assert call("judge_findings", run_id="run-1") == {"passed": 1, "warning": 1, "skipped": 0}
    folder.write("findings/candidate.json", [{**finding, "result": "failed"}])
    with pytest.raises(Exception, match="One check failed"):
        call("judge_findings", run_id="run-1")
    assert folder.read("preflight.json")["verdict"] == "failed"
    assert len(folder.read("preflight.json")["findings"]) == 3


def test_a_record_that_the_run_made_is_never_overwritten(environment: None, folder: RunFolder) -> None:
    # Given a run that recorded what ran and then stopped it
    recorded = {
        "recorded_at": "2026-03-01T12:00:00+00:00",
        "services": [{"cluster": "c", "name": "s", "desired_count": 2}],
        "scalable_targets": [],
        "rules": [],
        "schedules": [],
        "pipelines": [],
        "deployments": [],
    }
    folder.write("quiesced.json", recorded)
    # When the step is repeated, then the record stands
    assert call("record_what_runs", run_id="run-1") == recorded
    assert folder.read("quiesced.json") == recorded


def test_of_two_writers_of_a_record_one_wins_and_both_get_it(folder: RunFolder) -> None:
    # Given a second writer that looks before the first has written
    class Late(RunFolder):
        looks = 0

        def read(self, name: str) -> Any:
            self.looks += 1
            return None if self.looks == 1 else super().read(name)

    late = Late(boto3.client("s3"), BUCKET, "run-1")
    assert folder.write_once("quiesced.json", {"by": "first"}) == {"by": "first"}
    # When it writes, then it gets what the first one wrote
    assert late.write_once("quiesced.json", {"by": "second"}) == {"by": "first"}
    assert folder.read("quiesced.json") == {"by": "first"}


@pytest.fixture
def application_secret(environment: None) -> str:
    """The environment's application secret, which two generations share, and the bucket's parameter."""
    arn: str = boto3.client("secretsmanager").create_secret(Name="know-me/staging/database/application")[
        "ARN"
    ]
    document = manifest_document("blue", "green", media=("blue", "green"))
    for generation in document["database"]["generations"].values():
        generation["application_secret_arn"] = arn
    put_parameter("manifest", document)
    return arn


def make_role(arn: str, generation: str) -> str:
    """Do what prepare-role does: put a version with the generation's label."""
    answer = boto3.client("secretsmanager").put_secret_value(
        SecretId=arn, SecretString=f'{{"host": "{generation}"}}', VersionStages=[generation]
    )
    return str(answer["VersionId"])


def put_bucket(name: str) -> None:
    boto3.client("ssm").put_parameter(Name=MEDIA_BUCKET_PARAMETER, Value=name, Type="String", Overwrite=True)


def current_version(arn: str) -> str:
    stages = boto3.client("secretsmanager").describe_secret(SecretId=arn)["VersionIdsToStages"]
    (current,) = (version for version, labels in stages.items() if "AWSCURRENT" in labels)
    return str(current)


@pytest.mark.parametrize(
    ("roles", "expected"), [([], ["blue"]), (["green"], ["blue"]), (["blue"], []), (["blue", "green"], [])]
)
def test_a_database_without_a_labelled_version_lacks_its_role(
    application_secret: str, roles: list[str], expected: list[str]
) -> None:
    for generation in roles:
        make_role(application_secret, generation)
    found = call("find_databases_without_role", run_id="p1")
    assert [database["generation"] for database in found["databases"]] == expected
    assert [service["name"] for service in found["services"]] == (["know-me-staging-api"] if expected else [])


def test_pointing_the_application_moves_the_label_and_is_safe_to_repeat(application_secret: str) -> None:
    # Given two roles, of which tasks use the older one, and Terraform's new parameter
    blue, green = make_role(application_secret, "blue"), make_role(application_secret, "green")
    put_bucket(bucket("green")["bucket"])
    assert current_version(application_secret) == blue
    # When the application is pointed at the new stores, twice, and back
    changed = [
        call("point_application", run_id="run-1", database=database, media=media)["changed"]
        for database, media in (("green", "green"), ("green", "green"))
    ]
    # Then the label has moved once, and every generation still has its own
    assert changed == [True, False]
    assert current_version(application_secret) == green
    assert call("point_application", run_id="run-1", database="blue", media=None)["changed"]
    assert current_version(application_secret) == blue


def test_a_store_that_stays_is_not_pointed_at(application_secret: str) -> None:
    blue = make_role(application_secret, "blue")
    put_bucket("some-other-bucket")
    assert call("point_application", run_id="run-1", database=None, media=None)["changed"] is False
    assert current_version(application_secret) == blue


@pytest.mark.parametrize(
    ("database", "media", "message"),
    [
        ("green", None, "no version with the label green: the database green has no application role"),
        (None, "green", "names the bucket know-me-staging-media-blue-.*, not know-me-staging-media-green-"),
        ("teal", "coral", "does not have the database teal nor the media bucket coral"),
    ],
)
def test_pointing_at_what_is_not_there_fails_the_cutover_and_changes_nothing(
    application_secret: str, database: str | None, media: str | None, message: str
) -> None:
    blue = make_role(application_secret, "blue")
    put_bucket(bucket("blue")["bucket"])
    with pytest.raises(Exception, match=message) as refused:
        call("point_application", run_id="run-1", database=database, media=media)
    assert type(refused.value).__name__ == "CutoverFailed"
    assert current_version(application_secret) == blue


def test_return_refuses_what_is_no_run(environment: None) -> None:
    with pytest.raises(Exception, match=r"run_id: field required.*colour: unknown field") as refused:
        call("claim_run", request={"colour": 1}, execution_arn=execution("return", "x"))
    assert type(refused.value).__name__ == "InvalidRequest"


def test_return_has_nothing_to_do_for_a_run_that_holds_no_lock(environment: None) -> None:
    answer = call("claim_run", request={"run_id": "run-1"}, execution_arn=execution("return", "x"))
    assert (answer["claimed"], answer["run_id"]) == (False, "run-1")


def test_a_complete_migration_is_recorded(aws: None, folder: RunFolder) -> None:
    call("record_outcome", run_id="run-1", outcome="migrated", passed_at="2026-03-01T12:00:00+00:00")
    assert folder.read("outcome.json")["outcome"] == "migrated"


def test_the_downtime_begins_once_however_often_the_app_is_stopped(
    environment: None, folder: RunFolder
) -> None:
    kinds = ("services", "scalable_targets", "rules", "schedules", "pipelines")
    folder.write(
        "quiesced.json", {"recorded_at": "2026-03-01T12:00:00+00:00", **{kind: [] for kind in kinds}}
    )
    call("quiesce", run_id="run-1")
    first = folder.read("stopped.json")
    call("quiesce", run_id="run-1")
    assert folder.read("stopped.json") == first
