"""The command line of the jobs of a release."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from job_support.errors import JobError

from release_jobs import descriptions, images, web_release

SUCCEEDED, FAILED, ABSENT = 0, 1, 3


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m release_jobs",
        description="What the builds of a release do besides building.",
        epilog="Exit codes: 0 done, 1 failed (the cause is on standard error), 2 wrong usage, "
        "3 the image is not there yet (image-exists).",
    )
    jobs = top.add_subparsers(dest="job", required=True, metavar="job")
    exists = jobs.add_parser("image-exists", help="whether the image of a commit is in the repository")
    describe = jobs.add_parser(
        "describe", help="write imageDetail.json, taskdef.json and appspec.yaml for the pipeline"
    )
    for command in (exists, describe):
        command.add_argument("--repository-url", required=True, help="of the ECR repository")
        command.add_argument("--commit", required=True, help="hash of the commit: the image's tag")
    describe.add_argument("--task-definition-parameter", required=True, help="SSM parameter with its ARN")
    describe.add_argument("--container", required=True, help="container that runs the image")
    describe.add_argument("--port", required=True, type=int, help="on which it listens")
    describe.add_argument("--subnets", required=True, help="of the tasks, with commas between them")
    describe.add_argument("--security-groups", required=True, help="of the tasks, with commas between them")
    describe.add_argument("--hook", required=True, help="name of the function before the installation")
    describe.add_argument("--directory", required=True, type=Path, help="where the files go")
    web = jobs.add_parser("release-web", help="put a build of the web app into its bucket")
    web.add_argument("--directory", required=True, type=Path, help="the build")
    web.add_argument("--bucket", required=True)
    web.add_argument("--distribution", default="", help="id of the CloudFront distribution; none for none")
    web.add_argument("--reference", required=True, help="tells a repeated invalidation from a new one")
    return top


def main(arguments: Sequence[str] | None = None, session: Any = None) -> int:
    """Run one job; return the exit code."""
    options = parser().parse_args(arguments)
    session = session or boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
    try:
        return _run(options, session)
    except JobError as error:
        print(f"{error.name}: {error.cause}\n{error.remedy}", file=sys.stderr, flush=True)  # noqa: T201
    except (ClientError, BotoCoreError, PermissionError) as error:
        print(f"AWS refused the build: {error}", file=sys.stderr, flush=True)  # noqa: T201
    return FAILED


def _run(options: argparse.Namespace, session: Any) -> int:
    if options.job == "image-exists":
        images.image_of(options.repository_url, options.commit)
        there = images.is_there(session.client("ecr"), options.repository_url, options.commit)
        return SUCCEEDED if there else ABSENT
    if options.job == "describe":
        _describe(options, session)
        return SUCCEEDED
    figures = web_release.release(
        session.client("s3"),
        session.client("cloudfront"),
        options.directory,
        bucket=options.bucket,
        distribution=None if options.distribution in ("", "none") else options.distribution,
        reference=options.reference,
        now=datetime.now(UTC),
    )
    print(json.dumps(figures), flush=True)  # noqa: T201
    return SUCCEEDED


def _describe(options: argparse.Namespace, session: Any) -> None:
    current, tags = descriptions.current_definition(
        session.client("ssm"), session.client("ecs"), options.task_definition_parameter
    )
    files = descriptions.write(
        options.directory,
        images.image_of(options.repository_url, options.commit),
        descriptions.task_definition(current, tags, options.container),
        descriptions.appspec(
            container=options.container,
            port=options.port,
            subnets=options.subnets.split(","),
            security_groups=options.security_groups.split(","),
            hook=options.hook,
        ),
    )
    print("\n".join(map(str, files)), flush=True)  # noqa: T201
