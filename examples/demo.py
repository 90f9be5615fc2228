"""``python -m examples.demo``: a real database and a media bucket migrate behind an API that keeps writing.

Starts the local AWS, deploys the orchestrator with the CDK and the infrastructure with Terraform, fills the
database and the bucket, keeps a client writing and uploading, and runs the `migrate` state machine. It proves
what it claims: the log of acknowledged writes and the new database agree row for row, every acknowledged
upload is read back byte for byte, the objects of both buckets agree, Terraform plans no change, the old
stores are still there and refuse writes. The environment stays up afterwards; a second call migrates it
again.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg import sql
from rich.console import Console
from rich.table import Table

from examples import sample_data, sample_media, user_dump
from examples.api.database import SchemaMissingError
from examples.api.resources import RESOURCES
from examples.client import WritingClient
from examples.commands import PROJECT, CommandFailedError
from examples.compare_objects import Comparison, compare_objects
from examples.database_access import DatabaseAccessError
from examples.environment import EnvironmentFailedError, KnowMeEnvironment, start_with_cli
from examples.figures import Figures
from examples.http_requests import RequestFailedError
from examples.journal import Journal, JournalError, read_journal
from examples.live_view import Watcher, elapsed, view
from examples.local_server import LocalServer
from examples.media_run import MediaRun, bucket_refuses_writes, changed_in, read_media_run
from examples.proof import Proof
from examples.reconcile import Reconciliation, reconcile
from examples.reconcile_photos import PhotoReconciliation, expectations, reconcile_photos

_DEFAULT_PORT = 4566
_MIGRATION_SECONDS = 3600
_WARM_UP_SECONDS = 3
_AFTER_SECONDS = 3
# What S3 copies in one request is lowered from 5 GiB, so that a film of the sample data is copied in parts.
_SINGLE_COPY_LIMIT_BYTES = 8 * 1024**2
_LARGE_OBJECT_BYTES = 21 * 1024**2
_COMPARED_OBJECTS = 500

_KNOWN_ERRORS = (
    CommandFailedError,
    EnvironmentFailedError,
    DatabaseAccessError,
    SchemaMissingError,
    user_dump.UserDumpError,
    JournalError,
    RequestFailedError,
    psycopg.Error,
    ClientError,
    BotoCoreError,
    OSError,
)


@dataclass(frozen=True)
class Before:
    """Which generations were active before the migration."""

    database: str
    media: str


@dataclass(frozen=True)
class Seen:
    """What was looked at after the migration."""

    rows: Reconciliation
    photos: PhotoReconciliation
    objects: Comparison
    media: MediaRun
    changed: tuple[int, int]


class Demo:
    """One demonstration, step by step.

    Parameters
    ----------
    options
        The command line.
    console
        Where it speaks to the person.
    """

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self.options = options
        self.console = console
        # Two demos on two local AWSs must not mix their logs.
        name = "demo" if options.port == _DEFAULT_PORT else f"demo-{options.port}"
        self.build = PROJECT / "build" / name
        self.server = LocalServer(options.port, None, self.build / "localaws.log")
        self.began = time.monotonic()

    @contextmanager
    def step(self, sentence: str) -> Iterator[None]:
        """Announce a step, and how long it took."""
        began = time.monotonic()
        self.say(f"[bold]{sentence} …[/bold]")
        yield
        self.say(f"  done in {elapsed(time.monotonic() - began)}")

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        self.console.print(
            f"[dim]{elapsed(time.monotonic() - self.began):>12}[/dim]  {text}",
            highlight=False,
            soft_wrap=True,
        )

    def run(self) -> Proof:
        """Do everything; returns what was proven."""
        environment = self.prepare()
        journal = Journal(self.build / "writes.jsonl")
        client = WritingClient(
            environment.api_url,
            journal,
            writers=self.options.writers,
            rate=self.options.rate,
            uploads=self.options.uploads,
        )
        before = Before(environment.active(), environment.active_media())
        self.say(
            f"The client starts to write to {environment.api_url} and to upload photos; it logs every "
            "acknowledged write and upload."
        )
        client.start()
        try:
            time.sleep(_WARM_UP_SECONDS)
            run_id = self.migrate(environment, client)
            time.sleep(_AFTER_SECONDS)
        finally:
            figures = client.stop()
            journal.close()
        with self.step("Proving it"):
            seen = self.look(environment, before, run_id, journal.path)
            proof = self.prove(environment, before, run_id, seen, (figures, client.photos.figures()))
        self.summarise(environment, run_id, figures, seen, proof)
        return proof

    # ------------------------------------------------------------ before

    def prepare(self) -> KnowMeEnvironment:
        """Bring the environment up, with data in it."""
        if self.options.dump:
            user_dump.check(self.options.dump)
        self.build.mkdir(parents=True, exist_ok=True)
        running = self.server.is_up()
        if running and self.options.fresh:
            with self.step("Emptying the local AWS"):
                self.server.down()
            running = False
        if running:
            self.say(f"The local AWS runs already at {self.server.endpoint} (--fresh empties it).")
        else:
            # What an earlier demo left belongs to a local AWS that is no more.
            shutil.rmtree(self.build, ignore_errors=True)
            with self.step(f"Starting the local AWS on port {self.options.port}"):
                self.server.up()
        self.server.use()
        self.server.set_single_copy_limit(_SINGLE_COPY_LIMIT_BYTES)
        environment = KnowMeEnvironment(
            self.options.environment,
            self.build / self.options.environment,
            listener_port=self.options.listener_port,
            single_copy_limit_bytes=_SINGLE_COPY_LIMIT_BYTES,
        )
        with self.step(f"Deploying the orchestrator: cdk deploy {environment.stack}"):
            environment.bootstrap()
            environment.deploy()
        with self.step("Provisioning the infrastructure: state machine provision (plan → apply)"):
            self.show(environment, environment.executions.start("provision"))
        with self.step("Creating the schema: the image's `migrate` command as an ECS task"):
            environment.run_api_command("migrate")
        with self.step("Storing the static files: the image's `collectstatic` command"):
            environment.run_api_command("collectstatic")
        self.fill(environment)
        self.fill_media(environment)
        with self.step("Waiting until the API is healthy behind its load balancer"):
            environment.wait_until_healthy()
        return environment

    def fill(self, environment: KnowMeEnvironment) -> None:
        """Load the user's file, or sample data unless they are there already."""
        dsn = environment.application_connection_string()
        if self.options.dump:
            with self.step(f"Loading {self.options.dump}"), closing(psycopg.connect(dsn)) as connection:
                loaded = user_dump.load(self.options.dump, connection)
            self.say(f"  {loaded.statements} statements run as the application role")
            for reason, count in loaded.left_out.items():
                self.say(f"  {count} left out: {reason}")
            self.say("  The API's own tables stand beside yours, so that its client can go on writing.")
            return
        with closing(psycopg.connect(dsn)) as connection:
            present = connection.execute("SELECT count(*) FROM account_user").fetchone()
        if present and present[0] >= self.options.users:
            self.say(f"The data of an earlier demo are there: {present[0]:,} users.")
            return
        with self.step(f"Loading sample data for {self.options.users:,} users"):
            rows = sample_data.load(dsn, self.options.users)
        self.say(f"  {sum(rows.values()):,} rows in {len(rows)} tables")

    def fill_media(self, environment: KnowMeEnvironment) -> None:
        """Upload sample objects with their rows, unless they are there already."""
        dsn, bucket = environment.application_connection_string(), environment.media_bucket()
        with closing(psycopg.connect(dsn)) as connection:
            present = connection.execute(
                "SELECT count(*) FROM know_me_photo WHERE file LIKE 'sample-%'"
            ).fetchone()
        if present and present[0]:
            self.say(f"The photos of an earlier demo are there: {present[0]:,} rows.")
            return
        with self.step(f"Uploading {self.options.objects:,} sample objects and one large one to {bucket}"):
            loaded = sample_media.load(
                environment.clients["s3"], bucket, dsn, self.options.objects, _LARGE_OBJECT_BYTES
            )
        self.say(
            f"  {loaded.objects:,} objects, {loaded.bytes:,} bytes; {loaded.rows:,} rows refer to files, "
            f"{sample_media.MISSING_FILES} of them to none that is there; "
            f"{loaded.unreferenced} objects have no row"
        )

    # ------------------------------------------------------------ the migration

    def migrate(self, environment: KnowMeEnvironment, client: WritingClient) -> str:
        """Start `migrate` with the AWS CLI and watch it; returns the run id."""
        machine = environment.executions.state_machine_arn("migrate")
        arn, command = start_with_cli(machine, self.build / "aws.log")
        self.console.print(f"\n[bold]$ {command}[/bold]\n", highlight=False, soft_wrap=True)
        with self.step("Migrating"):
            self.show(environment, arn, client)
        return arn.rsplit(":", 1)[-1]

    def show(self, environment: KnowMeEnvironment, arn: str, client: WritingClient | None = None) -> None:
        """Show an execution until it ends well.

        Raises
        ------
        EnvironmentFailedError
            It did not; the message has its cause and where the details are.
        """
        run_id = arn.rsplit(":", 1)[-1]
        with view(self.console) as shown:
            watcher = Watcher(environment, run_id, shown, client)
            execution = environment.wait(arn, _MIGRATION_SECONDS, watcher.look)
            watcher.look()
        if execution.status != "SUCCEEDED":
            raise EnvironmentFailedError(
                f"{arn} ended {execution.status} with {execution.error}: {execution.cause}\n"
                f"Details: s3://{environment.artifacts_bucket}/runs/{run_id}/ and the log of the local AWS, "
                f"{self.server.status()['directory']}/server.log"
            )

    # ------------------------------------------------------------ after

    def look(self, environment: KnowMeEnvironment, before: Before, run_id: str, log: Path) -> Seen:
        """Compare everything that can be compared from outside."""
        with closing(psycopg.connect(environment.application_connection_string())) as connection:
            rows = reconcile(read_journal(log), connection)
        photos = reconcile_photos(read_journal(log), environment.api_url)
        old, new = environment.media_bucket(before.media), environment.media_bucket()
        objects = compare_objects(
            environment.clients["s3"], old, new, expectations(read_journal(log)), _COMPARED_OBJECTS
        )
        media = read_media_run(environment, run_id)
        return Seen(rows, photos, objects, media, changed_in(environment, media, old))

    def prove(
        self,
        environment: KnowMeEnvironment,
        before: Before,
        run_id: str,
        seen: Seen,
        figures: tuple[Figures, Figures],
    ) -> Proof:
        """Say whether everything is true that the demo claims."""
        proof = Proof()
        writes, uploads = figures
        now = environment.active()
        proof.claim(now != before.database, f"the database moved from generation {before.database} to {now}")
        now = environment.active_media()
        proof.claim(now != before.media, f"the media moved from generation {before.media} to {now}")
        proof.claim(not writes.in_outage and not uploads.in_outage, "writes and uploads succeed again")
        proof.claim(seen.rows.agrees and seen.rows.acknowledged > 0, seen.rows.summary())
        proof.claim(seen.photos.agrees and seen.photos.read > 0, seen.photos.summary())
        verification = environment.run_document(run_id, "verification.json")
        proof.claim(
            verification["verdict"] == "equal",
            f"verification of the database: {len(verification['tables'])} tables are equal",
        )
        self.prove_media(proof, seen)
        self.prove_old_stores(proof, environment, before)
        changes = environment.planned_changes()
        proof.claim(changes == 0, f"Terraform plans {changes} changes")
        return proof

    def prove_media(self, proof: Proof, seen: Seen) -> None:
        """Add the claims about the objects."""
        media = seen.media
        proof.claim(
            media.verification["verdict"] == "equal",
            f"verification of the media: {media.verification['objects']:,} objects are equal",
        )
        proof.claim(seen.objects.agrees, seen.objects.summary())
        least, most = seen.changed
        proof.claim(
            least <= media.copied_while_stopped <= most,
            f"{media.copied_while_stopped} objects were copied while the app was stopped: as many as changed "
            f"since the copy ahead ({least if least == most else f'{least} to {most}'})",
        )
        missing = media.cross_check["newly_missing"]
        proof.claim(
            not missing,
            f"cross-check: {len(missing)} of {media.cross_check['paths']:,} files that rows refer to are "
            "newly missing",
        )
        late = media.look_back["copied_late"]
        proof.claim(not late, f"{len(late)} objects reached the old bucket after the comparison")

    def prove_old_stores(self, proof: Proof, environment: KnowMeEnvironment, before: Before) -> None:
        """Add the claims about what stays: both old stores exist, refuse writes, and are Terraform's."""
        instance = environment.generation(before.database)["instance_id"]
        refusal = refuses_writes(environment, before.database)
        proof.claim(refusal is not None, f"the old instance {instance} refuses writes: {refusal}")
        described = environment.clients["rds"].describe_db_instances(DBInstanceIdentifier=instance)
        status = described["DBInstances"][0]["DBInstanceStatus"]
        proof.claim(status == "available", f"the old instance still exists and is {status}")
        bucket = environment.media_bucket(before.media)
        refusal = bucket_refuses_writes(environment, bucket)
        proof.claim(refusal is not None, f"the old bucket {bucket} refuses writes: {refusal}")
        known = instance in environment.instances_in_terraform()
        proof.claim(
            known and bucket in environment.buckets_in_terraform(), "both old stores are in Terraform's state"
        )

    def summarise(
        self,
        environment: KnowMeEnvironment,
        run_id: str,
        figures: Figures,
        seen: Seen,
        proof: Proof,
    ) -> None:
        """Print the figures, the proof, and how to look around; fetch the report."""
        report = self.build / "report.html"
        report.write_bytes(environment.run_file(run_id, "report.html"))
        verification = environment.run_document(run_id, "verification.json")
        findings = environment.run_document(run_id, "preflight.json")["findings"]
        counts = {
            kind: sum(item["result"] == kind for item in findings)
            for kind in ("passed", "warning", "failed", "skipped")
        }
        table = Table(
            box=None,
            show_header=False,
            title="Migrated" if proof.complete else "NOT PROVEN",
            title_justify="left",
        )
        downtime = figures.longest_outage_seconds(time.time())
        rows = {
            "run": run_id,
            "downtime seen by the client": f"{downtime:.1f} s",
            "rows": f"{verification['rows']:,} in {len(verification['tables'])} tables",
            "bytes": f"{verification['bytes']:,}",
            "findings": ", ".join(f"{count} {kind}" for kind, count in counts.items() if count),
            "verification": f"{verification['verdict']}, {verification['seconds']:.1f} s",
            "writes": f"{seen.rows.acknowledged} acknowledged, {seen.rows.kept} found",
            **media_rows(seen),
            "report": str(report),
        }
        for name, value in rows.items():
            table.add_row(f"[dim]{name}[/dim]", value)
        self.console.print()
        self.console.print(table, highlight=False, soft_wrap=True)
        for holds, sentence in proof.claims:
            mark = "[green]✔[/green]" if holds else "[red]✘[/red]"
            self.console.print(f" {mark} {sentence}", highlight=False, soft_wrap=True)
        if self.options.keep:
            self.explain(environment)

    def explain(self, environment: KnowMeEnvironment) -> None:
        """Print the commands to look around with."""
        port = "" if self.options.port == _DEFAULT_PORT else f" --port {self.options.port}"
        machine = environment.executions.state_machine_arn("migrate")
        secret = environment.generation()["application_secret_arn"].split(":secret:")[-1].rsplit("-", 1)[0]
        folder = Path(sys.executable).parent
        shown = folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder
        commands = [
            f'eval "$({shown}/python -m localaws env{port})"',
            f"{shown}/aws stepfunctions list-executions --state-machine-arn {machine} --output table",
            f"{shown}/aws s3 ls --recursive s3://{environment.artifacts_bucket}/runs/",
            f"{shown}/aws s3 ls --recursive --summarize s3://{environment.media_bucket()}/",
            f'eval "$({shown}/python -m examples.database_access {secret})"; psql',
            f"{shown}/python -m examples.client {environment.api_url}",
            f"{shown}/aws stepfunctions start-execution --state-machine-arn {machine} --input '{{}}'",
            f"{shown}/python -m localaws down{port}",
        ]
        self.console.print("\nThe environment stays up. Look around, and migrate again:\n")
        for command in commands:
            self.console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)
        self.console.print()


