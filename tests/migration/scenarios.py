"""What is done to an environment: each scenario is one story, and returns the facts that the tests look at.

Scenarios make things go wrong by means that AWS has: a process is killed, an instance stopped, a table
locked, an execution stopped. Only the failing apply is ordered from the local AWS.
"""

import gzip
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from examples.client import Figures, WritingClient
from examples.environment import KnowMeEnvironment, health
from examples.executions import Execution, Visit
from examples.journal import Journal, read_journal
from examples.local_server import LocalServer
from examples.reconcile import Reconciliation, reconcile

MIGRATION_SECONDS = 900
RESTORE = "Restore into the new database"
VERIFY = "Verify the database"
MOVE = "Move the data and keep a snapshot"
CUTOVER = "Make the candidates active"


@dataclass
class Facts:
    """What was seen of a migration, and of the environment after it."""

    run_id: str
    execution: Execution
    before: str
    after: str
    healthy: bool
    running_tasks: int
    ways_to_start: dict[str, bool]
    figures: Figures
    reconciliation: Reconciliation
    visits: list[Visit]
    lock: dict[str, Any] | None
    seconds: float
    extra: dict[str, Any] = field(default_factory=dict)

    def states(self, runbook: str) -> list[str]:
        """Return the names of the states of one runbook, in the order in which they were entered."""
        return [visit.state for visit in self.visits if visit.runbook == runbook]


@dataclass
class Stage:
    """An environment of the tests, with what is needed to act on it.

    `journal` is the log of every write that the environment acknowledged in its whole life.
    """

    environment: KnowMeEnvironment
    server: LocalServer
    journal: Path
    input: dict[str, Any] = field(default_factory=lambda: {"grace_seconds": 5})
    secrets: set[str] = field(default_factory=set)

    def lock(self) -> dict[str, Any] | None:
        """Return the item that locks the environment."""
        table = f"{self.environment.stack}-lock"
        key = {"environment": {"S": self.environment.name}}
        answer = self.environment.clients["dynamodb"].get_item(TableName=table, Key=key, ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def migrate(
        self, disturb: Callable[["Stage", str], None] | None = None, document: dict[str, Any] | None = None
    ) -> Facts:
        """Migrate while a client writes; `disturb` is called with the run id and does the damage."""
        environment, began = self.environment, time.monotonic()
        before = environment.active()
        journal = Journal(self.journal)
        client = WritingClient(environment.api_url, journal, writers=2, rate=10)
        client.start()
        try:
            arn = environment.executions.start("migrate", self.input if document is None else document)
            run_id = arn.rsplit(":", 1)[-1]
            if disturb:
                disturb(self, run_id)
            execution = environment.wait(arn, MIGRATION_SECONDS)
            self.wait_for_return(run_id, execution)
            self.wait_until(
                lambda: not client.figures().in_outage, 60, "the client's writes to succeed again"
            )
            acknowledged = client.figures().acknowledged
            self.wait_until(
                lambda: client.figures().acknowledged > acknowledged + 5, 60, "new writes to be acknowledged"
            )
        finally:
            figures = client.stop()
            journal.close()
        self.remember_secrets()
        after = environment.active()
        with closing(psycopg.connect(environment.application_connection_string(after))) as connection:
            result = reconcile(read_journal(self.journal), connection)
        return Facts(
            run_id=run_id,
            execution=execution,
            before=before,
            after=after,
            healthy=health(str(environment.manifest()["health_check_url"])) == "200",
            running_tasks=environment.running_tasks(),
            ways_to_start=environment.ways_to_start(),
            figures=figures,
            reconciliation=result,
            visits=environment.executions.visits(run_id),
            lock=self.lock(),
            seconds=time.monotonic() - began,
        )

    def wait_for_return(self, run_id: str, execution: Execution) -> None:
        """Wait until nothing of a failed run goes on: EventBridge starts a `return` after its end."""
        if execution.status == "SUCCEEDED":
            return
        executions = self.environment.executions

        def returned() -> bool:
            ended = [
                executions.describe(arn)
                for runbook, _, arn in executions.of_run(run_id)
                if runbook == "return"
            ]
            return bool(ended) and not any(item.is_running for item in ended) and self.lock() is None

        self.wait_until(returned, 300, "the return to end and the lock to be free")

    @staticmethod
    def wait_until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.5) -> None:
        """Wait for a condition, or fail naming it."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            time.sleep(pause)

    def wait_for_state(self, run_id: str, state: str, seconds: float = MIGRATION_SECONDS) -> None:
        """Wait until a run has entered a state, or fail when the run ends before."""
        executions = self.environment.executions

        def entered() -> bool:
            if any(visit.state == state for visit in executions.visits(run_id)):
                return True
            run = next(arn for runbook, name, arn in executions.of_run(run_id) if name == run_id)
            found = executions.describe(run)
            assert found.is_running, (
                f"{run_id} ended {found.status} before {state!r}: {found.error}: {found.cause}"
            )
            return False

        self.wait_until(entered, seconds, f"the state {state!r}", pause=0.15)

    def candidate(self, run_id: str) -> str:
        """Return the name of the generation that a run made."""
        states = self.environment.generations()["database"]
        before = self.environment.run_document(run_id, "generations-before.json")["database"]
        (name,) = states["all"].keys() - before["all"].keys()
        return str(name)

    def remember_secrets(self) -> None:
        """Keep every secret value that exists now: the search knows those of deleted secrets too."""
        client = self.environment.clients["secretsmanager"]
        for page in client.get_paginator("list_secrets").paginate():
            for secret in page["SecretList"]:
                for version in secret.get("SecretVersionsToStages", {}):  # generations are versions of one
                    answer = client.get_secret_value(SecretId=secret["ARN"], VersionId=version)
                    self.secrets.add(password_of(answer["SecretString"]))


def password_of(value: str) -> str:
    """Return the password of a secret's document, or the secret itself when it is none."""
    try:
        document = json.loads(value)
    except ValueError:
        return value
    return str(document["password"]) if isinstance(document, dict) and "password" in document else value


