"""What a bucket tells others about its objects: the configuration, and events on the default bus.

True: with EventBridgeConfiguration a bucket puts events on the default bus of its Region, as in
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: Object Created, Object Deleted, Object
Tags Added and Deleted, Object ACL Updated, Object Restore Initiated and Completed. Not true: lifecycle and
storage class events, because nothing expires or moves by itself.

Departures from moto: it sends the same sequencer, requester and request with every event, `eTag` for `etag`,
no deletion type, tag events for objects that are put with tags, and nothing for delete markers.
"""

import itertools
import time
import uuid
from collections.abc import Callable
from typing import Any

from flask import has_request_context, request
from moto.core.responses import ActionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket
from moto.s3.notifications import S3NotificationEvent as Event
from moto.s3.responses import S3Response

from localaws.events import publisher
from localaws.runtime import Runtime
from localaws.s3.access import requester

CREATED = {
    Event.OBJECT_CREATED_PUT_EVENT: "PutObject",
    Event.OBJECT_CREATED_POST_EVENT: "POST Object",
    Event.OBJECT_CREATED_COPY_EVENT: "CopyObject",
    Event.OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT: "CompleteMultipartUpload",
}
"""Event → reason of `Object Created`."""

DELETED = {
    Event.OBJECT_REMOVED_DELETE_EVENT: "Permanently Deleted",
    Event.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT: "Delete Marker Created",
}
"""Event → deletion type of `Object Deleted`."""

OTHER = {
    Event.OBJECT_TAGGING_PUT_EVENT: "Object Tags Added",
    Event.OBJECT_TAGGING_DELETE_EVENT: "Object Tags Deleted",
    Event.OBJECT_ACL_UPDATE_EVENT: "Object ACL Updated",
    Event.OBJECT_RESTORE_POST_EVENT: "Object Restore Initiated",
    Event.OBJECT_RESTORE_COMPLETED_EVENT: "Object Restore Completed",
}
"""Event → detail type."""

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
_sequence = itertools.count(time.time_ns())


def detail_of(event: Event, bucket: FakeBucket, key: Any) -> tuple[str, dict[str, Any]]:
    """Return detail type and detail of an event of a bucket about a version or a delete marker."""
    caller = requester()
    what = {"key": key.name, "etag": getattr(key, "etag", EMPTY_MD5).strip('"')}
    if bucket.versioning_status is not None:
        what["version-id"] = key.version_id
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": what,
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": caller.account_id or bucket.account_id,
        "source-ip-address": (request.remote_addr if has_request_context() else None) or "127.0.0.1",
    }
    if event in OTHER:
        return OTHER[event], detail
    what["sequencer"] = f"{next(_sequence):018X}"
    if event in CREATED:
        what["size"] = key.size
        return "Object Created", detail | {"reason": CREATED[event]}
    return "Object Deleted", detail | {"reason": "DeleteObject", "deletion-type": DELETED[event]}


def sender(runtime: Runtime) -> Callable[[str, FakeBucket, Event, Any], None]:
    """Return what moto calls to tell EventBridge of an event."""

    def send(_account_id: str, bucket: FakeBucket, event: Event, key: Any) -> None:
        if event in CREATED or event in DELETED or event in OTHER:
            detail_type, detail = detail_of(event, bucket, key)
            publisher(runtime, bucket.region_name)("aws.s3", detail_type, [bucket.arn], detail)

    return send


def get_bucket_notification(self: S3Response) -> Any:
    """GetBucketNotificationConfiguration, with the part that moto keeps and does not answer."""
    found = self.backend.get_bucket_notification_configuration(self.bucket_name)
    self.data["Action"] = "GetBucketNotificationConfiguration"
    if not found:
        return self.serialized(ActionResult({}))

    def targets(items: Any, name: str) -> list[dict[str, Any]]:
        return [
            {"Id": item.id, name: item.arn, "Events": item.events}
            | (
                {"Filter": {"Key": {"FilterRules": item.filters["S3Key"]["FilterRule"]}}}
                if item.filters
                else {}
            )
            for item in items
        ]

    configuration: dict[str, Any] = {
        "TopicConfigurations": targets(found.topic, "TopicArn"),
        "QueueConfigurations": targets(found.queue, "QueueArn"),
        "LambdaFunctionConfigurations": targets(found.cloud_function, "LambdaFunctionArn"),
    }
    if found.event_bridge is not None:
        configuration["EventBridgeConfiguration"] = {}
    return self.serialized(ActionResult(configuration))


def install_events(runtime: Runtime) -> None:
    """Put the events of buckets on the default bus."""
    notifications._send_event_bridge_message = sender(runtime)