def media_rows(seen: Seen) -> dict[str, str]:
    """Return the lines of the summary about the media."""
    media, photos, objects = seen.media, seen.photos, seen.objects
    check, left = media.cross_check, media.look_back["unreferenced"]
    large = media.ahead["large_objects"] + media.final["large_objects"]
    least, most = seen.changed
    return {
        "media": f"{media.verification['objects']:,} objects, {media.verification['bytes']:,} bytes",
        "copied ahead": f"{media.copied_ahead:,} objects, {media.ahead['copied_by_batch']:,} of them by "
        f"S3 Batch Operations, {elapsed(media.ahead['seconds'])}",
        "copied while stopped": f"{media.copied_while_stopped} objects ({least} to {most} changed since), "
        f"{media.final['removed']} removed, {elapsed(media.final['seconds'])}",
        "large objects": f"{large} copied in parts",
        "cross-check": f"{check['paths']:,} files referred to, {check['present']:,} there, "
        f"{check['missing_before']} missing before, {len(check['newly_missing'])} newly; "
        f"{left['objects']} objects without a row",
        "uploads": f"{photos.uploads} acknowledged, {photos.read} read back, {photos.deleted} deleted since",
        "head-object": f"{objects.compared:,} of {objects.objects:,} compared, "
        f"{len(objects.differences)} different",
    }


