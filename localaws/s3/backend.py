"""How objects come and go: versions, delete markers, copies and multipart uploads.

True: an object appears with everything that belongs to it at once (moto adds metadata and tags to what others
can read already); versioning enabled, suspended and never enabled; a delete marker also where there was
nothing; a part below 5 MiB that is not the last is refused; the default encryption of the bucket.
"""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

from moto.core.utils import utcnow
from moto.s3 import notifications
from moto.s3.exceptions import (
    AccessDeniedByLock,
    BadRequest,
    EntityTooSmall,
    InvalidPart,
    InvalidStorageClass,
    InvalidTagError,
    MalformedXML,
    MethodNotAllowed,
    MissingKey,
    MissingVersion,
    NoSuchUpload,
)
from moto.s3.models import (
    FakeBucket,
    FakeDeleteMarker,
    FakeKey,
    FakeMultipart,
    FakeTableStorageBucket,
    S3Backend,
)
from moto.s3.notifications import S3NotificationEvent as Event
from moto.s3.utils import STORAGE_CLASS
from moto.utilities.utils import md5_hash

from localaws.s3 import checksums
from localaws.s3.content import Description, Encryption, Object, Upload, metadata_of
from localaws.s3.index import Version

SMALLEST_PART = 5 * 1024**2
"""Bytes of every part but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""

NULL = "null"
"""Version id of an object that was put while its bucket had no versioning, or had it suspended."""

_writes = threading.Lock()


def _placed(versions: list[Version], new: Version) -> list[Version]:
    """Return the versions of a key with a new one: what it replaces is gone, what it covers stays."""
    return [*(one for one in versions if one.version_id != new.version_id), new]


def new_version_id(bucket: FakeBucket) -> str:
    """Return the id of a version that is about to be made."""
    return str(uuid.uuid4()) if bucket.is_versioned else NULL


def encryption_of(
    bucket: FakeBucket,
    algorithm: str | None = None,
    key_id: str | None = None,
    bucket_key: bool | None = None,
) -> Encryption:
    """Return how a new object is encrypted: as asked for, or by the default of the bucket."""
    rule = (bucket.encryption or {}).get("Rule", {})
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    if algorithm is None:
        algorithm, key_id = default.get("SSEAlgorithm", "AES256"), key_id or default.get("KMSMasterKeyID")
    if bucket_key is None:
        bucket_key = str(rule.get("BucketKeyEnabled", False)).lower() == "true"
    if algorithm == "AES256":
        return Encryption()
    return Encryption(algorithm, key_id, bucket_key)


class Backend(S3Backend):  # type: ignore[misc]
    """moto's S3 with true writes."""

    @property
    def _url_module(self) -> Any:
        """The addresses of S3, with keys that may have line breaks in them."""
        module = super()._url_module
        module.url_paths = {path.replace(".+)", r"[\s\S]+)"): call for path, call in module.url_paths.items()}
        return module

    def create_bucket(self, *arguments: Any, **named: Any) -> FakeBucket:
        """Make a bucket; unless the request says otherwise its owner enforces the ownership of objects."""
        bucket = super().create_bucket(*arguments, **named)
        bucket.ownership_rule = "BucketOwnerEnforced"
        return bucket

    def put(
        self,
        bucket_name: str,
        key: str,
        content: bytes,
        described: Description,
        event: Event | None = Event.OBJECT_CREATED_PUT_EVENT,
    ) -> Object:
        """Make an object, or a new version of it.

        Parameters
        ----------
        bucket_name, key, content:
            Where and what.
        described:
            Everything else.
        event:
            What is said about it; None for nothing.

        Raises
        ------
        S3ClientError
            A storage class or tags that S3 does not have.
        """
        bucket = self.get_bucket(bucket_name)
        if described.storage_class not in STORAGE_CLASS:
            raise InvalidStorageClass(storage=described.storage_class)
        self._check_tags(described.tags)
        new = Object(bucket, key, content, described, new_version_id(bucket))
        with _writes:
            self.tagger.delete_all_tags_for_resource(new.arn)
            if described.tags:
                self.tagger.tag_resource(new.arn, self.tagger.convert_dict_to_tags_input(described.tags))
            bucket.keys.setlist(key, _placed(bucket.keys.getlist(key, []), new))
        if event is not None:
            notifications.send_event(self.account_id, event, bucket, new)
        return new

    def _check_tags(self, tags: Any) -> None:
        if not tags:
            return
        if len(tags) > 10:
            raise BadRequest("Object tags cannot be greater than 10")
        if any(name.startswith("aws") for name in tags):
            raise InvalidTagError("Your TagKey cannot be prefixed with aws:")
        if fault := self.tagger.validate_tags(self.tagger.convert_dict_to_tags_input(tags)):
            raise InvalidTagError(fault)

    def put_object(
        self,
        bucket_name: str,
        key_name: str,
        value: bytes,
        storage: str | None = None,
        etag: str | None = None,
        multipart: Any = None,
        encryption: str | None = None,
        kms_key_id: str | None = None,
        bucket_key_enabled: Any = None,
        lock_mode: str | None = None,
        lock_legal_status: str | None = None,
        lock_until: str | None = None,
        checksum_value: str | None = None,
        request_method: str | None = "PUT",
        disable_notification: bool | None = False,
    ) -> Object:
        """Make an object for moto's own callers (form uploads, access logs, other services)."""
        del multipart, checksum_value, bucket_key_enabled
        described = Description(
            storage_class=storage or "STANDARD",
            encryption=encryption_of(self.get_bucket(bucket_name), encryption, kms_key_id),
            etag=etag,
            lock_mode=lock_mode,
            lock_until=lock_until,
            legal_hold=lock_legal_status,
        )
        event = (
            Event.OBJECT_CREATED_POST_EVENT if request_method == "POST" else Event.OBJECT_CREATED_PUT_EVENT
        )
        content = value.encode() if isinstance(value, str) else value
        return self.put(bucket_name, key_name, content, described, None if disable_notification else event)

    def tags_of(self, key: FakeKey) -> dict[str, str]:
        """Return the tags of a version."""
        found: dict[str, str] = self.tagger.get_tag_dict_for_resource(key.arn)
        return found

    def found(self, bucket_name: str, key: str, version_id: str | None) -> Object:
        """Return an object.

        Raises
        ------
        S3ClientError
            There is no such key or version.
        """
        one = self.get_object(bucket_name, key, version_id)
        if one is None and version_id is None:
            raise MissingKey(key=key)
        if one is None:
            raise MissingVersion(key=key, version_id=version_id)
        return one  # type: ignore[no-any-return]

    def delete_object(
        self, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        """Delete an object, or cover it with a delete marker; nothing to delete is no error."""
        bucket = self.get_bucket(bucket_name)
        if isinstance(bucket, FakeTableStorageBucket):
            raise MethodNotAllowed
        if version_id is None and bucket.versioning_status is not None:
            marker = self._mark(bucket, key_name)
            notifications.send_event(
                self.account_id, Event.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT, bucket, marker
            )
            return True, {"version-id": marker.version_id, "delete-marker": "true"}
        told: dict[str, Any] = {"version-id": version_id} if version_id else {}
        with _writes:
            versions = bucket.keys.getlist(key_name, [])
            gone = next((one for one in versions if one.version_id == (version_id or NULL)), None)
            if gone is None:
                return False, told
            if isinstance(gone, FakeKey) and gone.is_locked(governance_bypass=bypass):
                raise AccessDeniedByLock
            left = [one for one in versions if one is not gone]
            if left:
                bucket.keys.setlist(key_name, left)
            else:
                bucket.keys.pop(key_name)
        if isinstance(gone, FakeDeleteMarker):
            told["delete-marker"] = "true"
        else:
            self.tagger.delete_all_tags_for_resource(gone.arn)
        notifications.send_event(self.account_id, Event.OBJECT_REMOVED_DELETE_EVENT, bucket, gone)
        return True, told

    def _mark(self, bucket: FakeBucket, key: str) -> FakeDeleteMarker:
        marker = FakeDeleteMarker(key=Object(bucket, key, b"", Description(), NULL))
        marker._version_id = new_version_id(bucket)
        with _writes:
            bucket.keys.setlist(key, _placed(bucket.keys.getlist(key, []), marker))
        return marker

    def delete_object_tagging(self, bucket_name: str, key_name: str, version_id: str | None = None) -> None:
        """Delete the tags of an object (moto fails when there is none)."""
        self.found(bucket_name, key_name, version_id)
        super().delete_object_tagging(bucket_name, key_name, version_id)

    # -- multipart uploads -------------------------------------------------------------------------------

    def create_multipart_upload(self, *arguments: Any, **named: Any) -> FakeMultipart:
        """Begin an upload; moto does not keep when."""
        upload = super().create_multipart_upload(*arguments, **named)
        upload.initiated = utcnow()
        return upload

    def upload(self, bucket_name: str, upload_id: str) -> FakeMultipart:
        """Return a multipart upload that is under way.

        Raises
        ------
        NoSuchUpload
            It was completed or aborted, or never began.
        """
        found = self.get_bucket(bucket_name).multiparts.get(upload_id)
        if found is None:
            raise NoSuchUpload(upload_id=upload_id)
        return found

    def upload_part(self, bucket_name: str, multipart_id: str, part_id: int, value: bytes) -> FakeKey:
        """Keep a part."""
        return self.put_part(bucket_name, multipart_id, part_id, value)

    def put_part(
        self,
        bucket_name: str,
        upload_id: str,
        number: int,
        content: bytes,
        checksum: checksums.Checksum | None = None,
    ) -> FakeKey:
        """Keep a part of an upload, with the checksum that came with it."""
        upload, bucket = self.upload(bucket_name, upload_id), self.get_bucket(bucket_name)
        part = Object(bucket, number, content, Description(checksum=checksum), NULL)  # type: ignore[arg-type]
        upload.parts[number] = part
        return part

    def list_parts(
        self, bucket_name: str, multipart_id: str, part_number_marker: int = 0, max_parts: int = 1000
    ) -> list[FakeKey]:
        """Return the parts behind a number; moto takes the number for a position."""
        parts = dict(self.upload(bucket_name, multipart_id).parts)
        numbers = sorted(number for number in parts if number > part_number_marker)
        return [parts[number] for number in numbers[: min(max_parts, 1000)]]

    def is_truncated(self, bucket_name: str, multipart_id: str, next_part_number_marker: int) -> bool:
        """Return whether there are parts behind a number."""
        return any(
            number > next_part_number_marker for number in self.upload(bucket_name, multipart_id).parts
        )

    def complete_multipart_upload(
        self, bucket_name: str, multipart_id: str, body: Iterator[tuple[int, str]]
    ) -> Object:
        """Make an object of parts.

        Raises
        ------
        S3ClientError
            A part is missing, is another one, or is too small.
        """
        upload, bucket = self.upload(bucket_name, multipart_id), self.get_bucket(bucket_name)
        parts: dict[int, FakeKey] = {}
        for number, etag in body:
            part = upload.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart
            parts[number] = part
        if not parts:
            raise MalformedXML
        contents = [part.value for part in parts.values()]
        if any(len(content) < SMALLEST_PART for content in contents[:-1]):
            raise EntityTooSmall
        digests = b"".join(md5_hash(content).digest() for content in contents)
        algorithm = upload.metadata.get("x-amz-checksum-algorithm")
        described = Description(
            metadata=metadata_of(upload.metadata),
            tags=upload.tags or {},
            storage_class=upload.storage or "STANDARD",
            encryption=encryption_of(bucket, upload.sse_encryption, upload.kms_key_id),
            website_redirect=upload.metadata.get("x-amz-website-redirect-location"),
            acl=upload.acl or bucket.acl,
            checksum=algorithm
            and checksums.of_upload(algorithm, upload.metadata.get("x-amz-checksum-type"), contents),
            upload=Upload(upload.id, {number: part.size for number, part in parts.items()}),
            etag=f"{md5_hash(digests).hexdigest()}-{len(parts)}",
        )
        event = Event.OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT
        made = self.put(bucket_name, upload.key_name, b"".join(contents), described, event)
        bucket.multiparts.pop(multipart_id, None)
        return made
