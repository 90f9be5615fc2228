"""Return: what it claims, what it stops, and what it finds out about the way back."""

from typing import Any

import boto3
import pytest
from know_me.errors import InvalidRequest
from know_me.generations import DatabaseSettings, Generations, MediaSettings, activate, add
from know_me.lock import LockTable, take
from know_me.manifest import Manifest
from know_me.returning import Claim, WayBack, claim, point_back, stop_what_is_under_way
from know_me.run_folder import RunFolder
from know_me.settings import Settings

from tests.unit.lambdas.conftest import LOCK_TABLE, NOW, Stubbed, execution, manifest_document

MIGRATE = execution("migrate", "run-1")
OWN = execution("return", "run-1-return")
BY_EVENT = execution("return", "4f1c")
BEFORE = Generations.model_validate({"database": {"active": "blue", "all": {"blue": {}}}})
ADDED = add(BEFORE, "database", "green", DatabaseSettings())
SWITCHED = activate(ADDED, "database", "green")
BOTH_ADDED = add(ADDED, "media", "green", MediaSettings(unfinished=True))
BOTH_SWITCHED = activate(activate(BOTH_ADDED, "database", "green"), "media", "green")


@pytest.fixture
def table(aws: None) -> LockTable:
    return LockTable(boto3.client("dynamodb"), LOCK_TABLE, "staging")


def hold(table: LockTable, run_id: str = "run-1", purpose: Any = "migrate") -> None:
    take(
        table,
        environment="staging",
        run_id=run_id,
        execution_arn=execution(purpose, run_id),
        purpose=purpose,
        acting_for=None,
        now=NOW,
        is_abandoned=lambda lock: False,
    )


def status(stubbed: Stubbed, arn: str, value: str | None) -> None:
    if value is None:
        stubbed.refuse("stepfunctions", "describe_execution", "ExecutionDoesNotExist", {"executionArn": arn})
        return
    stubbed.expect(
        "stepfunctions",
        "describe_execution",
        {"executionArn": arn},
        {
            "executionArn": arn,
            "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:x",
            "name": arn.rpartition(":")[2],
            "status": value,
            "startDate": NOW,
        },
    )


def claimed(
    table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings, execution_arn: str = BY_EVENT
) -> Claim:
    states = stubbed.client("stepfunctions")
    return claim(table, folder, states, settings, run_id="run-1", execution_arn=execution_arn)


