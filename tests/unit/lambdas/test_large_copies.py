"""Large objects: parts that S3 accepts, and copies that are taken up again, completed or given up."""

from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as some
from know_me.errors import MediaCopyFailed
from know_me.large_copies import (
    LARGEST_PART,
    MIB,
    MOST_PARTS,
    SMALLEST_PART,
    LargeCopy,
    Pair,
    begin,
    complete,
    composite_etag,
    failure_document,
    part_count,
    part_size,
    ranges,
)
from know_me.run_folder import RunFolder

from tests.unit.lambdas.test_steps import call

LARGEST_OBJECT = 50 * 1000**4
SIZES = some.integers(1, LARGEST_OBJECT)
LIMITS = some.integers(SMALLEST_PART, LARGEST_PART)
SOURCE, CANDIDATE = "old-media", "new-media"
BUCKETS = Pair(source=SOURCE, candidate=CANDIDATE)
KEY = "media/films/holiday + 100% é.mp4"
LIMIT = 6 * MIB
SIZE = 13 * MIB
LIKE = some.none() | some.tuples(some.integers(1, LARGEST_PART), some.integers(1, MOST_PARTS))


@given(SIZES, LIMITS, LIKE)
def test_parts_are_within_the_limits_of_s3(size: int, limit: int, like: tuple[int, int] | None) -> None:
    each = part_size(size, limit, like)
    assert part_count(size, each) <= MOST_PARTS
    assert each <= LARGEST_PART
    assert each >= SMALLEST_PART or part_count(size, each) == 1


