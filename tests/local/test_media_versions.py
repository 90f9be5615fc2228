"""With `versions: all` any history of a key moves, whatever the candidate had."""

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_jobs.listing import histories, remember_order
from media_jobs.objects import Buckets
from media_jobs.properties import default_encryption
from media_jobs.putting_right import PuttingRight

EVENTS = st.lists(st.one_of(st.none(), st.binary(max_size=3)), max_size=6)
LIMIT = 5 * 1024**3


@pytest.fixture(scope="module")
def buckets(local_aws: Any) -> Buckets:
    """Two versioned buckets, and a client that knows S3's order of versions."""
    s3, name = local_aws.client("s3"), uuid.uuid4().hex[:8]
    remember_order(s3)
    made = Buckets(s3, f"old-{name}", f"new-{name}")
    for bucket in (made.source, made.candidate):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return made


def tell(s3: Any, bucket: str, key: str, events: list[bytes | None]) -> None:
    """Write a history: bytes are a version, None is a deletion."""
    for event in events:
        if event is None:
            s3.delete_object(Bucket=bucket, Key=key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=event)


def told(s3: Any, bucket: str, key: str) -> list[bytes | None]:
    """Read a history back, oldest first."""
    history = next((history for found, history in histories(s3, bucket, key) if found == key), ())
    return [
        None
        if version.deleted
        else s3.get_object(Bucket=bucket, Key=key, VersionId=version.version_id)["Body"].read()
        for version in history
    ]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, before=EVENTS)
def test_any_history_moves_whatever_the_candidate_had(
    buckets: Buckets, events: list[bytes | None], before: list[bytes | None]
) -> None:
    # Given a history, and another one in the candidate
    s3, key = buckets.s3, f"media/{uuid.uuid4()} ü+%20.jpg"
    tell(s3, buckets.source, key, events)
    tell(s3, buckets.candidate, key, before)
    # When
    right = PuttingRight(buckets, "all", LIMIT, default_encryption(s3, buckets.candidate))
    outcome = right.look_and_settle(key)
    # Then
    assert (outcome.failure, outcome.differences) == (None, [])
    assert told(s3, buckets.candidate, key) == told(s3, buckets.source, key) == events
    # And a second look copies nothing
    again = right.look_and_settle(key)
    assert (again.copied, again.removed, again.differences) == (0, 0, [])
