"""The runbooks' own definitions, run state by state.

The steps are one function that answers what a test tells it, and the builds only end as told: what is tested
here is the way through the states, not what the steps do (tests/unit/lambdas) nor the copy (database_jobs,
media_jobs).
"""

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.local.conftest import LocalAWS
from tests.local.runbooks import (
    ACCOUNT,
    ANSWERS,
    DATABASE,
    NOT_CUT,
    STANDARD,
    UNTOUCHED,
    Media,
    Runbooks,
    new_media,
    s3control_client,
)
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

Make = Callable[..., Runbooks]


@pytest.fixture(scope="module")
def role(local_aws: LocalAWS) -> str:
    """A role that may do everything."""
    return local_aws.all_powerful_role(
        "states.amazonaws.com", "lambda.amazonaws.com", "codebuild.amazonaws.com"
    )


@pytest.fixture(scope="module")
def make(local_aws: LocalAWS, role: str) -> Make:
    def runbooks(script: dict[str, Any] | None = None, failing_builds: str = "", **more: Any) -> Runbooks:
        return Runbooks(local_aws, role, script or {}, failing_builds, **more)

    return runbooks


@pytest.fixture
def media(local_aws: LocalAWS) -> Media:
    """Buckets of the test's own."""
    return new_media(local_aws)


@pytest.fixture(scope="module")
def instance(local_aws: LocalAWS) -> str:
    """A database instance of which a snapshot can be made."""
    rds, name = local_aws.client("rds"), f"runbooks-{uuid.uuid4().hex[:8]}"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="postgres",
        MasterUserPassword=uuid.uuid4().hex,
    )
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return name


def on(instance: str, **change: Any) -> dict[str, Any]:
    """Return answers for a migration away from an instance that exists."""
    source = {**DATABASE, "instance_id": instance}
    migration = {
        **ANSWERS["ValidateMigration"],
        "source_database": source,
        "snapshot": f"s-{uuid.uuid4().hex[:8]}",
    }
    return {
        "ValidateMigration": migration,
        "FindCandidate": {**ANSWERS["FindCandidate"], "source": source},
        **change,
    }


def test_a_migration_goes_through_to_its_report(make: Make, instance: str, local_aws: LocalAWS) -> None:
    script = on(instance)
    runbooks = make(script)
    # When everything goes well
    ended = runbooks.run("migrate", {})
    # Then it succeeds with its report, without a return
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert json.loads(ended["output"])["report"] == "s3://b/runs/x/report.html"
    path = runbooks.path(ended["executionArn"])
    assert path[-3:] == ["Write the report", "Release the lock", "Done"]
    assert path.index("Record that the migration is complete") > path.index("Test the app")
    assert not runbooks.exists(runbooks.child(ended["executionArn"], "return", "-return"))
    # And the snapshot is there
    identifier = script["ValidateMigration"]["snapshot"]
    snapshots = local_aws.client("rds").describe_db_snapshots(DBSnapshotIdentifier=identifier)["DBSnapshots"]
    assert [snapshot["Status"] for snapshot in snapshots] == ["available"]


def test_a_preflight_changes_nothing(make: Make) -> None:
    runbooks = make({"ValidateMigration": {**ANSWERS["ValidateMigration"], "preflight_only": True}})
    ended = runbooks.run("migrate", {"preflight_only": True})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(ended["executionArn"])
    assert "Stop after the preflight" in path
    assert "Add the candidate" not in path
    assert path[-2:] == ["Release the lock", "Done"]


@pytest.mark.parametrize("step", ["ValidateMigration", "TakeLock"])
def test_a_refusal_is_one_sentence_and_starts_no_return(make: Make, step: str) -> None:
    runbooks = make({step: {"raise": "LockHeld", "message": "The run a works. Wait."}})
    ended = runbooks.run("migrate", {})
    assert (ended["status"], ended["error"], ended["cause"]) == (
        "FAILED",
        "LockHeld",
        "The run a works. Wait.",
    )
    assert not runbooks.exists(runbooks.child(ended["executionArn"], "return", "-return"))


def test_a_release_that_does_not_end_is_not_cut_and_the_migration_returns(make: Make, instance: str) -> None:
    # Given a release that began after the preflight and takes longer than is waited for
    refusal = {"raise": "QuiesceTimedOut", "message": "Still running: the deployment d-1."}
    runbooks = make(on(instance, CheckReleases=refusal, **NOT_CUT))
    # When it is migrated
    ended = runbooks.run("migrate", {})
    # Then the ways in were closed, the app was never stopped, and the return starts what was closed again
    assert (ended["error"], ended["cause"]) == ("QuiesceTimedOut", "Still running: the deployment d-1.")
    path = runbooks.path(ended["executionArn"])
    assert "Let nothing new begin" in path and "Stop everything that writes" not in path
    returned = runbooks.path(runbooks.child(ended["executionArn"], "return", "-return"))
    assert "Stop the app" not in returned and "Start everything again" in returned


