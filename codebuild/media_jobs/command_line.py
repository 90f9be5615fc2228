"""The command line: one subcommand per job, inputs checked as a whole.

The result recorded whatever happens.
"""

import argparse
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

from media_jobs import catch_up, compare, cross_check, look_back, survey, synchronise
from media_jobs.context import JobContext, s3_client
from media_jobs.inputs import LARGEST_SINGLE_COPY, JobInputs, faults

BOTH = ("source_bucket", "candidate_bucket")


@dataclass(frozen=True)
class Job:
    """A job: what it does, in which phases, and which options it needs."""

    run: Callable[[JobContext], Figures]
    phases: tuple[str, ...]
    needs: tuple[str, ...]
    summary: str


JOBS = {
    "survey": Job(
        survey.run, ("before",), ("source_bucket",), "list the old bucket and say what a copy would meet"
    ),
    "compare": Job(compare.run, ("ahead", "final"), BOTH, "find what has to be copied"),
    "synchronise": Job(
        synchronise.run, ("ahead", "final"), BOTH, "compare everything, put right what differs, prove it"
    ),
    "catch-up": Job(
        catch_up.run, ("final",), (*BOTH, "changes_queue_url"), "put right what changed since the copy ahead"
    ),
    "cross-check": Job(cross_check.run, ("final",), BOTH, "look for the files that rows refer to"),
    "look-back": Job(
        look_back.run,
        ("after",),
        (*BOTH, "resumed_at"),
        "see what the old bucket got after the app was stopped",
    ),
}

# Option → (default, what stands for its value, help).
OPTIONS = {
    "round": ("1", "NUMBER", "how often this job was started in this phase (1)"),
    "source-bucket": ("", "NAME", "the old bucket"),
    "candidate-bucket": ("", "NAME", "the new bucket"),
    "changes-queue-url": ("", "URL", "queue of the old bucket's events (synchronise ahead, catch-up)"),
    "versions": ("current", "WHICH", "current (default) or all"),
    "metadata-sample": ("1000", "NUMBER", "objects whose metadata and tags are compared, or all (1000)"),
    "single-copy-limit-bytes": (
        str(LARGEST_SINGLE_COPY),
        "BYTES",
        f"larger objects are copied in parts ({LARGEST_SINGLE_COPY})",
    ),
    "resumed-at": ("", "TIME", "when the app ran again, ISO 8601 (look-back)"),
    "large-objects-file": ("", "PATH", "where to write how many large objects are left to copy"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m media_jobs",
        description="The S3 work of a migration, one job per call.",
        epilog="Exit codes: 0 done, 1 failed (the cause is on standard error and in "
        "jobs/<phase>-<job>.json of the run folder), 2 the options are wrong.",
    )
    jobs = top.add_subparsers(dest="job", required=True, metavar="<job>")
    for name, job in JOBS.items():
        description = f"{job.summary[0].upper()}{job.summary[1:]}."
        command = jobs.add_parser(name, help=job.summary, description=description)
        command.add_argument("--run-id", required=True, help="name of the execution")
        command.add_argument("--run-folder", required=True, metavar="URL", help="s3://<bucket>/runs/<run id>")
        command.add_argument("--phase", required=True, help=f"of the migration: {' or '.join(job.phases)}")
        for option, (default, metavar, explanation) in OPTIONS.items():
            command.add_argument(f"--{option}", default=default, metavar=metavar, help=explanation)
    return top


def parse_inputs(options: argparse.Namespace) -> JobInputs:
    """Return the checked inputs.

    Raises
    ------
    ValueError
        One message with every fault.
    """
    job = JOBS[options.job]
    # An empty value is what a build has for an option that its job does not need.
    given = {name: value for name, value in vars(options).items() if name != "job" and value != ""}
    wrong = [
        f"{name}: job {options.job} needs it"
        for name in needs(options.job, options.phase)
        if name not in given
    ]
    if options.phase not in job.phases:
        wrong.append(f"phase: job {options.job} belongs to {' and '.join(job.phases)}, not {options.phase!r}")
    try:
        inputs = JobInputs.model_validate(given)
    except ValidationError as error:
        wrong += faults(error)
    if wrong:
        raise ValueError("The options are wrong: " + "; ".join(wrong))
    return inputs


def needs(job: str, phase: str) -> tuple[str, ...]:
    """Return the options that a job cannot do without in a phase."""
    # Before the final copy, synchronise proves that changes are heard.
    listens = job == "synchronise" and phase == "ahead"
    return (*JOBS[job].needs, *(["changes_queue_url"] if listens else []))


def main(arguments: list[str] | None = None) -> int:
    """Run a job; return the exit code."""
    options = parser().parse_args(arguments)
    try:
        inputs = parse_inputs(options)
    except ValueError as error:
        refusal = JobError("MediaJobFailed", str(error), "Correct the options; see --help.")
        name = f"{options.phase}-{options.job}"
        folder: str = options.run_folder
        return performance.refuse(name, options.run_id, folder, lambda: boto3.client("s3"), refusal)
    performance.end_on_signals("MediaJobInterrupted")
    return perform(options.job, inputs, boto3.Session())


def perform(job: str, inputs: JobInputs, session: Any) -> int:
    """Run a job with checked inputs and record its result."""
    name, s3 = f"{inputs.phase}-{job}", s3_client(session)
    folder = RunFolder(inputs.run_folder, s3)

    def work() -> Figures:
        with tempfile.TemporaryDirectory(prefix="media-job-") as temporary:
            progress, directory = Progress(name, folder), Path(temporary)
            context = JobContext(inputs, folder, progress, directory, s3, session.client("sqs"))
            context.tell_large_objects(0)
            return JOBS[job].run(context)

    return performance.perform(name, inputs.run_id, folder, work, error_name="MediaJobFailed")
