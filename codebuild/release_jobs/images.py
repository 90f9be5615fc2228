"""The image of a commit: its name, and whether it is in the repository already.

A tag is a commit and cannot be changed: a release of a commit that was built before takes its image.
"""

import re
from typing import Any

from botocore.exceptions import ClientError
from job_support.errors import JobError

REPOSITORY_URL = re.compile(r"(?P<registry>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+/(?P<name>[a-z0-9/_.-]+)")


def image_of(repository_url: str, commit: str) -> str:
    """Return the name of a commit's image.

    Raises
    ------
    JobError
        The commit is no tag.
    """
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        raise JobError(
            "ReleaseFailed",
            f"The commit {commit!r} is not the hash of a commit.",
            "Let the pipeline pass COMMIT as #{ApiSource.CommitId}.",
        )
    return f"{repository_url}:{commit}"


def is_there(ecr: Any, repository_url: str, commit: str) -> bool:
    """Return whether the repository has the image of a commit.

    Raises
    ------
    JobError
        The URL is not that of an ECR repository.
    """
    match = REPOSITORY_URL.fullmatch(repository_url)
    if match is None:
        raise JobError(
            "ReleaseFailed",
            f"{repository_url} is not the URL of an ECR repository.",
            "Correct REPOSITORY_URL of the build project through Terraform.",
        )
    try:
        ecr.describe_images(
            registryId=match["registry"], repositoryName=match["name"], imageIds=[{"imageTag": commit}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ImageNotFoundException":
            raise
        return False
    return True