def refuses_writes(environment: KnowMeEnvironment, generation: str) -> str | None:
    """Try to write to a generation as the application; return why it is refused, or None when it is not."""
    try:
        dsn = environment.application_connection_string(generation)
        with closing(psycopg.connect(dsn)) as connection:
            table = sql.Identifier(RESOURCES["comments"].table)
            connection.execute(sql.SQL("DELETE FROM {} WHERE false").format(table))
            connection.rollback()
    except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
        return str(error).strip().splitlines()[-1]
    return None


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Migrate a real PostgreSQL database and a media bucket in one run, hands off, while a "
        "client keeps writing and uploading.",
        epilog="Run again on an environment that is up, and it migrates again, to a new generation, with the "
        "data that are there; --fresh starts from nothing. Exit code 0: every claim was seen to be true; "
        "1: something was not, or failed; 2: wrong usage; 130: interrupted, everything was stopped.",
    )
    parser.add_argument(
        "--dump",
        type=Path,
        metavar="FILE",
        help="migrate the database of this SQL file (pg_dump, or a script for psql)",
    )
    parser.add_argument(
        "--users",
        type=int,
        default=10_000,
        help="size of the sample data, 45 rows per user (default: %(default)s)",
    )
    parser.add_argument(
        "--objects",
        type=int,
        default=2_000,
        help="small objects in the media bucket, besides those with awkward keys and a large one "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--environment", default="staging", help="name of the environment (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=_DEFAULT_PORT, help="of the local AWS (default: %(default)s)"
    )
    parser.add_argument(
        "--listener-port", type=int, default=8080, help="of the load balancer (default: %(default)s)"
    )
    parser.add_argument("--writers", type=int, default=4, help="threads of the client (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="writes per second (default: %(default)s)")
    parser.add_argument(
        "--uploads", type=float, default=3, help="photos per second besides (default: %(default)s)"
    )
    parser.add_argument(
        "--keep",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave the environment up afterwards (default)",
    )
    parser.add_argument("--fresh", action="store_true", help="empty the local AWS first")
    options = parser.parse_args(arguments)
    faults = [
        message
        for holds, message in (
            (options.users >= 1, "--users must be at least 1"),
            (options.objects >= 1, "--objects must be at least 1"),
            (
                options.writers >= 1 and options.rate > 0 and options.uploads > 0,
                "--writers, --rate and --uploads must be positive",
            ),
            (options.dump is None or options.dump.is_file(), f"--dump {options.dump}: there is no such file"),
            (1 <= options.port <= 65535 and 1 <= options.listener_port <= 65535, "ports are 1 to 65535"),
        )
        if not holds
    ]
    if faults:
        parser.error("; ".join(faults))
    return options


def check_tools() -> list[str]:
    """Return a sentence for everything that the demo needs and this machine lacks."""
    lacking = []
    for module in ("prerequisites", "postgresql"):
        command = [sys.executable, "-m", f"localaws.{module}"]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            lacking += [line.removeprefix("missing: ") for line in (done.stdout + done.stderr).splitlines()]
    tools = (PROJECT / "node_modules" / ".bin" / "cdk", Path(sys.executable).parent / "aws")
    lacking += [f"{tool} is not there: run `make setup`." for tool in tools if not tool.exists()]
    return lacking


def _stop_everything(demo: Demo) -> None:
    """Take the local AWS down; further Ctrl-C cannot interrupt that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    demo.server.down()


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None, console: Console | None = None) -> int:
    """Run the demonstration and return its exit code."""
    options = parse(arguments)
    console = console or Console()
    errors = Console(stderr=True)
    if lacking := check_tools():
        for sentence in lacking:
            errors.print(f"missing: {sentence}", style="red", highlight=False, markup=False)
        return 1
    if options.dump:
        options.dump = options.dump.resolve()
    os.chdir(PROJECT)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    demo = Demo(options, console)
    try:
        proof = demo.run()
        code = 0 if proof.complete else 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; stopping everything.")
        _stop_everything(demo)
        return 130
    except _KNOWN_ERRORS as error:
        errors.print(
            f"\n{type(error).__name__}: {error}", style="red", highlight=False, markup=False, soft_wrap=True
        )
        errors.print(f"Logs: {demo.build}/", highlight=False, soft_wrap=True)
        code = 1
    if not options.keep:
        _stop_everything(demo)
    return code


if __name__ == "__main__":
    sys.exit(main())
