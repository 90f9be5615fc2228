"""S3: objects, their versions and listings, bucket policies and events, true enough to migrate a bucket.

What is true and what is not is said by each module: `access` (bucket policies), `backend` (how objects come
and go), `calls` (the calls on objects), `checksums`, `content` (what an object is), `deletion`, `index` and
`listing`, `notifications`, `pretended` (what is refused), `synthetic` (objects for tests). Not true besides:
lifecycle rules, replication and inventories are kept by moto and not acted upon; ACLs are taken although the
owner of a bucket enforces its ownership.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from moto.s3 import models
from moto.s3.responses import S3Response

from localaws.runtime import Runtime
from localaws.s3 import calls, index, listing
from localaws.s3.access import checked, get_permission
from localaws.s3.backend import Backend
from localaws.s3.content import Object
from localaws.s3.deletion import delete_objects
from localaws.s3.notifications import get_bucket_notification, install_events
from localaws.s3.pretended import refuse_pretended
from localaws.s3.synthetic import install_synthetic

REPLACED: dict[str, Callable[..., Any]] = {
    "_bucket_response": refuse_pretended("bucket", checked("bucket", S3Response._bucket_response)),
    "_bucket_response_delete_keys": delete_objects,
    "_complete_multipart_body": calls.complete_multipart_body,
    "_key_response": refuse_pretended("key", checked("key", S3Response._key_response)),
    "_tagging_from_xml": calls.tagging_from_xml,
    "copy_object": calls.copy_object,
    "get_bucket_notification": get_bucket_notification,
    "get_object": calls.get_object(S3Response.get_object),
    "get_object_attributes": calls.get_object_attributes,
    "head_object": calls.head_object,
    "list_multipart_uploads": calls.list_multipart_uploads,
    "list_object_versions": listing.list_object_versions,
    "list_objects": listing.list_objects,
    "list_objects_v2": listing.list_objects_v2,
    "put_object": calls.put_object,
    "upload_part": calls.upload_part,
    "upload_part_copy": calls.upload_part_copy,
}
"""Method of moto's response class → ours."""


def replace() -> None:
    """Put our own parts into moto."""
    for name, method in REPLACED.items():
        setattr(S3Response, name, method)
    models.FakeBucket.get_permission = get_permission
    models._VersionedKeyStore = index.KeyStore
    models.s3_backends.backend = Backend
    for tracked in (models.FakeKey, Object, models.FakeDeleteMarker, models.FakeMultipart):
        # moto keeps everything it ever made until a reset; a server that runs for days must not.
        tracked.instances_tracked = deque(maxlen=0)


def install(runtime: Runtime) -> None:
    """Make S3 real: called once, before the server answers its first request."""
    replace()
    install_events(runtime)
    install_synthetic(runtime)