@given(some.integers(1, 200 * MIB), some.integers(1, 8 * MIB))
def test_parts_cover_every_byte_exactly_once(size: int, of: int) -> None:
    of = max(of, -(-size // 500))  # as many parts as can be looked at one by one
    expected = 0
    for first, last in ranges(size, of):
        assert first == expected and 1 <= last - first + 1 <= of
        expected = last + 1
    assert expected == size
    assert sum(1 for _ in ranges(size, of)) == part_count(size, of)


@given(SIZES, LIMITS)
def test_a_part_is_no_larger_than_one_request_may_copy_unless_there_were_too_many(
    size: int, limit: int
) -> None:
    each = part_size(size, limit)
    assert each <= limit or part_count(size, limit) > MOST_PARTS


@given(some.integers(SMALLEST_PART, 64 * MIB), some.integers(1, 500), some.data())
def test_parts_as_the_source_has_them_are_kept(first: int, count: int, data: some.DataObject) -> None:
    size = first * (count - 1) + data.draw(some.integers(1, first))
    assert part_size(size, LARGEST_PART, (first, count)) == first


def test_parts_that_are_not_of_one_size_are_not_imitated() -> None:
    assert part_size(20 * MIB, LIMIT, (5 * MIB, 2)) == LIMIT


@pytest.fixture
def s3(folder: RunFolder) -> Any:
    """Both buckets, with a film in the old one."""
    client = boto3.client("s3")
    for bucket in (SOURCE, CANDIDATE):
        client.create_bucket(Bucket=bucket)
    put_film(client)
    return client


def put_film(s3: Any, body: bytes = b"a" * SIZE) -> None:
    s3.put_object(
        Bucket=SOURCE,
        Key=KEY,
        Body=body,
        ContentType="video/mp4",
        CacheControl="max-age=60",
        Metadata={"camera": "one"},
        Tagging="kind=film&album=a%20b",
        StorageClass="STANDARD_IA",
    )


def copy_parts(s3: Any, copy: LargeCopy, numbers: list[int] | None = None) -> None:
    """Copy parts as the state machine does; boto3 would encode a text once more."""
    assert copy.part_size is not None and copy.copy_source is not None
    bucket, _, key = unquote(copy.copy_source).partition("/")
    for number in copy.missing_parts if numbers is None else numbers:
        last = min(number * copy.part_size, copy.size) - 1
        s3.upload_part_copy(
            Bucket=CANDIDATE,
            Key=copy.key,
            UploadId=copy.upload_id,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": key},
            CopySourceIfMatch=copy.etag,
            CopySourceRange=f"bytes={(number - 1) * copy.part_size}-{last}",
        )


def uploads(s3: Any) -> list[str]:
    return [item["UploadId"] for item in s3.list_multipart_uploads(Bucket=CANDIDATE).get("Uploads", [])]


def test_an_object_arrives_with_everything_that_it_has(s3: Any, folder: RunFolder) -> None:
    copy = begin(s3, folder, BUCKETS, KEY, LIMIT)
    assert (copy.done, copy.part_size, copy.parts, copy.missing_parts) == (False, LIMIT, 3, [1, 2, 3])
    copy_parts(s3, copy)
    assert complete(s3, folder, BUCKETS, copy) == SIZE
    head = s3.head_object(Bucket=CANDIDATE, Key=KEY)
    assert (head["ContentLength"], head["ContentType"], head["CacheControl"], head["Metadata"]) == (
        SIZE,
        "video/mp4",
        "max-age=60",
        {"camera": "one"},
    )
    assert head["StorageClass"] == "STANDARD_IA"
    tags = s3.get_object_tagging(Bucket=CANDIDATE, Key=KEY)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"kind": "film", "album": "a b"}
    assert s3.get_object(Bucket=CANDIDATE, Key=KEY)["Body"].read() == b"a" * SIZE


def test_a_copy_that_was_begun_is_taken_up_again(s3: Any, folder: RunFolder) -> None:
    # Given a copy that died after its second part
    first = begin(s3, folder, BUCKETS, KEY, LIMIT)
    copy_parts(s3, first, [1, 2])
    # When it is begun again, then only the third is missing
    again = begin(s3, folder, BUCKETS, KEY, LIMIT)
    assert (again.upload_id, again.missing_parts) == (first.upload_id, [3])


@pytest.mark.parametrize("what", ["bytes", "description"])
def test_parts_of_what_the_object_was_before_are_not_used(s3: Any, folder: RunFolder, what: str) -> None:
    # Given a copy that was begun
    first = begin(s3, folder, BUCKETS, KEY, LIMIT)
    copy_parts(s3, first, [1, 2])
    # When the object changes
    if what == "bytes":
        put_film(s3, b"b" * SIZE)
    else:
        s3.put_object_tagging(
            Bucket=SOURCE, Key=KEY, Tagging={"TagSet": [{"Key": "kind", "Value": "series"}]}
        )
    # Then its copy begins anew, and nothing is left of the first
    again = begin(s3, folder, BUCKETS, KEY, LIMIT)
    assert again.missing_parts == [1, 2, 3]
    assert uploads(s3) == [again.upload_id]


def test_what_a_killed_run_left_is_aborted_for_this_key_only(s3: Any, folder: RunFolder) -> None:
    s3.create_multipart_upload(Bucket=CANDIDATE, Key=KEY)
    other = s3.create_multipart_upload(Bucket=CANDIDATE, Key=f"{KEY}.copy")["UploadId"]
    copy = begin(s3, folder, BUCKETS, KEY, LIMIT)
    assert set(uploads(s3)) == {other, copy.upload_id}


def multipart_film(s3: Any, bucket: str, metadata: dict[str, str]) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=KEY, Metadata=metadata)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(
                Bucket=bucket, Key=KEY, UploadId=upload, PartNumber=number, Body=b"c" * 6 * MIB
            )["ETag"],
        }
        for number in (1, 2)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key=KEY, UploadId=upload, MultipartUpload={"Parts": parts})


def test_an_object_of_parts_keeps_them_and_so_its_etag(s3: Any, folder: RunFolder) -> None:
    multipart_film(s3, SOURCE, {})
    copy = begin(s3, folder, BUCKETS, KEY, LIMIT)
    assert (copy.part_size, copy.parts) == (6 * MIB, 2)
    copy_parts(s3, copy)
    complete(s3, folder, BUCKETS, copy)
    assert s3.head_object(Bucket=CANDIDATE, Key=KEY)["ETag"].strip('"') == copy.etag


@pytest.mark.parametrize(("metadata", "done"), [({}, True), ({"camera": "two"}, False)])
def test_an_equal_object_is_not_copied_again(
    s3: Any, folder: RunFolder, metadata: dict[str, str], done: bool
) -> None:
    multipart_film(s3, SOURCE, {})
    multipart_film(s3, CANDIDATE, metadata)
    assert begin(s3, folder, BUCKETS, KEY, LIMIT).done is done


