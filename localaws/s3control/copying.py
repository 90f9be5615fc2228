"""One task: the object is copied as CopyObject copies it, with the permissions of the job's role.

Exact: what the role needs (`s3:GetObject`, of the version when one is named; with tags also
`s3:GetObjectTagging` and `s3:PutObjectTagging`; `s3:PutObject`), 403 instead of 404 for a missing object
without `s3:ListBucket`, the storage class of the operation (STANDARD when it names none), the 5 GB limit,
"Task failed due to missing VersionId". The object keeps headers, user metadata and tags and gets the
encryption of the destination. The copy is made inside of the server, without a request, but has its line in
the record of requests.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.s3.models import ARCHIVE_STORAGE_CLASSES, FakeBucket
from moto.s3.notifications import S3NotificationEvent

from localaws.record import RequestRecord
from localaws.s3 import checksums
from localaws.s3.backend import Backend, encryption_of
from localaws.s3.content import Description, Object
from localaws.s3control.acting import ActingRole
from localaws.s3control.limit import SingleCopyLimit
from localaws.s3control.manifests import Task, bucket_of

SUCCESSFUL = "Successful"
COPIED = S3NotificationEvent.OBJECT_CREATED_COPY_EVENT


@dataclass(frozen=True)
class Outcome:
    """How a task ended: HTTP status, error code (empty when it succeeded) and words."""

    status: int = 200
    code: str = ""
    message: str = SUCCESSFUL

    @property
    def succeeded(self) -> bool:
        """Whether the object was copied."""
        return not self.code


ACCESS_DENIED = Outcome(403, "AccessDenied", "Access Denied")
NO_SUCH_BUCKET = Outcome(404, "NoSuchBucket", "The specified bucket does not exist")
NO_SUCH_KEY = Outcome(404, "NoSuchKey", "The specified key does not exist.")
NO_SUCH_VERSION = Outcome(404, "NoSuchVersion", "The specified version does not exist.")
ARCHIVED = Outcome(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
NO_VERSION_ID = Outcome(400, "InvalidRequest", "Task failed due to missing VersionId")


class Copier:
    """Copies objects for one job.

    Parameters
    ----------
    backend:
        Of S3.
    role:
        Whose permissions count.
    operation:
        `S3PutObjectCopy` of the job.
    limit:
        What may be copied at once.
    record:
        Of the server's requests.
    """

    def __init__(
        self,
        backend: Backend,
        role: ActingRole,
        operation: Mapping[str, Any],
        limit: SingleCopyLimit,
        record: RequestRecord,
    ) -> None:
        self._backend = backend
        self._role = role
        self._target = bucket_of(operation["TargetResource"])
        self._prefix = operation.get("TargetKeyPrefix")
        self._storage_class = operation.get("StorageClass") or "STANDARD"
        self._key_id = operation.get("SSEAwsKmsKeyId")
        self._bucket_key = operation.get("BucketKeyEnabled")
        self._limit = limit
        self._record = record

    def copy(self, task: Task) -> Outcome:
        """Copy one object and record it as a request."""
        begun = time.monotonic()
        key = task.key if self._prefix is None else f"{self._prefix.rstrip('/')}/{task.key}"
        outcome = self._attempt(task, key)
        self._record.write(
            self._role.session.arn,
            "s3",
            "CopyObject",
            f"{self._target}/{key}",
            outcome.status,
            time.monotonic() - begun,
        )
        return outcome

    def _attempt(self, task: Task, key: str) -> Outcome:
        source, target = (self._backend.buckets.get(name) for name in (task.bucket, self._target))
        if source is None or target is None:
            return NO_SUCH_BUCKET
        if task.version == "":
            return NO_VERSION_ID
        found = self._find(task)
        if refusal := self._refusal(task, found, source, target, key):
            return refusal
        assert found is not None  # noqa: S101 - a missing object was refused
        try:
            self._limit.check(found.size)
            self._backend.put(self._target, key, found.value, self._described(found, target), COPIED)
        except ServiceException as error:
            return Outcome(400, error.code, error.message)
        return Outcome()

    def _described(self, found: Object, target: FakeBucket) -> Description:
        """Return what CopyObject gives the new object: all of the old one but class, encryption and ACL."""
        checksum = found.checksum
        if checksum is not None and checksum.parts is not None:
            # The copy is made in one piece, so that its checksum is that of the whole object.
            checksum = checksums.Checksum(
                checksum.algorithm, checksums.digest(checksum.algorithm, found.value)
            )
        algorithm = "aws:kms" if self._key_id else None
        return Description(
            metadata=dict(found.metadata),
            tags=self._backend.tags_of(found),
            storage_class=self._storage_class,
            encryption=encryption_of(target, algorithm, self._key_id, self._bucket_key),
            acl=target.acl,
            checksum=checksum,
        )

    def _find(self, task: Task) -> Object | None:
        found: Object | None = self._backend.get_object(task.bucket, task.key, version_id=task.version)
        return found

    def _refusal(
        self, task: Task, found: Object | None, source: FakeBucket, target: FakeBucket, key: str
    ) -> Outcome | None:
        kind = "ObjectVersion" if task.version else "Object"
        if not self._role.may(f"Get{kind}", source, task.key):
            return ACCESS_DENIED
        if found is None:
            if not self._role.may("ListBucket", source):
                return ACCESS_DENIED
            return NO_SUCH_VERSION if task.version else NO_SUCH_KEY
        needed = [("PutObject", target, key)]
        if self._backend.tags_of(found):
            needed += [(f"Get{kind}Tagging", source, task.key), ("PutObjectTagging", target, key)]
        if not all(self._role.may(*each) for each in needed):
            return ACCESS_DENIED
        if found.storage_class not in ARCHIVE_STORAGE_CLASSES:
            return None
        restored = 'ongoing-request="false"' in found.response_dict.get("x-amz-restore", "")
        return None if restored else ARCHIVED