# ---------------------------------------------------------------- damage


def kill_the_restore(stage: Stage, run_id: str) -> None:
    """Kill pg_restore while it works."""
    stage.wait_for_state(run_id, RESTORE)
    wait_for_process(run_id, "pg_restore").kill()


def change_a_row_of_the_candidate(stage: Stage, run_id: str) -> None:
    """Change one row after the restore, before the verification reads it."""
    stage.wait_for_state(run_id, VERIFY)
    dsn = stage.environment.application_connection_string(stage.candidate(run_id))
    with psycopg.connect(dsn) as connection:
        changed = connection.execute(
            "UPDATE know_me_journalentry SET text = text || '!'"
            " WHERE id = (SELECT min(id) FROM know_me_journalentry)"
        )
        assert changed.rowcount == 1


def hold_a_lock_until_the_verification_times_out(stage: Stage, run_id: str) -> None:
    """Lock a table of the candidate, so that the verification waits longer than a job may take."""
    stage.wait_for_state(run_id, VERIFY)
    dsn = stage.environment.application_connection_string(stage.candidate(run_id))
    with closing(psycopg.connect(dsn)) as connection:
        connection.execute("LOCK TABLE know_me_comment IN ACCESS EXCLUSIVE MODE")
        executions = stage.environment.executions
        (child,) = (arn for runbook, _, arn in executions.of_run(run_id) if runbook == "move-database")
        stage.wait_until(lambda: not executions.describe(child).is_running, 180, "move-database to end")


def stop_the_candidate(stage: Stage, run_id: str) -> None:
    """Stop the candidate instance while the data is restored into it."""
    stage.wait_for_state(run_id, RESTORE)
    wait_for_process(run_id, "pg_restore")
    generation = stage.environment.generation(stage.candidate(run_id))
    stage.environment.clients["rds"].stop_db_instance(DBInstanceIdentifier=generation["instance_id"])


def let_the_cutover_fail(stage: Stage, run_id: str) -> None:
    """Let S3 refuse the policy that lets the app write into the new bucket, when Terraform switches."""
    stage.wait_for_state(run_id, CUTOVER)
    environment = stage.environment
    bucket = environment.media_bucket(environment.run_document(run_id, "request.json")["media_candidate"])
    stage.server.fail_next("s3", "PutBucketPolicy", "AccessDenied", "Refused by the test.", resource=bucket)


def stop_the_execution_by_hand(stage: Stage, run_id: str) -> None:
    """Stop the execution while everything is quiesced, as a person in the console would."""
    stage.wait_for_state(run_id, MOVE)
    stage.wait_for_state(run_id, RESTORE)
    run = next(arn for _, name, arn in stage.environment.executions.of_run(run_id) if name == run_id)
    stage.environment.clients["stepfunctions"].stop_execution(
        executionArn=run, error="StoppedByHand", cause="The test changed its mind."
    )


DENIED = "media/photos/denied.jpg"


