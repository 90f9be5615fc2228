"""Listings come out of an index, in the order of the keys' UTF-8 bytes, and page by page."""

import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.s3.models import FakeBucket

from localaws.s3 import index
from localaws.s3.content import Description, Object

BUCKET = FakeBucket("bucket", "123456789012", "us-east-1")
KEYS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("a/"), min_size=1, max_size=6),
    unique=True,
)


def store_of(keys: list[str]) -> index.KeyStore:
    store = index.KeyStore()
    for key in keys:
        store.setlist(key, [Object(BUCKET, key, b"", Description(), "null")])
    return store


def walk(store: index.KeyStore, prefix: str, delimiter: str, limit: int) -> list[str]:
    """Return keys and common prefixes of all pages."""
    found: list[str] = []
    after, truncated = "", True
    while truncated:
        page = index.objects(store, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        found += sorted([*(version.name for version in page.versions), *page.prefixes])
        after, truncated = page.last or "", page.truncated
    return found


@given(KEYS)
def test_keys_are_in_the_order_of_their_utf_8_bytes(keys: list[str]) -> None:
    assert walk(store_of(keys), "", "", 1000) == sorted(keys, key=str.encode)


@given(KEYS, st.text("a/", max_size=2), st.sampled_from(["", "/", "a/"]), st.integers(1, 4))
def test_pages_together_are_every_key_or_its_common_prefix_once(
    keys: list[str], prefix: str, delimiter: str, limit: int
) -> None:
    wanted = set()
    for key in keys:
        if key.startswith(prefix):
            head, separator, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            wanted.add(prefix + head + separator if separator else key)
    assert walk(store_of(keys), prefix, delimiter, limit) == sorted(wanted)


@given(KEYS, st.data())
def test_index_follows_keys_that_come_and_go(keys: list[str], data: st.DataObject) -> None:
    store = store_of(keys)
    gone = data.draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    for key in gone:
        store.pop(key)
    assert walk(store, "", "", 3) == sorted(set(keys) - set(gone))


# -- on the local AWS --------------------------------------------------------------------------------------


@pytest.fixture
def bucket(local_aws: Any) -> str:
    """An empty versioned bucket."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def fill(local_aws: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        local_aws.client("s3").put_object(Bucket=bucket, Key=key, Body=key.encode())


AWKWARD = ["%41", "+", " ", "a b", "a//b", "a/b", "ä", "\U0001f600", "\uffee", "a&<b>", "a\x01"]


@pytest.mark.local
@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_listing_answers_keys_as_they_are_in_order(local_aws: Any, bucket: str, operation: str) -> None:
    fill(local_aws, bucket, *AWKWARD)
    pages = (
        local_aws.client("s3")
        .get_paginator(operation)
        .paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    )
    found = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert found == sorted(AWKWARD, key=str.encode)


@pytest.mark.local
@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_common_prefixes_are_answered_as_they_are(local_aws: Any, bucket: str, operation: str) -> None:
    fill(local_aws, bucket, "a%41/x", "a%41/y", "a%41/z/1", "b")
    s3 = local_aws.client("s3")
    pages = s3.get_paginator(operation).paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    assert [prefix["Prefix"] for page in pages for prefix in page.get("CommonPrefixes", [])] == ["a%41/"]
    answer = getattr(s3, operation)(Bucket=bucket, Prefix="a%41/", Delimiter="/")
    assert [prefix["Prefix"] for prefix in answer["CommonPrefixes"]] == ["a%41/z/"]


@pytest.mark.local
def test_start_after_and_zero_keys(local_aws: Any, bucket: str) -> None:
    fill(local_aws, bucket, "a", "b", "c")
    s3 = local_aws.client("s3")
    answer = s3.list_objects_v2(Bucket=bucket, StartAfter="a", MaxKeys=1)
    assert ([entry["Key"] for entry in answer["Contents"]], answer["IsTruncated"]) == (["b"], True)
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False
    assert s3.list_objects_v2(Bucket=bucket, Prefix="zzz").get("KeyCount") == 0


@pytest.mark.local
def test_deleted_object_is_in_the_versions_only(local_aws: Any, bucket: str) -> None:
    s3 = local_aws.client("s3")
    fill(local_aws, bucket, "a", "a", "b")
    s3.delete_object(Bucket=bucket, Key="a")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b"]
    answer = s3.list_object_versions(Bucket=bucket)
    assert [(marker["Key"], marker["IsLatest"]) for marker in answer["DeleteMarkers"]] == [("a", True)]
    assert [(one["Key"], one["IsLatest"]) for one in answer["Versions"]] == [
        ("a", False),
        ("a", False),
        ("b", True),
    ]


@pytest.mark.local
def test_versions_are_newest_first_through_all_pages(local_aws: Any, bucket: str) -> None:
    s3 = local_aws.client("s3")
    put = {
        key: [s3.put_object(Bucket=bucket, Key=key, Body=bytes([n]))["VersionId"] for n in range(4)]
        for key in "ab"
    }
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    found = [(one["Key"], one["VersionId"]) for page in pages for one in page["Versions"]]
    assert found == [(key, version) for key in "ab" for version in reversed(put[key])]


@pytest.mark.local
def test_page_of_a_large_bucket_takes_no_longer_than_a_page_of_a_small_one(
    local_aws: Any, bucket: str
) -> None:
    # Given two buckets, one with fifty times as many objects
    s3 = local_aws.client("s3")
    small = f"{bucket}-small"
    s3.create_bucket(Bucket=small)
    for name, count in ((small, 1_000), (bucket, 50_000)):
        answer = local_aws.control("POST", "s3/objects", {"bucket": name, "prefix": "p/", "count": count})
        assert answer == {"objects": count, "bytes": 16 * count}

    # When pages from the middle are read
    def seconds(name: str, after: str) -> float:
        taken = []
        for _ in range(5):
            begun = time.perf_counter()
            s3.list_objects_v2(Bucket=name, MaxKeys=100, StartAfter=after)
            taken.append(time.perf_counter() - begun)
        return min(taken)

    # Then they take about the same time; a sort of every key would take fifty times as long
    assert seconds(bucket, "p/00025000") < 10 * seconds(small, "p/00000500")


@pytest.mark.local
def test_synthetic_objects_differ_and_follow_from_the_seed(local_aws: Any, bucket: str) -> None:
    s3 = local_aws.client("s3")
    listed = {}
    for seed in (1, 1, 2):
        local_aws.control("POST", "s3/objects", {"bucket": bucket, "count": 3, "size": 5, "seed": seed})
        listed[seed] = [one["ETag"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        assert len(set(listed[seed])) == 3
    assert set(listed[1]).isdisjoint(listed[2])
    versions = s3.list_object_versions(Bucket=bucket, Prefix="00000000")["Versions"]
    assert [one["ETag"] for one in versions] == [listed[2][0], listed[1][0], listed[1][0]]
