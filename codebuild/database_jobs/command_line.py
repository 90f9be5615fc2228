"""The command line: one subcommand per job, inputs checked as a whole.

The result recorded whatever happens.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from job_support import performance
from job_support.errors import JobError
from job_support.performance import Figures
from job_support.progress import Progress
from job_support.run_folder import RunFolder
from pydantic import ValidationError

from database_jobs import (
    dump,
    fence,
    inspect_candidate,
    inspect_source,
    list_files,
    prepare_role,
    restore,
    verify,
)
from database_jobs.certificates import fetch_bundle
from database_jobs.connections import Server
from database_jobs.context import JobContext
from database_jobs.inputs import JobInputs, faults


@dataclass(frozen=True)
class Job:
    """A job: what it does, which databases it needs.

    And the name of the error when the unexpected happens.
    """

    run: Callable[[JobContext], Figures]
    needs: tuple[str, ...]
    summary: str
    error_name: str = "DatabaseJobFailed"


JOBS = {
    "prepare-role": Job(
        prepare_role.run, ("candidate",), "make the application role, its password and its database"
    ),
    "inspect": Job(inspect_source.run, ("source",), "check the old database before a migration"),
    "inspect-candidate": Job(
        inspect_candidate.run, ("source", "candidate"), "check that the new server can take the old database"
    ),
    "stop-writers": Job(
        fence.stop_writers, ("source",), "fence the old database: no logins, no writes, no sessions"
    ),
    "dump": Job(dump.run, ("source",), "dump the old database into the run folder", "DumpFailed"),
    "restore": Job(
        restore.run, ("candidate",), "restore the run's dump into the new database", "RestoreFailed"
    ),
    "verify": Job(verify.run, ("source", "candidate"), "compare both databases", "VerificationFailed"),
    "allow-writes": Job(fence.allow_writes, ("source",), "undo stop-writers"),
    "list-files": Job(list_files.run, ("source",), "list the files that rows of the old database refer to"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m database_jobs",
        description="The PostgreSQL work of a migration, one job per call.",
        epilog="Exit codes: 0 done, 1 failed (the cause is on standard error and in jobs/<job>.json of "
        "the run folder), "
        "2 the options are wrong. Databases are JSON objects as in the environment's manifest; "
        "passwords come from "
        "Secrets Manager.",
    )
    jobs = top.add_subparsers(dest="job", required=True, metavar="<job>")
    for name, job in JOBS.items():
        command = jobs.add_parser(
            name, help=job.summary, description=f"{job.summary[0].upper()}{job.summary[1:]}."
        )
        command.add_argument("--run-id", required=True, help="name of the execution")
        command.add_argument("--run-folder", required=True, metavar="URL", help="s3://<bucket>/runs/<run id>")
        command.add_argument(
            "--certificate-bundle-url",
            required=True,
            metavar="URL",
            help="certificate authorities of the servers (PEM)",
        )
        command.add_argument(
            "--source", default="{}", metavar="JSON", help="the old generation of the database"
        )
        command.add_argument(
            "--candidate", default="{}", metavar="JSON", help="the new generation of the database"
        )
        command.add_argument(
            "--grace-seconds",
            default="60",
            metavar="SECONDS",
            help="how long sessions may end by themselves (60)",
        )
        command.add_argument(
            "--phase", default="", choices=["", "ahead", "final"], help="of the media migration (list-files)"
        )
        command.add_argument(
            "--file-columns",
            default="[]",
            metavar="JSON",
            help='columns that hold paths of files: [{"table", "column", "prefix"}] (list-files)',
        )
        command.add_argument(
            "--workers", default="4", metavar="NUMBER", help="parallel jobs and connections (4)"
        )
    return top


def parse_inputs(options: argparse.Namespace) -> JobInputs:
    """Return the checked inputs.

    Raises
    ------
    ValueError
        One message with every fault.
    """
    job = JOBS[options.job]
    wrong: list[str] = []
    databases: dict[str, Any] = {}
    for side in ("source", "candidate"):
        try:
            document = json.loads(getattr(options, side) or "{}")
        except ValueError as error:
            wrong.append(f"{side}: not JSON ({error})")
            continue
        databases[side] = document or None
        if side in job.needs and not document:
            wrong.append(f"{side}: job {options.job} needs this database")
    try:
        file_columns = json.loads(options.file_columns or "[]")
    except ValueError as error:
        wrong.append(f"file_columns: not JSON ({error})")
        file_columns = []
    if options.job == "list-files" and not options.phase:
        wrong.append("phase: job list-files needs it, ahead or final")
    try:
        inputs = JobInputs.model_validate(
            {
                "run_id": options.run_id,
                "run_folder": options.run_folder,
                "certificate_bundle_url": options.certificate_bundle_url,
                "grace_seconds": options.grace_seconds or 60,
                "workers": options.workers or 4,
                "phase": options.phase or None,
                "file_columns": file_columns,
                **databases,
            }
        )
    except ValidationError as error:
        wrong += faults(error)
    if wrong:
        raise ValueError("The options are wrong: " + "; ".join(wrong))
    return inputs


def main(arguments: list[str] | None = None) -> int:
    """Run a job; return the exit code."""
    options = parser().parse_args(arguments)
    try:
        inputs = parse_inputs(options)
    except ValueError as error:
        refusal = JobError("DatabaseJobFailed", str(error), "Correct the options; see --help.")
        return performance.refuse(
            options.job, options.run_id, str(options.run_folder), lambda: boto3.client("s3"), refusal
        )
    performance.end_on_signals("DatabaseJobInterrupted")
    return perform(options.job, inputs, boto3.Session())


def perform(name: str, inputs: JobInputs, session: Any) -> int:
    """Run a job with checked inputs and record its result."""
    job = JOBS[name]
    folder = RunFolder(inputs.run_folder, session.client("s3"))

    def work() -> Figures:
        with tempfile.TemporaryDirectory(prefix="database-job-") as temporary:
            directory = Path(temporary)
            secrets = session.client("secretsmanager")
            bundle = fetch_bundle(inputs.certificate_bundle_url, directory / "authorities.pem")
            databases = {"source": inputs.source, "candidate": inputs.candidate}
            servers = {
                side: Server(database, secrets, bundle)
                for side, database in databases.items()
                if side in job.needs and database is not None
            }
            return job.run(JobContext(inputs, folder, Progress(name, folder), directory, secrets, servers))

    return performance.perform(name, inputs.run_id, folder, work, error_name=job.error_name)
