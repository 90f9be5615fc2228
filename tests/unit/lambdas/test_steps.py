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

from tests.unit.lambdas.conftest import BUCKET, execution, get_parameter, manifest_document, put_parameter

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
    assert call("validate_provision", run_id="p1", request={}) == {"holder": "p1", "own_lock": True}
    assert get_parameter("generations")["database"]["active"] == "blue"


def test_provision_for_another_run_works_under_its_lock(environment: None) -> None:
    answer = call("validate_provision", run_id="p1", request={"acting_for": "run-1"})
    assert answer == {"holder": "run-1", "own_lock": False}


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


@pytest.mark.parametrize(("filled", "expected"), [(False, ["blue"]), (True, [])])
def test_a_database_whose_application_secret_is_empty_lacks_its_role(
    environment: None, filled: bool, expected: list[str]
) -> None:
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name="know-me/staging/database/blue/application")["ARN"]
    document = manifest_document()
    document["database"]["generations"]["blue"]["application_secret_arn"] = arn
    put_parameter("manifest", document)
    if filled:
        secrets.put_secret_value(SecretId=arn, SecretString="{}")
    found = call("find_databases_without_role", run_id="p1")
    assert [database["generation"] for database in found["databases"]] == expected
    assert [service["name"] for service in found["services"]] == (["know-me-staging-api"] if expected else [])


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