@pytest.mark.parametrize(
    ("script", "failing_builds", "error"),
    [
        ({"JudgeFindings": {"raise": "PreflightFailed", "message": "No."}}, "", "PreflightFailed"),
        ({"Quiesce": {"raise": "QuiesceTimedOut", "message": "No."}, **NOT_CUT}, "", "QuiesceTimedOut"),
        ({"CheckRunning": {"raise": "ResumeFailed", "message": "No."}, **UNTOUCHED}, "", "ResumeFailed"),
        ({"SmokeTest": {"raise": "SmokeTestFailed", "message": "No."}, **UNTOUCHED}, "", "SmokeTestFailed"),
        ({}, "restore*", "States.TaskFailed"),
        ({}, "stop-writers*", "States.TaskFailed"),
    ],
)
def test_whatever_fails_after_the_lock_is_returned_and_keeps_its_name(
    make: Make, instance: str, script: dict[str, Any], failing_builds: str, error: str
) -> None:
    runbooks = make(on(instance, **script), failing_builds)
    # When a migration fails
    ended = runbooks.run("migrate", {})
    # Then its return ran to its end, and the execution fails with the first cause
    assert (ended["status"], ended["error"]) == ("FAILED", error), ended
    returned = runbooks.child(ended["executionArn"], "return", "-return")
    assert runbooks.exists(returned)
    assert runbooks.path(ended["executionArn"])[-2:] == ["Return to the old stores", "The migration failed"]
    assert runbooks.path(returned)[-2:] == ["Release the lock", "Returned"]


def test_a_snapshot_that_cannot_be_made_stops_the_migration(make: Make) -> None:
    runbooks = make()
    ended = runbooks.run("migrate", {})
    assert ended["error"] == "SnapshotFailed", ended
    assert "no-such-instance" in ended["cause"]
    assert runbooks.path(ended["executionArn"])[-1] == "The migration failed"


def test_terraform_failing_at_the_cutover_is_a_cutover_that_failed(make: Make, instance: str) -> None:
    # Given an environment where Terraform fails, but not for the candidate and not on the way back
    runbooks = make(on(instance), failing_builds="apply*-provision-cutover")
    # When it is migrated
    ended = runbooks.run("migrate", {})
    # Then the error is the cutover's
    assert ended["error"] == "CutoverFailed", ended
    assert ended["cause"].startswith("The environment could not be switched to green. ")
    returned = runbooks.child(ended["executionArn"], "return", "-return")
    path = runbooks.path(returned)
    # And the app is stopped before the old database takes writes, Terraform follows, then the app starts
    order = [
        "Stop the app",
        "Let the old database be written to",
        "Point the app back to the old stores",
        "Let tasks read the old stores",
        "Start everything again",
        "Test the app",
        "The app runs on the old stores",
    ]
    assert [state for state in path if state in order] == order


def test_a_return_that_fails_is_said_and_keeps_the_lock(make: Make, instance: str) -> None:
    script = {
        "Resume": {"raise": "ResumeFailed", "message": "No task starts."},
        "JudgeFindings": {"raise": "PreflightFailed", "message": "One check failed."},
    }
    runbooks = make(on(instance, **script))
    ended = runbooks.run("migrate", {})
    assert ended["error"] == "ReturnFailed"
    assert "One check failed." in ended["cause"] and "No task starts." in ended["cause"]
    path = runbooks.path(runbooks.child(ended["executionArn"], "return", "-return"))
    assert path[-2:] == ["Report the failure", "The return failed"]
    assert "Release the lock" not in path


def test_a_return_goes_on_when_terraform_fails_but_the_app_would_use_the_old_stores(
    make: Make,
) -> None:
    runbooks = make(failing_builds="plan*")
    ended = runbooks.run("return", {"run_id": "x"})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(ended["executionArn"])
    order = [
        "Let tasks read the old database all the same",
        "Look which stores the app would use",
        "Start everything again",
    ]
    assert [state for state in path if state in order] == order


def test_a_return_with_nothing_to_do_says_so(make: Make) -> None:
    claim = {"claimed": False, "run_id": "x", "attempt": 0, "suffix": "", "message": "Nobody holds the lock."}
    ended = make({"ClaimRun": claim}).run("return", {"run_id": "x"})
    assert json.loads(ended["output"]) == {"message": "Nobody holds the lock."}


# ------------------------------------------------------------------ provision


def provision(verdict: str = "allowed", **request: Any) -> dict[str, Any]:
    """Return answers for a provision with this request and this verdict on its plan."""
    judged = {**ANSWERS["JudgePlan"], "verdict": verdict, "sentence": f"It is {verdict}."}
    return {"ValidateProvision": {**ANSWERS["ValidateProvision"], **request}, "JudgePlan": judged}


def reported(runbooks: Runbooks, execution: str) -> dict[str, Any]:
    """Return what was reported about an execution, once."""
    (report,) = runbooks.asked(execution, "WriteReport")
    return report


def test_provision_applies_its_plan_and_makes_a_missing_role(make: Make) -> None:
    runbooks = make({"FindDatabasesWithoutRole": {"databases": [DATABASE], "services": []}})
    ended = runbooks.run("provision", {})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert runbooks.path(ended["executionArn"]) == [
        "Validate the request",
        "Take the lock",
        "Plan the changes",
        "Judge the plan",
        "What does the plan ask for?",
        "Apply the plan",
        "Did it come with a bundle?",
        "Is the whole environment there?",
        "Look for a database without its role",
        "Is a role missing?",
        "Make the application role",
        "Start the app's tasks again",
        "Write the report",
        "Is the lock our own?",
        "Release the lock",
        "The run ended well",
    ]
    assert reported(runbooks, ended["executionArn"])["outcome"] == "provisioned"