def test_an_object_that_is_gone_needs_nothing(s3: Any, folder: RunFolder) -> None:
    copy = begin(s3, folder, BUCKETS, "media/gone.mp4", LIMIT)
    assert (copy.done, copy.gone) == (True, True)


def test_completing_is_safe_to_repeat(s3: Any, folder: RunFolder) -> None:
    copy = begin(s3, folder, BUCKETS, KEY, LIMIT)
    copy_parts(s3, copy)
    assert [complete(s3, folder, BUCKETS, copy) for _ in range(2)] == [SIZE, SIZE]
    assert len(list(folder.names("media/large-copied/"))) == 1


def test_missing_parts_are_a_failure_unless_the_source_changed(s3: Any, folder: RunFolder) -> None:
    copy = begin(s3, folder, BUCKETS, KEY, LIMIT)
    copy_parts(s3, copy, [1, 3])
    with pytest.raises(MediaCopyFailed, match=r"Of the 3 parts .* only 2 were copied"):
        complete(s3, folder, BUCKETS, copy)
    # When the object was changed meanwhile, then it is left to the next round
    put_film(s3, b"b" * SIZE)
    assert complete(s3, folder, BUCKETS, copy) == 0
    assert uploads(s3) == []


def test_an_object_that_is_not_what_was_copied_is_a_failure(s3: Any, folder: RunFolder) -> None:
    # Given a copy that somebody else completed with something else
    copy = begin(s3, folder, BUCKETS, KEY, LIMIT)
    s3.abort_multipart_upload(Bucket=CANDIDATE, Key=KEY, UploadId=copy.upload_id)
    s3.put_object(Bucket=CANDIDATE, Key=KEY, Body=b"short")
    with pytest.raises(MediaCopyFailed, match="5 bytes"):
        complete(s3, folder, BUCKETS, copy)


def test_the_etag_of_parts_is_that_of_s3(s3: Any) -> None:
    multipart_film(s3, SOURCE, {})
    parts = boto3.client("s3").head_object(Bucket=SOURCE, Key=KEY)
    single = s3.put_object(Bucket=SOURCE, Key="part", Body=b"c" * 6 * MIB)["ETag"]
    assert parts["ETag"].strip('"') == composite_etag([single, single])


class TestSteps:
    def begun(self) -> dict[str, Any]:
        event = {"key": KEY, "size": SIZE, "etag": "e", "storage_class": "STANDARD_IA"}
        answer: dict[str, Any] = call(
            "begin_large_copy",
            run_id="run-1",
            source_bucket=SOURCE,
            candidate_bucket=CANDIDATE,
            object=event,
            single_copy_limit_bytes=LIMIT,
        )
        return answer

    def end(self, step: str, copy: dict[str, Any], **more: Any) -> Any:
        return call(step, run_id="run-1", source_bucket=SOURCE, candidate_bucket=CANDIDATE, copy=copy, **more)

    def test_what_was_begun_is_completed(self, s3: Any) -> None:
        copy = self.begun()
        copy_parts(s3, LargeCopy.model_validate(copy))
        assert self.end("complete_large_copy", copy) == {"key": KEY, "bytes": SIZE}

    def test_a_copy_that_is_given_up_says_why_and_leaves_no_parts(self, s3: Any, folder: RunFolder) -> None:
        copy = self.begun()
        caught = {"Error": "S3.S3Exception", "Cause": "Access Denied"}
        for _ in range(2):
            assert self.end("abort_large_copy", copy, caught=caught) == {"changed": False}
        assert uploads(s3) == []
        assert folder.read(failure_document(KEY)) == {
            "key": KEY,
            "bytes": SIZE,
            "error": "S3.S3Exception: Access Denied",
        }

    @pytest.mark.parametrize("how", ["overwritten", "deleted"])
    def test_a_source_that_changed_is_no_failure(self, s3: Any, folder: RunFolder, how: str) -> None:
        copy = self.begun()
        if how == "deleted":
            s3.delete_object(Bucket=SOURCE, Key=KEY)
        else:
            put_film(s3, b"b" * SIZE)
        assert self.end("abort_large_copy", copy) == {"changed": True}
        assert list(folder.names("media/failed/")) == []
