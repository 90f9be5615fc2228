"""With `versions: all` the whole history of a key moves, in its order, delete markers too."""

from collections.abc import Callable
from typing import Any

import pytest
from media_jobs.context import JobContext
from media_jobs.listing import histories

from tests.unit.media_jobs.conftest import CANDIDATE, SOURCE

Make = Callable[..., JobContext]
KEY = "media/a b+c%20é.jpg"


def tell(s3: Any, bucket: str, key: str, events: list[bytes | None]) -> None:
    """Write a history: bytes are a version, None is a deletion."""
    for event in events:
        if event is None:
            s3.delete_object(Bucket=bucket, Key=key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=event, Metadata={"length": str(len(event))})


def told(s3: Any, bucket: str, key: str) -> list[bytes | None]:
    """Read a history back, oldest first."""
    for found, history in histories(s3, bucket, key):
        if found == key:
            return [
                None
                if version.deleted
                else s3.get_object(Bucket=bucket, Key=key, VersionId=version.version_id)["Body"].read()
                for version in history
            ]
    return []


@pytest.mark.parametrize("versions", ["current", "all"])
def test_only_new_versions_are_copied(buckets: Any, context: Make, versions: str) -> None:
    # Given a key that has moved
    tell(buckets, SOURCE, KEY, [b"one", b"two"])
    context(versions=versions).putting_right().look_and_settle(KEY)
    # When it is written once more
    tell(buckets, SOURCE, KEY, [b"three"])
    outcome = context(versions=versions).putting_right().look_and_settle(KEY)
    # Then one version is copied
    assert (outcome.copied, outcome.copied_bytes, outcome.removed) == (1, 5, 0)
    expected = [b"one", b"two", b"three"] if versions == "all" else [b"two", b"three"]
    assert told(buckets, CANDIDATE, KEY) == expected


def test_current_leaves_old_versions_behind(buckets: Any, context: Make) -> None:
    tell(buckets, SOURCE, KEY, [b"one", b"two"])
    context(versions="current").putting_right().look_and_settle(KEY)
    assert told(buckets, CANDIDATE, KEY) == [b"two"]