def test_provision_that_fails_gives_its_own_lock_back(make: Make) -> None:
    runbooks = make(failing_builds="apply*")
    ended = runbooks.run("provision", {})
    assert ended["status"] == "FAILED"
    assert runbooks.path(ended["executionArn"])[-2:] == ["Give the lock back", "Provisioning failed"]
    assert reported(runbooks, ended["executionArn"])["outcome"] == "failed"


def test_provision_for_another_run_leaves_the_lock_to_it(make: Make) -> None:
    runbooks = make(provision(holder="x", own_lock=False, acting_for="x"))
    ended = runbooks.run("provision", {"acting_for": "x"})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert "Release the lock" not in runbooks.path(ended["executionArn"])
    (judged,) = runbooks.asked(ended["executionArn"], "JudgePlan")
    assert judged["acting_for"] == "x"
    assert reported(runbooks, ended["executionArn"])["notify"] is False


def test_with_nothing_to_change_nothing_is_applied_and_a_missing_role_is_made(make: Make) -> None:
    script = {**provision("empty"), "FindDatabasesWithoutRole": {"databases": [DATABASE], "services": []}}
    runbooks = make(script)
    ended = runbooks.run("provision", {})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    actions = [build.get("ACTION", build.get("JOB")) for build in runbooks.builds(ended["executionArn"])]
    assert actions == ["plan", "prepare-role"]
    assert reported(runbooks, ended["executionArn"])["outcome"] == "nothing_to_change"


@pytest.mark.parametrize(
    ("verdict", "drift", "outcome", "told"),
    [
        ("allowed", False, "planned", True),
        ("approval_needed", False, "planned", True),
        ("empty", False, "nothing_to_change", True),
        ("approval_needed", True, "drift_found", True),
        ("refused", True, "drift_found", True),
        ("empty", True, "nothing_to_change", False),
    ],
)
def test_a_plan_is_only_reported(make: Make, verdict: str, drift: bool, outcome: str, told: bool) -> None:
    runbooks = make(provision(verdict, action="plan", drift=drift))
    ended = runbooks.run("provision", {"action": "plan"})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert [build["ACTION"] for build in runbooks.builds(ended["executionArn"])] == ["plan"]
    report = reported(runbooks, ended["executionArn"])
    assert (report["outcome"], report["notify"]) == (outcome, told)
    assert "Release the lock" in runbooks.path(ended["executionArn"])


@pytest.mark.parametrize("action", ["apply", "plan", "destroy"])
def test_a_refused_plan_fails_with_the_reason_and_without_a_lock(make: Make, action: str) -> None:
    runbooks = make(provision("refused", action=action))
    ended = runbooks.run("provision", {})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "PlanRefused", "It is refused.")
    assert [build["ACTION"] for build in runbooks.builds(ended["executionArn"])] == ["plan"]
    assert "Give the lock back" in runbooks.path(ended["executionArn"])
    report = reported(runbooks, ended["executionArn"])
    assert (report["outcome"], report["failure"]["error"]) == ("refused", "PlanRefused")


def test_a_destruction_applies_its_plan_and_looks_for_no_app(make: Make) -> None:
    runbooks = make(provision(action="destroy", targets=["module.api"]))
    ended = runbooks.run("provision", {"action": "destroy", "targets": ["module.api"]})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    builds = runbooks.builds(ended["executionArn"])
    assert [(build["ACTION"], build["DESTROY"], build["TARGETS"]) for build in builds] == [
        ("plan", "true", '["module.api"]'),
        ("apply", "true", '["module.api"]'),
    ]
    assert "Look for a database without its role" not in runbooks.path(ended["executionArn"])
    assert reported(runbooks, ended["executionArn"])["outcome"] == "destroyed"


DECISION = {"decision": "approve", "by": "ada", "at": "2026-03-01T12:00:00+00:00", "comment": "Fine"}


def decided(runbooks: Runbooks, execution: str, **change: Any) -> dict[str, Any]:
    """Wait for the question, decide, and return how the execution ended."""
    eventually(lambda: bool(runbooks.asked(execution, "AskForApproval")))
    (asked,) = runbooks.asked(execution, "AskForApproval")
    assert asked["execution_arn"] == execution
    assert (asked["counts"]["create"], asked["destructive"]) == (1, 0)
    output = json.dumps({**DECISION, **change})
    runbooks.states.send_task_success(taskToken=asked["task_token"], output=output)
    return runbooks.end(execution)


def test_an_approved_plan_is_applied_under_a_lock_that_is_taken_again(make: Make) -> None:
    runbooks = make(provision("approval_needed"))
    execution = runbooks.start("provision", {})
    # When somebody says yes
    ended = decided(runbooks, execution)
    # Then the environment was free meanwhile, and the plan of before the question is applied
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(execution)
    order = [
        "Take the lock",
        "Plan the changes",
        "Judge the plan",
        "Free the environment meanwhile",
        "Ask for approval",
        "Take the lock again",
        "Apply the plan",
        "Write the report",
        "Release the lock",
    ]
    assert [state for state in path if state in order] == order
    assert [build["ACTION"] for build in runbooks.builds(execution)] == ["plan", "apply"]
    first, again = runbooks.asked(execution, "TakeLock")
    assert first == again
    assert reported(runbooks, execution)["approval"] == DECISION


