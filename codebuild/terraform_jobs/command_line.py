"""The command line: install Terraform, plan, apply; the result is recorded whatever happens."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from job_support.run_folder import RunFolder

from terraform_jobs import actions, installation
from terraform_jobs.errors import ProvisionFailed
from terraform_jobs.settings import Settings, read_settings
from terraform_jobs.terraform import Stopped, Terraform, stop_signals_raise

BUNDLE = Path(__file__).resolve().parents[2]
SUCCEEDED, FAILED = 0, 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m terraform_jobs",
        description="Terraform as the provision runbook runs it: make a plan, later apply exactly that plan.",
        epilog="plan and apply read ENVIRONMENT, STATE_BUCKET, GENERATIONS_PARAMETER, RUN_ID, RUN_FOLDER, "
        "BACKEND_CONFIG (JSON, optional), DESTROY (true or false), TARGETS and REPLACE (JSON lists of "
        "addresses, optional) and AWS_REGION, and write jobs/terraform-<action>.json in the run "
        "folder. Exit codes: 0 done, 1 failed (the cause is on standard error and in that file), "
        "2 wrong usage.",
    )
    top.add_argument(
        "--install-directory",
        type=Path,
        default=BUNDLE / "build" / "terraform",
        help="where a downloaded Terraform lives (default: %(default)s)",
    )
    subcommands = top.add_subparsers(dest="action", required=True, metavar="action")
    subcommands.add_parser(
        "install",
        help=f"use the terraform on PATH when it has the version of {installation.VERSION_FILE.name}, "
        "otherwise download that version",
    )
    for name, summary in {
        "plan": "make a plan and store it in the run folder",
        "apply": "apply exactly the plan of the run folder",
    }.items():
        command = subcommands.add_parser(name, help=summary, description=summary)
        command.add_argument(
            "--directory", type=Path, default=BUNDLE / "terraform", help="root module (default: %(default)s)"
        )
        command.add_argument(
            "--changes-file", type=Path, help="write the number of changes of the plan to this file"
        )
    return top


def main(
    arguments: Sequence[str] | None = None, variables: Mapping[str, str] = os.environ, session: Any = None
) -> int:
    """Run one action; return the exit code."""
    options = parser().parse_args(arguments)
    try:
        with stop_signals_raise():
            program = installation.install(options.install_directory)
            if options.action == "install":
                version = ".".join(map(str, installation.version_of(program) or ()))
                print(f"Terraform {version}: {program}", flush=True)  # noqa: T201
                return SUCCEEDED
            return _run(options, Terraform(program, options.directory), read_settings(variables), session)
    except ProvisionFailed as error:
        _explain(error)
    except Stopped as stopped:
        _explain(ProvisionFailed(f"The build was stopped ({stopped}).", "Start the run again."))
    return FAILED


def _run(options: argparse.Namespace, terraform: Terraform, settings: Settings, session: Any) -> int:
    session = session or boto3.session.Session(region_name=settings.region)
    folder = RunFolder(settings.run_folder, session.client("s3"))
    work: dict[str, Callable[[], actions.Figures]] = {
        "plan": lambda: actions.plan(terraform, settings, folder, session.client("ssm")),
        "apply": lambda: actions.apply(terraform, settings, folder),
    }
    started = datetime.now(UTC)
    figures: actions.Figures = {}
    failure: ProvisionFailed | None = None
    try:
        figures = work[options.action]()
        if options.changes_file:
            options.changes_file.write_text(str(figures["changes"]))
    except ProvisionFailed as error:
        failure = error
    except Stopped as stopped:
        failure = ProvisionFailed(f"The build was stopped ({stopped}).", "Start the run again.")
    except (ClientError, BotoCoreError) as error:
        failure = ProvisionFailed(
            f"AWS refused the build: {error}.", "Correct the cause and start the run again."
        )
    except Exception as error:
        traceback.print_exc()
        failure = ProvisionFailed(
            f"The build met an error it does not know: {error!r}.",
            "The build's log has the details: report them.",
        )
    if failure:
        _explain(failure)
    finished = datetime.now(UTC)
    folder.write_json(
        f"jobs/terraform-{options.action}.json",
        {
            "job": f"terraform-{options.action}",
            "run_id": settings.run_id,
            "status": "failed" if failure else "succeeded",
            "started_at": _timestamp(started),
            "finished_at": _timestamp(finished),
            "seconds": round((finished - started).total_seconds(), 3),
            "error": failure
            and {"name": type(failure).__name__, "cause": failure.cause, "remedy": failure.remedy},
            "figures": figures,
        },
    )
    return FAILED if failure else SUCCEEDED


def _explain(failure: ProvisionFailed) -> None:
    print(f"{type(failure).__name__}: {failure.cause}\n{failure.remedy}", file=sys.stderr, flush=True)  # noqa: T201


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
