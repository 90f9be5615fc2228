"""The object calls that a migration leans on, as AWS answers them."""

import base64
import hashlib
import time
import uuid
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.local

MIB = 1024**2
HEADERS = {
    "ContentType": "image/jpeg",
    "ContentEncoding": "gzip",
    "ContentDisposition": 'attachment; filename="a b.jpg"',
    "ContentLanguage": "de-AT",
    "CacheControl": "max-age=60, public",
    "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
}
METADATA = {"owner": "someone", "with-dash": "a  b", "with_underscore": "+%", "empty": ""}
KEYS = [
    "a b",
    "a+b",
    "a%41",
    "%2F",
    "a//b",
    "//a",
    "a/",
    "a/./b",
    "a/../b",
    "ä€\U0001f600",
    "a?b#c&d",
    "\t",
    "a'\"<",
]


@pytest.fixture
def s3(local_aws: Any) -> Any:
    """The administrator's client."""
    return local_aws.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    """An empty bucket."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def versioned(s3: Any) -> str:
    """An empty versioned bucket."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def code(call: Any, **arguments: Any) -> str | None:
    """Return the code of the error that a call answers, None when it succeeds."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def tags(s3: Any, bucket: str, key: str, **version: str) -> dict[str, str]:
    found = s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def upload(s3: Any, bucket: str, key: str, *parts: bytes, **named: Any) -> dict[str, Any]:
    """Upload an object in parts; return the answer of the completion."""
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **named)["UploadId"]
    said = {"Bucket": bucket, "Key": key, "UploadId": begun}
    sent = [
        {"PartNumber": number, "ETag": s3.upload_part(**said, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    answer: dict[str, Any] = s3.complete_multipart_upload(**said, MultipartUpload={"Parts": sent})
    return answer


# -- keys, content, metadata -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_key_is_kept_byte_for_byte(s3: Any, bucket: str, key: str) -> None:
    content = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    s3.copy_object(Bucket=bucket, Key=f"copy/{key}", CopySource={"Bucket": bucket, "Key": key})
    upload(s3, bucket, f"parts/{key}", content)
    listed = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(listed) == sorted([key, f"copy/{key}", f"parts/{key}"])
    for found in listed:
        assert s3.get_object(Bucket=bucket, Key=found)["Body"].read() == content
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": found} for found in listed[:1]]})
    assert [one["Key"] for one in answer["Deleted"]] == listed[:1]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 2


def test_keys_that_differ_in_slashes_only_are_different_objects(s3: Any, bucket: str) -> None:
    keys = ["a", "a/", "/a", "//a", "a//", "a/."]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    read = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys}
    assert read == {key: key for key in keys}


@pytest.mark.parametrize("key", ["\n", "a\r\nb", "a\x01", "\x7f"])
def test_key_may_have_control_characters(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    s3.copy_object(Bucket=bucket, Key=f"copy/{key}", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key=f"copy/{key}")["Body"].read() == b"1"
    listed = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(listed) == sorted([key, f"copy/{key}"])


def test_empty_object_is_an_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/empty")
    for key in ("empty", "copy"):
        head = s3.head_object(Bucket=bucket, Key=key)
        assert (head["ContentLength"], head["ETag"]) == (0, f'"{md5(b"")}"')


def test_headers_metadata_tags_class_and_redirect_are_kept(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="a",
        Body=b"1",
        Metadata=METADATA,
        Tagging="k=v&with+space=%2B",
        StorageClass="STANDARD_IA",
        WebsiteRedirectLocation="/elsewhere",
        **HEADERS,
    )
    for answer in (s3.head_object(Bucket=bucket, Key="a"), s3.get_object(Bucket=bucket, Key="a")):
        assert {name: answer[name] for name in HEADERS} == HEADERS
        assert answer["Metadata"] == METADATA
        assert (answer["StorageClass"], answer["WebsiteRedirectLocation"]) == ("STANDARD_IA", "/elsewhere")
    assert tags(s3, bucket, "a") == {"k": "v", "with space": "+"}
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"


def test_object_without_headers_has_the_defaults(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    head = s3.head_object(Bucket=bucket, Key="a")
    assert (head["ContentType"], head["ServerSideEncryption"]) == ("binary/octet-stream", "AES256")
    assert not {"StorageClass", "VersionId", "ContentEncoding", "WebsiteRedirectLocation"} & set(head)
    assert tags(s3, bucket, "a") == {}


def test_object_that_replaces_another_inherits_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket, Key="a", Body=b"1", Metadata={"k": "v"}, Tagging="k=v", CacheControl="no-store"
    )
    s3.put_object(Bucket=bucket, Key="a", Body=b"2")
    head = s3.head_object(Bucket=bucket, Key="a")
    assert (head["Metadata"], head.get("CacheControl"), tags(s3, bucket, "a")) == ({}, None, {})


TEXT = st.text("abc XYZ019-_.=/", min_size=1, max_size=12).map(str.strip).filter(bool)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20),
    metadata=st.dictionaries(NAMES, TEXT, max_size=4),
    labels=st.dictionaries(TEXT.filter(lambda name: not name.startswith("aws")), TEXT, max_size=5),
)
def test_copy_is_the_same_object(
    s3: Any, bucket: str, key: str, metadata: dict[str, str], labels: dict[str, str]
) -> None:
    tag_set = [{"Key": name, "Value": value} for name, value in labels.items()]
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata=metadata, **HEADERS)
    s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tag_set})
    s3.copy_object(Bucket=bucket, Key="copy/" + key, CopySource={"Bucket": bucket, "Key": key})
    heads = [s3.head_object(Bucket=bucket, Key=one) for one in (key, "copy/" + key)]
    compared = (*HEADERS, "ETag", "ContentLength", "Metadata")
    assert [heads[0][name] for name in compared] == [heads[1][name] for name in compared]
    assert heads[1]["Metadata"] == metadata
    assert tags(s3, bucket, "copy/" + key) == labels


# -- CopyObject --------------------------------------------------------------------------------------------


def test_copy_keeps_metadata_and_tags_and_not_class_and_redirect(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="a",
        Body=b"1",
        Metadata=METADATA,
        Tagging="k=v",
        StorageClass="STANDARD_IA",
        WebsiteRedirectLocation="/x",
        **HEADERS,
    )
    answer = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    assert answer["CopyObjectResult"]["ETag"] == f'"{md5(b"1")}"'
    head = s3.head_object(Bucket=bucket, Key="b")
    assert {name: head[name] for name in HEADERS} == HEADERS
    assert (head["Metadata"], tags(s3, bucket, "b")) == (METADATA, {"k": "v"})
    assert not {"StorageClass", "WebsiteRedirectLocation"} & set(head)


def test_copy_replaces_metadata_and_tags_when_told(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", Metadata=METADATA, Tagging="k=v", **HEADERS)
    s3.copy_object(
        Bucket=bucket,
        Key="b",
        CopySource=f"{bucket}/a",
        MetadataDirective="REPLACE",
        Metadata={"new": "1"},
        TaggingDirective="REPLACE",
        Tagging="n=2",
        StorageClass="GLACIER_IR",
    )
    head = s3.head_object(Bucket=bucket, Key="b")
    assert (head["Metadata"], tags(s3, bucket, "b"), head["StorageClass"]) == (
        {"new": "1"},
        {"n": "2"},
        "GLACIER_IR",
    )
    assert head["ContentType"] == "binary/octet-stream"
    assert "CacheControl" not in head


def test_copy_in_place_must_change_something(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    copied = {"Bucket": bucket, "Key": "a", "CopySource": f"{bucket}/a"}
    assert code(s3.copy_object, **copied) == "InvalidRequest"
    assert code(s3.copy_object, **copied, MetadataDirective="REPLACE") is None


def test_conditions_on_the_source_of_a_copy(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["ETag"]
    copied = {"Bucket": bucket, "Key": "b", "CopySource": f"{bucket}/a"}
    assert code(s3.copy_object, **copied, CopySourceIfMatch='"other"') == "PreconditionFailed"
    assert code(s3.copy_object, **copied, CopySourceIfMatch=etag) is None
    assert code(s3.copy_object, **copied, CopySourceIfNoneMatch=etag) == "PreconditionFailed"
    old = datetime(2020, 1, 1, tzinfo=UTC)
    assert code(s3.copy_object, **copied, CopySourceIfUnmodifiedSince=old) == "PreconditionFailed"
    assert code(s3.copy_object, **{**copied, "CopySource": f"{bucket}/gone"}) == "NoSuchKey"


def test_conditions_on_the_destination(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    source = {"CopySource": f"{bucket}/a"}
    calls: dict[Any, dict[str, Any]] = {
        s3.put_object: {"Body": b"2"},
        s3.copy_object: source | {"MetadataDirective": "REPLACE"},
    }
    for call, more in calls.items():
        assert code(call, Bucket=bucket, Key="a", IfNoneMatch="*", **more) == "PreconditionFailed"
        assert code(call, Bucket=bucket, Key="a", IfMatch='"other"', **more) == "PreconditionFailed"
    assert code(s3.copy_object, Bucket=bucket, Key="new", IfNoneMatch="*", **source) is None
    assert code(s3.put_object, Bucket=bucket, Key="a", IfMatch=etag, Body=b"2") is None


def test_copy_is_encrypted_by_the_default_of_its_bucket(s3: Any, bucket: str, versioned: str) -> None:
    key_arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=versioned, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    s3.copy_object(Bucket=versioned, Key="a", CopySource=f"{bucket}/a")
    head = s3.head_object(Bucket=versioned, Key="a")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"], head["BucketKeyEnabled"]) == (
        "aws:kms",
        key_arn,
        True,
    )
    # and its ETag is not the MD5 of its content: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    assert head["ETag"] != f'"{md5(b"1")}"'
    s3.copy_object(Bucket=bucket, Key="back", CopySource=f"{versioned}/a")
    assert s3.head_object(Bucket=bucket, Key="back")["ETag"] == f'"{md5(b"1")}"'


def test_copy_of_a_version_is_that_version(s3: Any, versioned: str) -> None:
    first = s3.put_object(Bucket=versioned, Key="a", Body=b"1", Tagging="n=1", Metadata={"n": "1"})[
        "VersionId"
    ]
    s3.put_object(Bucket=versioned, Key="a", Body=b"2", Tagging="n=2", Metadata={"n": "2"})
    source = {"Bucket": versioned, "Key": "a", "VersionId": first}
    answer = s3.copy_object(Bucket=versioned, Key="b", CopySource=source)
    assert answer["CopySourceVersionId"] == first
    got = s3.get_object(Bucket=versioned, Key="b")
    assert (got["Body"].read(), got["Metadata"], tags(s3, versioned, "b")) == (b"1", {"n": "1"}, {"n": "1"})
    assert answer["VersionId"] == got["VersionId"]
    missing = {**source, "VersionId": str(uuid.uuid4())}
    assert code(s3.copy_object, Bucket=versioned, Key="b", CopySource=missing) == "NoSuchVersion"


def test_archived_object_cannot_be_copied(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", StorageClass="DEEP_ARCHIVE")
    copied = {"Bucket": bucket, "Key": "b", "CopySource": f"{bucket}/a"}
    assert code(s3.copy_object, **copied) in ("ObjectNotInActiveTierError", "InvalidObjectState")
    assert s3.head_object(Bucket=bucket, Key="a")["StorageClass"] == "DEEP_ARCHIVE"


# -- multipart uploads -------------------------------------------------------------------------------------


def test_parts_are_copied_by_range_into_one_object(s3: Any, bucket: str) -> None:
    # Given an object of two parts
    content = bytes(range(256)) * (6 * MIB // 256)
    source_etag = s3.put_object(Bucket=bucket, Key="a", Body=content)["ETag"]
    begun = s3.create_multipart_upload(
        Bucket=bucket, Key="b", Metadata=METADATA, Tagging="k=v", StorageClass="STANDARD_IA", **HEADERS
    )["UploadId"]
    said = {"Bucket": bucket, "Key": "b", "UploadId": begun}
    copied = said | {"CopySource": f"{bucket}/a", "CopySourceIfMatch": source_etag}
    # When its ranges are copied, the second first
    pieces = {2: (5 * MIB, 6 * MIB - 1), 1: (0, 5 * MIB - 1)}
    etags = {
        number: s3.upload_part_copy(**copied, PartNumber=number, CopySourceRange=f"bytes={first}-{last}")[
            "CopyPartResult"
        ]["ETag"]
        for number, (first, last) in pieces.items()
    }
    listed = s3.list_parts(**said)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 5 * MIB), (2, MIB)]
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in (1, 2)]
    answer = s3.complete_multipart_upload(**said, MultipartUpload={"Parts": parts})
    # Then content, ETag and everything else is as AWS has it
    digests = b"".join(
        hashlib.md5(piece, usedforsecurity=False).digest()
        for piece in (content[: 5 * MIB], content[5 * MIB :])
    )
    assert answer["ETag"] == f'"{md5(digests)}-2"'
    got = s3.get_object(Bucket=bucket, Key="b")
    assert (got["ETag"], got["Metadata"], got["StorageClass"]) == (answer["ETag"], METADATA, "STANDARD_IA")
    assert {name: got[name] for name in HEADERS} == HEADERS
    assert got["Body"].read() == content
    assert tags(s3, bucket, "b") == {"k": "v"}
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    # and a copy of it in one request has the MD5 of the whole
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/b")
    assert s3.head_object(Bucket=bucket, Key="c")["ETag"] == f'"{md5(content)}"'


def test_wrong_copies_of_parts_are_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]
    copied = {"Bucket": bucket, "Key": "b", "UploadId": begun, "PartNumber": 1, "CopySource": f"{bucket}/a"}
    assert code(s3.upload_part_copy, **copied, CopySourceIfMatch='"other"') == "PreconditionFailed"
    assert code(s3.upload_part_copy, **copied, CopySourceRange="bytes=0-5") == "InvalidArgument"
    assert code(s3.upload_part_copy, **copied, CopySourceRange="bytes=0-") == "InvalidArgument"
    assert code(s3.upload_part_copy, **{**copied, "CopySource": f"{bucket}/gone"}) == "NoSuchKey"
    assert code(s3.upload_part_copy, **{**copied, "UploadId": "none"}) == "NoSuchUpload"
    assert s3.list_parts(Bucket=bucket, Key="b", UploadId=begun).get("Parts", []) == []


def test_wrong_completions_are_refused(s3: Any, bucket: str) -> None:
    begun = s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]
    said = {"Bucket": bucket, "Key": "b", "UploadId": begun}
    etag = {number: s3.upload_part(**said, PartNumber=number, Body=b"small")["ETag"] for number in (1, 2)}

    def completed(*parts: tuple[int, str]) -> str | None:
        named = [{"PartNumber": number, "ETag": tag} for number, tag in parts]
        return code(s3.complete_multipart_upload, **said, MultipartUpload={"Parts": named})

    assert completed((1, etag[1]), (2, etag[2])) == "EntityTooSmall"
    assert completed((2, etag[2]), (1, etag[1])) == "InvalidPartOrder"
    assert completed((1, '"other"')) == "InvalidPart"
    assert completed((3, etag[1])) == "InvalidPart"
    assert completed((1, etag[1])) is None


def test_parts_with_gaps_are_listed_page_by_page(s3: Any, bucket: str) -> None:
    begun = s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]
    said = {"Bucket": bucket, "Key": "b", "UploadId": begun}
    for number in (9, 3, 10_000, 5):
        s3.upload_part(**said, PartNumber=number, Body=b"x")
    pages = s3.get_paginator("list_parts").paginate(**said, PaginationConfig={"PageSize": 3})
    assert [part["PartNumber"] for page in pages for part in page["Parts"]] == [3, 5, 9, 10_000]


def test_uploads_are_listed_by_prefix_and_gone_when_aborted(s3: Any, bucket: str) -> None:
    ids = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("p/b", "p/a", "q")}
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Prefix="p/", PaginationConfig={"PageSize": 1}
    )
    found = [(one["Key"], one["UploadId"]) for page in pages for one in page.get("Uploads", [])]
    assert found == [(key, ids[key]) for key in ("p/a", "p/b")]
    s3.abort_multipart_upload(Bucket=bucket, Key="p/a", UploadId=ids["p/a"])
    assert code(s3.list_parts, Bucket=bucket, Key="p/a", UploadId=ids["p/a"]) == "NoSuchUpload"
    left = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [one["Key"] for one in left] == ["p/b", "q"]
    begun = left[0]["Initiated"].timestamp()
    assert abs(time.time() - begun) < 3600


def test_first_part_tells_how_many_there_are(s3: Any, bucket: str) -> None:
    first, last = b"1" * (5 * MIB), b"2" * 10
    upload(s3, bucket, "parts", first, last)
    s3.put_object(Bucket=bucket, Key="whole", Body=b"123")
    head = s3.head_object(Bucket=bucket, Key="parts", PartNumber=1)
    assert (head["PartsCount"], head["ContentLength"]) == (2, 5 * MIB)
    assert s3.head_object(Bucket=bucket, Key="parts", PartNumber=2)["ContentLength"] == 10
    assert s3.get_object(Bucket=bucket, Key="parts", PartNumber=2)["Body"].read() == last
    whole = s3.head_object(Bucket=bucket, Key="whole", PartNumber=1)
    assert (whole.get("PartsCount"), whole["ContentLength"]) == (None, 3)


# -- checksums ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "of"), [("CRC32", crc32), ("SHA256", sha256)])
def test_checksum_is_kept_and_copied(s3: Any, bucket: str, algorithm: str, of: Any) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"content", ChecksumAlgorithm=algorithm)
    copied = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    assert copied["CopyObjectResult"][f"Checksum{algorithm}"] == of(b"content")
    for key in ("a", "b"):
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (of(b"content"), "FULL_OBJECT")
        assert f"Checksum{algorithm}" not in s3.head_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]


def test_copy_makes_the_checksum_that_is_asked_for(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"content", ChecksumAlgorithm="CRC32")
    s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head.get("ChecksumCRC32")) == (sha256(b"content"), None)


def test_content_that_does_not_fit_its_checksum_is_refused(s3: Any, bucket: str) -> None:
    assert code(s3.put_object, Bucket=bucket, Key="a", Body=b"1", ChecksumSHA256=sha256(b"2")) == "BadDigest"
    assert code(s3.head_object, Bucket=bucket, Key="a") == "404"


def test_checksum_of_an_upload_is_composite_and_of_its_copy_whole(s3: Any, bucket: str) -> None:
    parts = (b"1" * (5 * MIB), b"2")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a", ChecksumAlgorithm="SHA256")
    assert begun["ChecksumAlgorithm"] == "SHA256"
    said = {"Bucket": bucket, "Key": "a", "UploadId": begun["UploadId"]}
    sent = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(**said, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256")
        assert answer["ChecksumSHA256"] == sha256(part)
        sent.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": sha256(part)})
    s3.complete_multipart_upload(**said, MultipartUpload={"Parts": sent})
    composite = sha256(b"".join(hashlib.sha256(part).digest() for part in parts))
    head = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (f"{composite}-2", "COMPOSITE")
    s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    copy = s3.head_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")
    assert (copy["ChecksumSHA256"], copy["ChecksumType"]) == (sha256(b"".join(parts)), "FULL_OBJECT")


def test_attributes_are_those_that_are_asked_for(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"123", ChecksumAlgorithm="CRC32")
    upload(s3, bucket, "parts", b"1" * (5 * MIB), b"2")
    names = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    found = s3.get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=names)
    assert (found["ETag"], found["ObjectSize"], found["StorageClass"]) == (md5(b"123"), 3, "STANDARD")
    assert found["Checksum"] == {"ChecksumCRC32": crc32(b"123"), "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in found
    parts = s3.get_object_attributes(Bucket=bucket, Key="parts", ObjectAttributes=["ObjectParts"])
    assert parts["ObjectParts"]["TotalPartsCount"] == 2
    assert not {"ETag", "ObjectSize"} & set(parts)


# -- versions ----------------------------------------------------------------------------------------------


def test_delete_marker_covers_an_object_and_removing_it_uncovers(s3: Any, versioned: str) -> None:
    version = s3.put_object(Bucket=versioned, Key="a", Body=b"1")["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="a")
    assert marker["DeleteMarker"] is True
    assert code(s3.get_object, Bucket=versioned, Key="a") == "NoSuchKey"
    assert code(s3.head_object, Bucket=versioned, Key="a") == "404"
    assert s3.head_object(Bucket=versioned, Key="a", VersionId=version)["ContentLength"] == 1
    assert s3.delete_object(Bucket=versioned, Key="a", VersionId=marker["VersionId"])["DeleteMarker"] is True
    assert s3.get_object(Bucket=versioned, Key="a")["VersionId"] == version


def test_deleting_nothing_leaves_a_marker_where_there_are_versions_only(
    s3: Any, bucket: str, versioned: str
) -> None:
    assert "VersionId" not in s3.delete_object(Bucket=bucket, Key="none")
    assert s3.list_object_versions(Bucket=bucket).get("DeleteMarkers", []) == []
    version = s3.delete_object(Bucket=versioned, Key="none")["VersionId"]
    markers = s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]
    assert [(one["Key"], one["VersionId"]) for one in markers] == [("none", version)]


def test_null_version_is_of_before_and_of_while_versioning_is_suspended(s3: Any, bucket: str) -> None:
    def versions() -> list[tuple[str, int]]:
        found = s3.list_object_versions(Bucket=bucket).get("Versions", [])
        return [(one["VersionId"], one["Size"]) for one in found]

    def status(name: str) -> None:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": name})

    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    assert versions() == [("null", 1)]
    status("Enabled")
    second = s3.put_object(Bucket=bucket, Key="a", Body=b"22")["VersionId"]
    assert versions() == [(second, 2), ("null", 1)]
    assert s3.get_object(Bucket=bucket, Key="a", VersionId="null")["Body"].read() == b"1"
    status("Suspended")
    s3.put_object(Bucket=bucket, Key="a", Body=b"333")
    assert versions() == [("null", 3), (second, 2)]
    assert s3.head_object(Bucket=bucket, Key="a", VersionId=second)["ContentLength"] == 2
    assert s3.delete_object(Bucket=bucket, Key="a")["VersionId"] == "null"
    assert versions() == [(second, 2)]


def test_tags_belong_to_their_version(s3: Any, versioned: str) -> None:
    first = s3.put_object(Bucket=versioned, Key="a", Body=b"1", Tagging="n=1")["VersionId"]
    s3.put_object(Bucket=versioned, Key="a", Body=b"2")
    assert tags(s3, versioned, "a") == {}
    assert tags(s3, versioned, "a", VersionId=first) == {"n": "1"}


def test_many_objects_and_versions_are_deleted_at_once(s3: Any, versioned: str) -> None:
    ids = [s3.put_object(Bucket=versioned, Key="a", Body=b"1")["VersionId"] for _ in range(2)]
    named = [{"Key": "a", "VersionId": version} for version in ids]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [*named, {"Key": "b"}]})
    assert [one.get("VersionId") for one in answer["Deleted"]] == [*ids, None]
    assert answer["Deleted"][2]["DeleteMarker"] is True
    assert s3.list_object_versions(Bucket=versioned).get("Versions", []) == []
    quiet = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "c"}], "Quiet": True})
    assert "Deleted" not in quiet


# -- reading while writing; settings of buckets ------------------------------------------------------------


def test_condition_of_a_read(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["ETag"]
    assert code(s3.head_object, Bucket=bucket, Key="a", IfMatch='"other"') == "412"
    assert code(s3.get_object, Bucket=bucket, Key="a", IfMatch='"other"') == "PreconditionFailed"
    assert code(s3.head_object, Bucket=bucket, Key="a", IfNoneMatch=etag) == "304"
    assert s3.get_object(Bucket=bucket, Key="a", Range="bytes=0-0")["ContentRange"] == "bytes 0-0/1"


def test_settings_of_a_bucket_that_nobody_made(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert code(s3.get_object_lock_configuration, Bucket=bucket) == "ObjectLockConfigurationNotFoundError"
    assert code(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    # Since April 2023: https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    controls = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert controls == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_settings_of_a_bucket_read_back(s3: Any, bucket: str) -> None:
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rules
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"
