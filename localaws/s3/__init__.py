"""S3: bucket policies, notifications to EventBridge, and no pretended sub-resources.

What is true and what is not is said by each module: `access` (bucket policies), `notifications`, `pretended`.
"""

from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from localaws.runtime import Runtime
from localaws.s3.access import checked, get_permission
from localaws.s3.deletion import delete_objects
from localaws.s3.notifications import get_bucket_notification
from localaws.s3.pretended import refuse_pretended


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make S3 real: called once, before the server answers its first request."""
    FakeBucket.get_permission = get_permission
    S3Response._bucket_response = refuse_pretended("bucket", checked("bucket", S3Response._bucket_response))
    S3Response._key_response = refuse_pretended("key", checked("key", S3Response._key_response))
    S3Response.get_bucket_notification = get_bucket_notification
    S3Response._bucket_response_delete_keys = delete_objects