def deny_a_new_object(stage: Stage, run_id: str) -> None:
    """Put an object into the old bucket after the copy ahead, and let the migration not read it."""
    stage.wait_for_state(run_id, "Record what runs")
    media, s3 = stage.environment.manifest()["media"], stage.environment.clients["s3"]
    bucket = media["generations"][media["active"]]["bucket"]
    statement = {
        "Sid": "DeniedByTheTest",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/{DENIED}",
        "Condition": {
            "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:role/{stage.environment.stack}-media-*"}
        },
    }
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"].append(statement)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    s3.put_object(Bucket=bucket, Key=DENIED, Body=b"nobody may read this")


def allow_the_new_object(stage: Stage) -> None:
    """Take back what `deny_a_new_object` did to the bucket policy."""
    media, s3 = stage.environment.manifest()["media"], stage.environment.clients["s3"]
    bucket = media["generations"][media["active"]]["bucket"]
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"] = [item for item in policy["Statement"] if item["Sid"] != "DeniedByTheTest"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def refusal_of_bucket(stage: Stage, bucket: str) -> str | None:
    """Return with which error a bucket refuses a new object, None when it takes it."""
    s3 = stage.environment.clients["s3"]
    try:
        s3.put_object(Bucket=bucket, Key="media/photos/written-by-the-test.jpg", Body=b"x")
    except s3.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    s3.delete_object(Bucket=bucket, Key="media/photos/written-by-the-test.jpg")
    return None


def wait_for_process(run_id: str, name: str, seconds: float = 60) -> psutil.Process:
    """Return a process of a build of a run, found by the variables that the build was started with."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == name:
                try:
                    if process.environ().get("RUN_ID", run_id) == run_id and _belongs_to(process, run_id):
                        return process
                except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                    continue
        time.sleep(0.01)
    raise AssertionError(f"no process {name} of {run_id} was seen within {seconds:.0f} s")


def _belongs_to(process: psutil.Process, run_id: str) -> bool:
    return any(parent.environ().get("RUN_ID") == run_id for parent in [process, *process.parents()[:4]])


# ---------------------------------------------------------------- searching for secrets


@contextmanager
def watching_processes() -> Iterator[set[str]]:
    """Collect every command line of this machine, and every environment of a build, while the block runs."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.05):
            for directory in Path("/proc").glob("[0-9]*"):
                try:
                    seen.add((directory / "cmdline").read_text(errors="replace"))
                    variables = (directory / "environ").read_text(errors="replace")
                except OSError:
                    continue
                if "CODEBUILD_BUILD_ID=" in variables:
                    seen.add(variables)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def everything_written(stage: Stage) -> Iterator[tuple[str, str]]:
    """Yield name and text of all that can be read: histories, logs, run folders, Terraform's state."""
    environment = stage.environment
    states, logs, s3 = (environment.clients[name] for name in ("stepfunctions", "logs", "s3"))
    for machine in (
        states.get_paginator("list_state_machines").paginate().build_full_result()["stateMachines"]
    ):
        for page in states.get_paginator("list_executions").paginate(
            stateMachineArn=machine["stateMachineArn"]
        ):
            for item in page["executions"]:
                arn = item["executionArn"]
                yield f"history of {arn}", json.dumps(environment.executions.history(arn), default=str)
                yield (
                    f"description of {arn}",
                    json.dumps(states.describe_execution(executionArn=arn), default=str),
                )
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for stream in logs.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]:
                yield _log(logs, group["logGroupName"], stream["logStreamName"])
    for bucket in (bucket["Name"] for bucket in s3.list_buckets()["Buckets"]):
        # In the other environments clients upload and delete at this moment.
        if bucket.startswith("know-me-") and not bucket.startswith(f"{environment.stack}-"):
            continue
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                yield f"s3://{bucket}/{item['Key']}", _text(body)
    for page in environment.clients["codebuild"].get_paginator("list_builds").paginate():
        for build in (
            environment.clients["codebuild"].batch_get_builds(ids=page["ids"])["builds"]
            if page["ids"]
            else []
        ):
            yield f"build {build['id']}", json.dumps(build, default=str)
    for parameter in environment.clients["ssm"].describe_parameters()["Parameters"]:
        value = environment.clients["ssm"].get_parameter(Name=parameter["Name"])["Parameter"]["Value"]
        yield f"parameter {parameter['Name']}", value


def _log(logs: Any, group: str, stream: str) -> tuple[str, str]:
    messages: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
        messages += [event["message"] for event in page["events"]]
        following = page["nextForwardToken"]
        if following == token.get("nextToken"):
            return f"log {group} {stream}", "\n".join(messages)
        token = {"nextToken": following}


def _text(body: bytes) -> str:
    """Return the text of an object; archives (a saved plan is one) are unpacked."""
    if body.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return "\n".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    if body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    return body.decode(errors="replace")