def test_a_run_for_another_one_asks_under_that_ones_lock(make: Make) -> None:
    runbooks = make(provision("approval_needed", own_lock=False, acting_for="x"))
    execution = runbooks.start("provision", {"acting_for": "x"})
    ended = decided(runbooks, execution)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert runbooks.asked(execution, "ReleaseLock") == []
    assert len(runbooks.asked(execution, "TakeLock")) == 1


@pytest.mark.parametrize(("comment", "said"), [("Not on a Friday", ": Not on a Friday"), (None, "")])
def test_a_rejected_plan_applies_nothing_and_says_who(make: Make, comment: str | None, said: str) -> None:
    runbooks = make(provision("approval_needed"))
    execution = runbooks.start("provision", {})
    ended = decided(runbooks, execution, decision="reject", comment=comment)
    assert (ended["status"], ended["error"]) == ("FAILED", "ApprovalRejected")
    assert ended["cause"].startswith(f"ada rejected the plan{said}. Nothing was applied.")
    assert [build["ACTION"] for build in runbooks.builds(execution)] == ["plan"]
    assert reported(runbooks, execution)["outcome"] == "rejected"


def test_a_question_that_nobody_answers_ends_by_itself(make: Make) -> None:
    runbooks = make(provision("approval_needed", approval_timeout_seconds=1))
    ended = runbooks.run("provision", {})
    assert (ended["status"], ended["error"]) == ("FAILED", "ApprovalTimedOut")
    assert ended["cause"].startswith("Nobody decided about the plan within 1 s.")
    assert [build["ACTION"] for build in runbooks.builds(ended["executionArn"])] == ["plan"]
    assert reported(runbooks, ended["executionArn"])["outcome"] == "approval_timed_out"


def test_a_question_that_cannot_be_asked_is_a_failure_of_its_own(make: Make) -> None:
    script = {"AskForApproval": {"raise": "ProvisionFailed", "message": "No table."}}
    runbooks = make({**provision("approval_needed"), **script})
    ended = runbooks.run("provision", {})
    assert (ended["error"], ended["cause"]) == ("ProvisionFailed", "No table.")


def test_a_bundle_is_planned_applied_and_remembered(make: Make, local_aws: LocalAWS) -> None:
    # Given an infrastructure bundle, which here holds what the build runs
    s3, bucket = local_aws.client("s3"), f"bundles-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("terraform/main.tf", "")
    version = s3.put_object(Bucket=bucket, Key="bundles/a.zip", Body=archive.getvalue())["VersionId"]
    bundle = {"key": "bundles/a.zip", "version_id": version}
    location = {"location": f"{bucket}/bundles/a.zip", "version_id": version}
    runbooks = make(provision(bundle=bundle, source_location=location))
    # When
    ended = runbooks.run("provision", {"bundle": bundle})
    # Then both builds ran on that version, and later runs will
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    builds = [build for build in runbooks.built(ended["executionArn"]) if build["source"]["type"] == "S3"]
    assert [(build["source"]["location"], build["sourceVersion"]) for build in builds] == [
        (f"{bucket}/bundles/a.zip", version)
    ] * 2
    remembered = local_aws.client("ssm").get_parameter(Name="/know-me/staging/bundle")["Parameter"]["Value"]
    assert json.loads(remembered) == bundle


def test_a_plan_of_a_bundle_is_not_remembered(make: Make) -> None:
    bundle = {"key": "bundles/a.zip", "version_id": "v1"}
    runbooks = make(provision(action="plan", bundle=bundle))
    ended = runbooks.run("provision", {})
    assert "Remember the bundle" not in runbooks.path(ended["executionArn"])


@pytest.mark.parametrize(("drift", "status"), [(True, "SUCCEEDED"), (False, "FAILED")])
def test_a_look_for_drift_gives_way_to_whatever_works(make: Make, drift: bool, status: str) -> None:
    script = {"TakeLock": {"raise": "LockHeld", "message": "The run a works. Wait."}}
    runbooks = make({**provision(action="plan", drift=drift), **script})
    ended = runbooks.run("provision", {})
    assert ended["status"] == status
    assert runbooks.builds(ended["executionArn"]) == []
    if not drift:
        assert (ended["error"], ended["cause"]) == ("LockHeld", "The run a works. Wait.")


# ------------------------------------------------------------------ move-media


LOOKING = {"Look at the copy job", "Has the copy job ended?", "Wait for the copy job"}


def planned(*batch_jobs: dict[str, Any], large_objects: int = 0, compared: bool = False) -> dict[str, Any]:
    """Return the answer of the step that plans, to a plan before or after the comparison."""
    plan = {"needs_comparison": False, "batch_jobs": list(batch_jobs), "large_objects": large_objects}
    before = {"needs_comparison": True, "batch_jobs": [], "large_objects": 0} if compared else plan
    return {
        "PlanMediaCopy": [
            {"when": {"compared": False}, "then": before},
            {"when": {"compared": True}, "then": plan},
        ]
    }


