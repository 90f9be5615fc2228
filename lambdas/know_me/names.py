"""Names: which are allowed, and how those of one run derive from its id.

A retried step finds its own earlier work by them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Annotated

from pydantic import StringConstraints

SLUG_PATTERN = r"^[a-z](?:-?[a-z0-9]){1,15}$"
"""Environments and generations: 2 to 16 lower-case letters, digits and single hyphens, a letter first."""

RUN_ID_PATTERN = r"^[A-Za-z0-9_-]{1,60}$"
"""A name of an execution (80 characters in Step Functions) with room for the suffixes of its children."""

EXECUTION_NAME_PATTERN = r"^[A-Za-z0-9_-]{1,80}$"
"""Names of executions that are not a run id: children have suffixes, EventBridge makes long ones."""

Slug = Annotated[str, StringConstraints(strict=True, pattern=SLUG_PATTERN, max_length=16)]
RunId = Annotated[str, StringConstraints(strict=True, pattern=RUN_ID_PATTERN)]
ExecutionName = Annotated[str, StringConstraints(strict=True, pattern=EXECUTION_NAME_PATTERN)]

COLOURS = ("blue", "green", "amber", "violet", "teal", "coral", "indigo", "olive")


def manifest_parameter(environment: str) -> str:
    """Return the SSM parameter by which Terraform says what exists."""
    return f"/know-me/{environment}/manifest"


def generations_parameter(environment: str) -> str:
    """Return the SSM parameter by which the runbooks tell Terraform which generations there are."""
    return f"/know-me/{environment}/generations"


def media_bucket_parameter(environment: str) -> str:
    """Return the SSM parameter by which tasks know the bucket of the app's files."""
    return f"/know-me/{environment}/media/bucket"


def approval_url_parameter(environment: str) -> str:
    """Return the SSM parameter with the address of the page on which plans are decided."""
    return f"/know-me/{environment}/approval-url"


def approval_key_secret(environment: str) -> str:
    """Return the name of the secret with the key that signs links to that page."""
    return f"know-me/{environment}/approval-key"


def approvals_table(environment: str) -> str:
    """Return the table of the plans that wait, or waited, for a decision."""
    return f"know-me-{environment}-approvals"


def decide_function(environment: str) -> str:
    """Return the name of the function that takes decisions."""
    return f"know-me-{environment}-decide-approval"


def bundle_execution(version_id: str) -> str:
    """Return the name of the execution that provisions a version of a bundle: the same one every time."""
    return f"bundle-{hashlib.sha256(version_id.encode()).hexdigest()[:16]}"


def snapshot_name(environment: str, run_id: str) -> str:
    """Return the name of the snapshot that a run takes of the old database."""
    return f"know-me-{environment}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def move_media_execution(run_id: str, phase: str) -> str:
    """Return the name of the execution that copies the media in a phase."""
    return f"{run_id}-move-media{'-ahead' if phase == 'ahead' else ''}"


def media_bucket(environment: str, generation: str, account_id: str) -> str:
    """Return the name of a generation's media bucket, as Terraform makes it."""
    return f"know-me-{environment}-media-{generation}-{account_id}"


def first_free_generation(taken: Iterable[str]) -> str:
    """Return the first colour that no generation has, then `generation-<n>`."""
    used = set(taken)
    return next(name for name in _candidates() if name not in used)


def _candidates() -> Iterator[str]:
    yield from COLOURS
    yield from (f"generation-{number}" for number in count(len(COLOURS) + 1))