class TestClaiming:
    def test_a_run_that_failed_before_the_lock_needs_nothing(
        self, table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        answer = claimed(table, folder, stubbed, settings)
        assert not answer.claimed
        assert "nobody holds the lock" in answer.message

    def test_the_lock_of_another_run_is_left_alone(
        self, table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        hold(table, "other")
        assert not claimed(table, folder, stubbed, settings).claimed
        assert table.release("other") is True

    def test_a_migration_that_was_complete_stays_and_its_lock_is_released(
        self, table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        # Given a run that was stopped after it had recorded that it is complete
        hold(table)
        folder.write("outcome.json", {"outcome": "migrated"})
        # When its return starts
        answer = claimed(table, folder, stubbed, settings)
        # Then nothing is taken back
        assert not answer.claimed
        assert "stays on the new stores" in answer.message
        assert table.read() is None

    def test_a_run_that_is_under_way_is_not_returned_behind_its_back(
        self, table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        hold(table)
        status(stubbed, MIGRATE, "RUNNING")
        with pytest.raises(InvalidRequest, match=r"still under way.*stop-execution"):
            claimed(table, folder, stubbed, settings)

    def test_a_run_may_ask_for_its_own_return_while_it_runs(
        self, table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        hold(table)
        answer = claimed(table, folder, stubbed, settings, OWN)
        assert (answer.claimed, answer.attempt, answer.suffix) == (True, 1, "")

    def test_a_repeated_claim_of_the_same_return_is_the_same_attempt(
        self, table: LockTable, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        hold(table)
        claimed(table, folder, stubbed, settings, OWN)
        assert claimed(table, folder, stubbed, settings, OWN).attempt == 1

    @pytest.mark.parametrize(("first", "expected"), [("RUNNING", False), ("FAILED", True)])
    def test_a_second_return_waits_for_nothing_and_repeats_one_that_failed(
        self,
        table: LockTable,
        folder: RunFolder,
        stubbed: Stubbed,
        settings: Settings,
        first: str,
        expected: bool,
    ) -> None:
        # Given a return that was claimed
        hold(table)
        claimed(table, folder, stubbed, settings, OWN)
        # When another one starts after the run has failed
        status(stubbed, MIGRATE, "FAILED")
        status(stubbed, OWN, first)
        answer = claimed(table, folder, stubbed, settings)
        # Then it acts only when the first has ended, under names of its own
        assert answer.claimed is expected
        assert answer.suffix == ("-2" if expected else "")


def test_the_copies_are_stopped_and_terraform_is_waited_for(stubbed: Stubbed, settings: Settings) -> None:
    # Given a run stopped while everything that it can start runs
    for machine, name, state, error in (
        ("move-database", "run-1-move-database", "RUNNING", "DatabaseJobInterrupted"),
        ("move-media", "run-1-move-media-ahead", "SUCCEEDED", None),
        ("move-media", "run-1-move-media", "RUNNING", "MediaJobInterrupted"),
    ):
        move = execution(machine, name)
        status(stubbed, move, state)
        if error:
            stubbed.expect(
                "stepfunctions",
                "stop_execution",
                {"executionArn": move, "error": error, "cause": "Why."},
                {"stopDate": NOW},
            )

    def builds(project: str, *found: tuple[str, str, str, str]) -> None:
        ids = [f"{project}:{number}" for number, _ in enumerate(found)]
        stubbed.expect(
            "codebuild",
            "list_builds_for_project",
            {"projectName": project, "sortOrder": "DESCENDING"},
            {"ids": ids},
        )
        stubbed.expect(
            "codebuild",
            "batch_get_builds",
            {"ids": ids},
            {
                "builds": [
                    {
                        "id": identifier,
                        "buildStatus": state,
                        "environment": {
                            "type": "LINUX_CONTAINER",
                            "image": "i",
                            "computeType": "BUILD_GENERAL1_SMALL",
                            "environmentVariables": [
                                {"name": "RUN_ID", "value": run},
                                {"name": name, "value": value},
                            ],
                        },
                    }
                    for identifier, (state, run, name, value) in zip(ids, found, strict=True)
                ]
            },
        )

    builds(
        settings.database_jobs_build,
        ("IN_PROGRESS", "run-1", "JOB", "dump"),
        ("IN_PROGRESS", "run-10", "JOB", "verify"),
        ("SUCCEEDED", "run-1", "JOB", "inspect"),
    )
    stubbed.expect("codebuild", "stop_build", {"id": f"{settings.database_jobs_build}:0"}, {})
    builds(
        settings.media_jobs_build,
        ("IN_PROGRESS", "run-10", "JOB", "survey"),
        ("IN_PROGRESS", "run-1", "JOB", "catch-up"),
    )
    stubbed.expect("codebuild", "stop_build", {"id": f"{settings.media_jobs_build}:1"}, {})
    stubbed.expect(
        "stepfunctions",
        "list_executions",
        {"stateMachineArn": settings.state_machine_arn("provision"), "statusFilter": "RUNNING"},
        {
            "executions": [
                {
                    "executionArn": execution("provision", name),
                    "stateMachineArn": "arn",
                    "name": name,
                    "status": "RUNNING",
                    "startDate": NOW,
                }
                for name in ("run-1-provision-cutover", "run-10-provision-cutover")
            ]
        },
    )
    builds(settings.terraform_build, ("IN_PROGRESS", "run-1-provision-cutover", "ACTION", "apply"))
    # When what is under way is stopped
    waiting = stop_what_is_under_way(
        stubbed.client("stepfunctions"), stubbed.client("codebuild"), settings, "run-1", "Why."
    )
    # Then only the run's own copy was, and Terraform is named among what is waited for
    assert waiting == [
        "the execution run-1-move-database",
        "the execution run-1-move-media",
        "the database job dump",
        "the media job catch-up",
        "the execution run-1-provision-cutover",
        "Terraform's apply",
    ]


class TestPointingBack:
    def back(
        self,
        folder: RunFolder,
        stubbed: Stubbed,
        settings: Settings,
        manifest: Manifest,
        current: Generations,
        cutover: str | None = None,
        candidate: str | None = None,
    ) -> tuple[WayBack, list[Generations]]:
        written: list[Generations] = []
        if folder.read("generations-before.json"):
            status(stubbed, execution("provision", "run-1-provision-cutover"), cutover)
            expects_candidate = not cutover and current.database.active == manifest.database.active == "blue"
            if expects_candidate:
                status(stubbed, execution("provision", "run-1-provision-candidate"), candidate)
        states = stubbed.client("stepfunctions")
        return point_back(folder, states, settings, "run-1", manifest, current, written.append), written

    def begun(self, folder: RunFolder) -> None:
        folder.write("request.json", {"candidate": "green"})
        folder.write("generations-before.json", BEFORE)

    def test_a_run_that_ended_in_its_preflight_changed_nothing(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings, manifest: Manifest
    ) -> None:
        folder.write("request.json", {"candidate": "green"})
        way_back, written = self.back(folder, stubbed, settings, manifest, BEFORE)
        assert written == []
        assert (way_back.touched, way_back.provision_needed) == (False, False)

    def test_a_candidate_that_was_never_made_is_dropped_and_terraform_cleans_up(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings, manifest: Manifest
    ) -> None:
        # Given a run whose provisioning of the candidate failed
        self.begun(folder)
        way_back, written = self.back(folder, stubbed, settings, manifest, ADDED, candidate="FAILED")
        # Then the generations are what they were, and Terraform removes what there is of it
        assert written == [BEFORE]
        assert (way_back.candidate_fate, way_back.provision_needed, way_back.cutover_begun) == (
            "dropped",
            True,
            False,
        )

    def test_a_candidate_that_exists_is_kept(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        # Given a run that failed while copying
        self.begun(folder)
        folder.write("fence.json", {})
        folder.write("quiesced.json", {})
        manifest = Manifest.model_validate(manifest_document("blue", "green"))
        way_back, written = self.back(folder, stubbed, settings, manifest, ADDED, candidate="SUCCEEDED")
        # Then nothing is dropped and Terraform has nothing to do
        assert written == []
        assert (way_back.candidate_fate, way_back.provision_needed) == ("kept", False)
        assert (way_back.fenced, way_back.quiesced, way_back.touched) == (True, True, True)

    @pytest.mark.parametrize("terraform_says", ["blue", "green"])
    def test_a_cutover_that_had_begun_is_taken_back_through_terraform(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings, terraform_says: str
    ) -> None:
        self.begun(folder)
        manifest = Manifest.model_validate(manifest_document("blue", "green", active=terraform_says))
        way_back, written = self.back(folder, stubbed, settings, manifest, SWITCHED, cutover="FAILED")
        assert written == [ADDED]
        assert (way_back.cutover_begun, way_back.provision_needed, way_back.candidate_fate) == (
            True,
            True,
            "kept",
        )
        assert way_back.old is not None and way_back.old.generation == "blue"

    def test_a_second_return_finds_the_same_way_back(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        # Given a return that pointed the generations back and then failed
        self.begun(folder)
        manifest = Manifest.model_validate(manifest_document("blue", "green", active="green"))
        first, _ = self.back(folder, stubbed, settings, manifest, SWITCHED, cutover="SUCCEEDED")
        # When it is repeated
        second, written = self.back(folder, stubbed, settings, manifest, ADDED, cutover="SUCCEEDED")
        # Then Terraform still has to follow, and nothing is written again
        assert second == first
        assert written == []


class TestPointingBothStoresBack:
    def back(
        self,
        folder: RunFolder,
        stubbed: Stubbed,
        settings: Settings,
        manifest: dict[str, Any],
        current: Generations,
        *asked: tuple[str, str | None],
    ) -> tuple[WayBack, Generations | None]:
        """Point back; `asked` is what AWS says of each Terraform execution that is looked for, in order."""
        folder.write("request.json", {"candidate": "green", "media_candidate": "green"})
        folder.write("generations-before.json", BEFORE)
        for step, state in asked:
            status(stubbed, execution("provision", f"run-1-{step}"), state)
        written: list[Generations] = []
        way_back = point_back(
            folder,
            stubbed.client("stepfunctions"),
            settings,
            "run-1",
            Manifest.model_validate(manifest),
            current,
            written.append,
        )
        return way_back, written[0] if written else None

    def test_a_copy_that_failed_leaves_an_unfinished_bucket_for_the_next_run(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        # Given a run whose media copy failed while the app was stopped
        folder.write("quiesced.json", {})
        folder.write("media/fence.json", {})
        manifest = manifest_document("blue", "green", media=("blue", "green"))
        way_back, written = self.back(
            folder,
            stubbed,
            settings,
            manifest,
            BOTH_ADDED,
            ("provision-cutover", None),
            ("provision-candidate", "SUCCEEDED"),
        )
        # Then both candidates stay, the bucket as unfinished as it was, and the fence has to be lifted
        assert written is None
        assert (way_back.candidate_fate, way_back.media_candidate_fate) == ("kept", "kept")
        assert (way_back.fenced, way_back.media_fenced, way_back.provision_needed) == (False, True, False)
        assert way_back.old_bucket is not None and way_back.old_bucket.generation == "blue"

    def test_what_terraform_never_made_is_dropped_from_both_stores(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        way_back, written = self.back(
            folder,
            stubbed,
            settings,
            manifest_document(),
            BOTH_ADDED,
            ("provision-cutover", None),
            ("provision-candidate", "FAILED"),
        )
        assert written == BEFORE
        assert (way_back.media_candidate_fate, way_back.provision_needed) == ("dropped", True)

    def test_both_stores_go_back_in_one_write_when_the_cutover_had_begun(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        manifest = manifest_document("blue", "green", media=("blue", "green"))
        way_back, written = self.back(
            folder, stubbed, settings, manifest, BOTH_SWITCHED, ("provision-cutover", "FAILED")
        )
        assert written is not None
        assert (written.database.active, written.media.active) == ("blue", "blue")
        # what the app may have written there stays: no run takes such a bucket up again
        assert not written.media.all["green"].unfinished
        assert (way_back.cutover_begun, way_back.provision_needed) == (True, True)

    def test_an_unfinished_bucket_of_an_earlier_run_is_never_dropped(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        # Given a run that took up a bucket which an earlier one had begun to fill
        before = add(BEFORE, "media", "green", MediaSettings(unfinished=True))
        folder.write("generations-before.json", before)
        folder.write("request.json", {"candidate": None, "media_candidate": "green"})
        status(stubbed, execution("provision", "run-1-provision-cutover"), None)
        status(stubbed, execution("provision", "run-1-provision-candidate"), "FAILED")
        written: list[Generations] = []
        states = stubbed.client("stepfunctions")
        manifest = Manifest.model_validate(manifest_document(media=("blue", "green")))
        # When it is returned
        way_back = point_back(folder, states, settings, "run-1", manifest, before, written.append)
        # Then the bucket stays what it was, and the database was not the run's to touch
        assert written == []
        assert (way_back.media_candidate_fate, way_back.candidate_fate) == ("kept", "never made")
        assert way_back.candidate is None and way_back.old is not None

    def test_a_run_that_moved_the_database_alone_has_no_old_bucket(
        self, folder: RunFolder, stubbed: Stubbed, settings: Settings
    ) -> None:
        folder.write("generations-before.json", BEFORE)
        folder.write("request.json", {"candidate": "green", "media_candidate": None})
        status(stubbed, execution("provision", "run-1-provision-cutover"), None)
        status(stubbed, execution("provision", "run-1-provision-candidate"), None)
        states = stubbed.client("stepfunctions")
        manifest = Manifest.model_validate(manifest_document())
        way_back = point_back(folder, states, settings, "run-1", manifest, ADDED, lambda document: None)
        assert (way_back.old_bucket, way_back.media_candidate) == (None, None)