def jobs_of(builds: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    """Return job, phase and round of builds."""
    return [(each["JOB"], each["PHASE"], each.get("ROUND", "")) for each in builds]


def test_a_copy_ahead_listens_copies_in_bulk_and_verifies(make: Make, media: Media) -> None:
    runbooks = make(planned(STANDARD), artifacts=media.artifacts)
    # When the media are copied ahead
    ended = runbooks.run("move-media", media.input("ahead"))
    # Then changes are listened for before anything is listed, and everything is verified at the end
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(ended["executionArn"])
    assert [state for state in path if state not in LOOKING] == [
        "Note what to move",
        "Move the files",
        "Begin the first round",
        "Does the app still run?",
        "Listen for changes",
        "Do rows refer to files?",
        "List the files that rows refer to",
        "Was the bulk copied ahead?",
        "Plan the copy",
        "Must both be compared first?",
        "Copy with S3 Batch Operations",
        "Note which objects to copy",
        "Describe the copy job",
        "Is there a list of the objects?",
        "Create the copy job",
        "Judge the copy job",
        "Did every task succeed?",
        "The objects are copied",
        "Are there large objects?",
        "Bring both into line",
        "Are large objects left?",
        "Summarise the copy",
        "The media are moved",
    ]
    assert media.rule_state() == "ENABLED"
    builds = runbooks.builds(ended["executionArn"])
    assert jobs_of(builds) == [("list-files", "ahead", ""), ("synchronise", "ahead", "1")]
    assert builds[1]["METADATA_SAMPLE"] == "1000" and builds[1]["SINGLE_COPY_LIMIT_BYTES"] == "6291456"
    # And the job copied, as the run's own, with a report on every object
    assert media.keys("green") == {"one", "two", "three"}
    (job,) = media.copy_jobs()
    assert job["Status"] == "Complete"
    assert job["Report"]["Prefix"] == f"runs/{media.name}/media/ahead/reports/standard"
    (judged,) = runbooks.asked(ended["executionArn"], "JudgeCopyJob")
    progress = judged.pop("progress")
    assert (progress["NumberOfTasksSucceeded"], progress["NumberOfTasksFailed"]) == (3, 0)
    assert judged == {
        "run_id": media.name,
        "phase": "ahead",
        "name": "standard",
        "attempt": 1,
        "job_id": job["JobId"],
        "source_bucket": f"{media.name}-blue",
        "storage_class": "STANDARD",
        "status": "Complete",
        "failure_reasons": [],
    }


def test_after_a_copy_ahead_only_the_changes_are_caught_up_with(make: Make, media: Media) -> None:
    runbooks = make(artifacts=media.artifacts)
    ended = runbooks.run("move-media", media.input("final"))
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(ended["executionArn"])
    assert "Listen for changes" not in path and "Plan the copy" not in path
    assert jobs_of(runbooks.builds(ended["executionArn"])) == [
        ("list-files", "final", ""),
        ("catch-up", "final", "1"),
        ("cross-check", "final", "1"),
    ]
    assert media.copy_jobs() == []


def test_without_file_columns_nothing_asks_the_database(make: Make, media: Media) -> None:
    runbooks = make(artifacts=media.artifacts)
    ended = runbooks.run("move-media", media.input("final", file_columns=[]))
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert jobs_of(runbooks.builds(ended["executionArn"])) == [("catch-up", "final", "1")]


def test_a_bucket_that_holds_something_is_compared_and_gets_what_it_lacks(make: Make, media: Media) -> None:
    # Given a bucket with one of three objects, and a list of the others
    media.put("green", one=b"1")
    key = f"runs/{media.name}/media/final/manifest-STANDARD.csv"
    etag = media.keep(
        "final/manifest-STANDARD.csv", "".join(f"{media.name}-blue,{key}\n" for key in ("two", "three"))
    )
    listed = {**STANDARD, "objects": 2, "manifest": {"key": key, "etag": etag}}
    runbooks = make(planned(listed, compared=True), artifacts=media.artifacts)
    # When it is moved in one go
    ended = runbooks.run("move-media", media.input("final", had_ahead=False))
    # Then both were compared, and the job copied what is on the list
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert [job for job, *_ in jobs_of(runbooks.builds(ended["executionArn"]))] == [
        "list-files",
        "compare",
        "synchronise",
    ]
    (job,) = media.copy_jobs()
    assert job["ProgressSummary"]["TotalNumberOfTasks"] == 2
    assert media.keys("green") == {"one", "two", "three"}


def test_what_failed_is_copied_by_a_second_job(make: Make, media: Media) -> None:
    # Given a report by which one object failed
    key = f"runs/{media.name}/media/ahead/retry.csv"
    etag = media.keep("ahead/retry.csv", f"{media.name}-blue,two\n")
    retry = {"retry": {"key": key, "etag": etag, "objects": 1}}
    judged = [
        {"when": {"attempt": 1}, "then": retry},
        # One that is asked for again after the second is not given another
        {"when": {"attempt": 2}, "then": retry},
    ]
    runbooks = make({**planned(STANDARD), "JudgeCopyJob": judged}, artifacts=media.artifacts)
    # When the media are copied
    ended = runbooks.run("move-media", media.input("ahead"))
    # Then two jobs ran, the second for that one, with a report of its own
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    first, second = media.copy_jobs()
    assert second["ProgressSummary"]["TotalNumberOfTasks"] == 1
    assert second["Report"]["Prefix"] == f"{first['Report']['Prefix']}-retry"
    assert [each["attempt"] for each in runbooks.asked(ended["executionArn"], "JudgeCopyJob")] == [1, 2]


def test_a_storage_class_is_copied_beside_the_others(make: Make, media: Media) -> None:
    cold = {"name": "standard-ia", "storage_class": "STANDARD_IA", "objects": 1, "manifest": None}
    media.aws.client("s3").put_object(
        Bucket=f"{media.name}-blue", Key="cold", Body=b"", StorageClass="STANDARD_IA"
    )
    runbooks = make(planned(STANDARD, cold), artifacts=media.artifacts)
    ended = runbooks.run("move-media", media.input("ahead"))
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert len(media.copy_jobs()) == 2
    head = media.aws.client("s3").head_object(Bucket=f"{media.name}-green", Key="cold")
    assert head["StorageClass"] == "STANDARD_IA"


def test_a_job_that_fails_is_judged_with_its_reasons(make: Make, media: Media) -> None:
    # Given a list that is not the one that was planned with
    key = f"runs/{media.name}/media/ahead/manifest-STANDARD.csv"
    media.keep("ahead/manifest-STANDARD.csv", f"{media.name}-blue,one\n")
    listed = {**STANDARD, "manifest": {"key": key, "etag": "0" * 32}}
    script = {
        **planned(listed),
        "JudgeCopyJob": {"raise": "MediaCopyFailed", "message": "The job failed. Start again."},
    }
    runbooks = make(script, artifacts=media.artifacts)
    ended = runbooks.run("move-media", media.input("ahead"))
    # Then the step that judges hears it, and what it says is the end
    (judged,) = runbooks.asked(ended["executionArn"], "JudgeCopyJob")
    assert judged["status"] == "Failed"
    assert [set(reason) for reason in judged["failure_reasons"]] == [{"FailureCode", "FailureReason"}]
    assert (ended["status"], ended["error"], ended["cause"]) == (
        "FAILED",
        "MediaCopyFailed",
        "The job failed. Start again.",
    )


def test_a_job_that_is_cancelled_by_hand_ends_the_wait(make: Make, media: Media, local_aws: LocalAWS) -> None:
    # Given a job that stops after its first object
    local_aws.control("POST", "s3control", {"pause_after": 1})
    script = {
        **planned(STANDARD),
        "JudgeCopyJob": {"raise": "MediaCopyFailed", "message": "It was cancelled."},
    }
    runbooks = make(script, artifacts=media.artifacts)
    execution = runbooks.start("move-media", media.input("ahead"))
    runbooks.wait_for_state(execution, "Wait for the copy job")
    # When somebody cancels it
    (job,) = media.copy_jobs()
    s3control_client(local_aws).update_job_status(
        AccountId=ACCOUNT, JobId=job["JobId"], RequestedJobStatus="Cancelled"
    )
    # Then the run sees that it ended
    ended = runbooks.end(execution)
    assert ended["error"] == "MediaCopyFailed", ended
    assert [each["status"] for each in runbooks.asked(execution, "JudgeCopyJob")] == ["Cancelled"]


def test_a_job_that_takes_too_long_is_given_up(make: Make, media: Media, local_aws: LocalAWS) -> None:
    local_aws.control("POST", "s3control", {"pause_after": 0})
    runbooks = make(planned(STANDARD), artifacts=media.artifacts)
    try:
        document = media.input("ahead", file_columns=[], job_timeout_seconds=2)
        ended = runbooks.run("move-media", document)
    finally:
        local_aws.control("DELETE", "s3control")
    assert ended["error"] == "MediaJobTimedOut", ended
    assert "is still Active after the 2 s allowed" in ended["cause"]


PART_BYTES = 5 * 1024**2


def large_object(media: Media) -> dict[str, Any]:
    """Put a large object into the old bucket, begin its copy, and return how it was begun."""
    s3, body = media.aws.client("s3"), b"0123456789abcdef" * (7 * 1024**2 // 16)
    etag = s3.put_object(Bucket=f"{media.name}-blue", Key="a b+c", Body=body)["ETag"]
    upload = s3.create_multipart_upload(Bucket=f"{media.name}-green", Key="a b+c")["UploadId"]
    media.keep("ahead/large-objects.json", json.dumps([{"key": "a b+c", "size": len(body), "etag": etag}]))
    return {
        "done": False,
        "key": "a b+c",
        "upload_id": upload,
        "copy_source": f"{media.name}-blue/a%20b%2Bc",
        "etag": etag,
        "part_size": PART_BYTES,
        "parts": 2,
        "size": len(body),
        "missing_parts": [1, 2],
    }


def test_a_large_object_is_copied_in_parts_inside_s3(make: Make, media: Media) -> None:
    copy = large_object(media)
    runbooks = make({**planned(large_objects=1), "BeginLargeCopy": copy}, artifacts=media.artifacts)
    # When the media are copied
    ended = runbooks.run("move-media", media.input("ahead"))
    # Then each part is there, and they are all of the object
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    s3 = media.aws.client("s3")
    target = {"Bucket": f"{media.name}-green", "Key": copy["key"], "UploadId": copy["upload_id"]}
    parts = s3.list_parts(**target)["Parts"]
    assert [part["Size"] for part in parts] == [PART_BYTES, copy["size"] - PART_BYTES]
    whole = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": whole})
    old, new = (
        s3.get_object(Bucket=f"{media.name}-{side}", Key=copy["key"])["Body"].read()
        for side in ("blue", "green")
    )
    assert old == new


@pytest.mark.parametrize(("changed", "status"), [(True, "SUCCEEDED"), (False, "FAILED")])
def test_a_large_object_that_cannot_be_copied_fails_the_run_unless_it_changed(
    make: Make, media: Media, changed: bool, status: str
) -> None:
    # Given an upload that somebody aborted
    copy = {**large_object(media), "upload_id": "gone"}
    script = {**planned(large_objects=1), "BeginLargeCopy": copy, "AbortLargeCopy": {"changed": changed}}
    # When the media are copied, then it depends on what the step that gives up found
    ended = make(script, artifacts=media.artifacts).run("move-media", media.input("ahead"))
    assert ended["status"] == status, ended.get("cause")


def test_large_objects_that_are_left_are_copied_again(make: Make, media: Media) -> None:
    # Given a catch-up that leaves a large object once
    media.keep("final/large-objects.json", json.dumps([{"key": "large", "size": 1, "etag": "e"}]))
    runbooks = make(artifacts=media.artifacts, large_objects="1 0 0")
    ended = runbooks.run("move-media", media.input("final", file_columns=[]))
    # Then it is copied, and the job looks again
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert jobs_of(runbooks.builds(ended["executionArn"])) == [
        ("catch-up", "final", "1"),
        ("catch-up", "final", "2"),
    ]
    assert runbooks.path(ended["executionArn"]).count("Copy the large objects") == 1


def test_large_objects_that_keep_changing_fail_the_run_after_three_rounds(make: Make, media: Media) -> None:
    media.keep("final/large-objects.json", json.dumps([{"key": "large", "size": 1, "etag": "e"}]))
    runbooks = make(artifacts=media.artifacts, large_objects="2 1 1")
    ended = runbooks.run("move-media", media.input("final", file_columns=[]))
    assert ended["error"] == "MediaCopyFailed", ended
    assert ended["cause"].startswith(f"After three rounds 1 large object(s) of {media.name}-blue are still")
    assert runbooks.path(ended["executionArn"]).count("Copy the large objects") == 2


def test_a_media_job_that_fails_is_explained_once(make: Make, media: Media) -> None:
    runbooks = make(failing_builds="catch-up*", artifacts=media.artifacts)
    ended = runbooks.run("move-media", media.input("final"))
    assert ended["status"] == "FAILED"
    path = runbooks.path(ended["executionArn"])
    assert path[-2:] == ["Explain what went wrong", "The media could not be moved"]
    assert "Cross-check the new files" not in path


# ------------------------------------------------------------------ migrate and return, with media


def test_both_stores_move_in_one_run(make: Make, instance: str, media: Media) -> None:
    source = {**DATABASE, "instance_id": instance}
    script = media.migration(
        stores=["database", "media"],
        source_database=source,
        candidate="green",
        snapshot=f"s-{uuid.uuid4().hex[:8]}",
    )
    runbooks = make(script, artifacts=media.artifacts)
    ended = runbooks.run("migrate", {})
    # Then both moved in parallel, the media ahead too, and both became active in one write
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    execution = ended["executionArn"]
    for machine, suffix in (
        ("move-media", "-move-media-ahead"),
        ("move-media", "-move-media"),
        ("move-database", "-move-database"),
    ):
        assert runbooks.exists(runbooks.child(execution, machine, suffix))
    names = {"database": "green", "media": "green"}
    pointed_at = {"started_after": ANSWERS["PointApplication"]["pointed_at"]}
    for step, more in (("ActivateGeneration", {}), ("SmokeTest", pointed_at)):
        (asked,) = runbooks.asked(execution, step)
        assert asked == {"run_id": execution.rpartition(":")[2], **names, **more}
    # And the old bucket is looked back at once the app runs again, then nobody listens any more
    last = runbooks.builds(execution)[-1]
    assert (last["JOB"], last["PHASE"]) == ("look-back", "after")
    assert last["RESUMED_AT"].startswith("20") and last["CANDIDATE_BUCKET"] == f"{media.name}-green"
    assert media.rule_state() == "DISABLED"
    assert runbooks.asked(execution, "WriteReport")[0]["warnings"] == []


def test_the_media_move_alone(make: Make, media: Media) -> None:
    runbooks = make(media.migration(), artifacts=media.artifacts)
    ended = runbooks.run("migrate", {"stores": ["media"]})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = set(runbooks.path(ended["executionArn"]))
    assert path & {"Survey the old bucket", "Copy the media ahead", "Move the media"}
    assert not path & {
        "Inspect the old database",
        "Inspect the candidate",
        "Make the old database refuse writes",
        "Snapshot the old database",
        "Move the database",
    }
    (fenced,) = runbooks.asked(ended["executionArn"], "StopMediaWrites")
    assert fenced["bucket"] == f"{media.name}-blue"
    (active,) = runbooks.asked(ended["executionArn"], "ActivateGeneration")
    assert (active["database"], active["media"]) == (None, "green")


def test_the_database_moves_alone(make: Make, instance: str) -> None:
    runbooks = make(on(instance))
    ended = runbooks.run("migrate", {"stores": ["database"]})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = set(runbooks.path(ended["executionArn"]))
    assert "Move the database" in path
    assert not path & {
        "Survey the old bucket",
        "Copy the media ahead",
        "Make the old bucket refuse writes",
        "Move the media",
        "Look back at the old bucket",
        "Stop listening for changes",
    }


def test_without_a_copy_ahead_everything_is_copied_while_the_app_is_stopped(make: Make, media: Media) -> None:
    runbooks = make(media.migration(copy_ahead=False), artifacts=media.artifacts)
    ended = runbooks.run("migrate", {"stores": ["media"], "copy_ahead": False})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert not runbooks.exists(runbooks.child(ended["executionArn"], "move-media", "-move-media-ahead"))
    final = runbooks.path(runbooks.child(ended["executionArn"], "move-media", "-move-media"))
    assert "Copy with S3 Batch Operations" in final and "Listen for changes" not in final


def test_a_look_back_that_fails_is_a_warning_in_the_report(make: Make, media: Media) -> None:
    # Given a rule that is gone too
    runbooks = make(media.migration(copy_ahead=False), failing_builds="look-back*", artifacts=media.artifacts)
    media.aws.client("events").delete_rule(Name=media.rule)
    ended = runbooks.run("migrate", {"stores": ["media"]})
    # Then the migration is complete all the same, and says what is left to look at
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    (report,) = runbooks.asked(ended["executionArn"], "WriteReport")
    assert report["outcome"] == "migrated"
    looked, listened = report["warnings"]
    assert f"{media.name}-blue could not be looked at once more" in looked
    assert f"The rule {media.rule} is still enabled" in listened


def test_a_migration_that_fails_gives_the_old_bucket_back(make: Make, media: Media) -> None:
    # Given media that differ in the end
    runbooks = make(media.migration(), failing_builds="catch-up*", artifacts=media.artifacts)
    ended = runbooks.run("migrate", {"stores": ["media"]})
    # Then the return takes the fence away, and nobody listens any more
    assert ended["status"] == "FAILED"
    returned = runbooks.child(ended["executionArn"], "return", "-return")
    assert runbooks.path(returned)[-2:] == ["Release the lock", "Returned"]
    (allowed,) = runbooks.asked(returned, "AllowMediaWrites")
    assert allowed["bucket"] == f"{media.name}-blue"
    assert media.rule_state() == "DISABLED"
    (tested,) = runbooks.asked(returned, "SmokeTest")
    assert (tested["database"], tested["media"]) == ("blue", "blue")


def test_a_return_cancels_the_copy_jobs_of_its_run_only(
    make: Make, media: Media, local_aws: LocalAWS
) -> None:
    # Given jobs that wait for somebody to confirm them: two of the run, one of another whose id begins alike
    client = s3control_client(local_aws)
    arn = f"arn:aws:s3:::{media.name}"
    waiting = [
        client.create_job(
            AccountId=ACCOUNT,
            ConfirmationRequired=True,
            ClientRequestToken=uuid.uuid4().hex,
            Description=f"{run} copies",
            Priority=10,
            RoleArn=media.copy_role,
            Operation={"S3PutObjectCopy": {"TargetResource": f"{arn}-green"}},
            Report={"Enabled": False},
            ManifestGenerator={
                "S3JobManifestGenerator": {"SourceBucket": f"{arn}-blue", "EnableManifestOutput": False}
            },
        )["JobId"]
        for run in (media.name, media.name, f"{media.name}-2")
    ]
    for job in waiting:
        eventually(
            lambda job=job: client.describe_job(AccountId=ACCOUNT, JobId=job)["Job"]["Status"] == "Suspended"
        )
    script = {**media.migration(), "ClaimRun": {**ANSWERS["ClaimRun"], "run_id": media.name}}
    # When the run is returned
    ended = make(script, artifacts=media.artifacts).run("return", {"run_id": media.name})
    # Then its jobs are cancelled, and the other one is left alone
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    for job in waiting[:2]:
        eventually(
            lambda job=job: client.describe_job(AccountId=ACCOUNT, JobId=job)["Job"]["Status"] == "Cancelled"
        )
    assert client.describe_job(AccountId=ACCOUNT, JobId=waiting[2])["Job"]["Status"] == "Suspended"
    client.update_job_status(AccountId=ACCOUNT, JobId=waiting[2], RequestedJobStatus="Cancelled")


def test_a_return_goes_on_without_what_it_cannot_tidy_up(
    make: Make, media: Media, local_aws: LocalAWS
) -> None:
    # Given that the rule is gone, and that S3 refuses to list jobs
    media.aws.client("events").delete_rule(Name=media.rule)
    local_aws.control(
        "POST",
        "faults",
        {"service": "s3control", "action": "ListJobs", "times": 1, "error": "AccessDenied", "message": "No."},
    )
    runbooks = make(media.migration(), artifacts=media.artifacts)
    try:
        ended = runbooks.run("return", {"run_id": "x"})
    finally:
        local_aws.control("DELETE", "faults")
    # Then the app runs all the same, and the report says what is left to do: nothing about the rule
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    (warning,) = runbooks.asked(ended["executionArn"], "WriteReport")[0]["warnings"]
    assert "cancel those whose description begins with x" in warning
