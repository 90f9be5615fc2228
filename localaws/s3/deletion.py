"""DeleteObjects: every object is a call of its own, and may be denied by itself."""

from typing import Any

import xmltodict  # type: ignore[import-untyped]
from moto.core.responses import ActionResult
from moto.s3.exceptions import AccessDeniedByLock, MalformedXML, S3ClientError
from moto.s3.responses import S3Response

from localaws.s3.access import decide, requester


def delete_objects(self: S3Response, bucket_name: str, authenticated: bool = True) -> Any:
    """Answer DeleteObjects; moto asks for `s3:DeleteObject` for a version too, and has no Quiet."""
    request = xmltodict.parse(self.body, strip_whitespace=False, force_list=("Object",))["Delete"]
    objects = request.get("Object") or []
    if not objects or len(objects) > 1000:
        raise MalformedXML
    quiet = (request.get("Quiet") or "").strip().lower() == "true"
    bypass = self.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"
    bucket, principal = self.backend.get_bucket(bucket_name), requester()
    deleted, errors = [], []
    for item in objects:
        key, version = item["Key"], item.get("VersionId")
        action = "DeleteObjectVersion" if version else "DeleteObject"
        decision = decide(bucket, action, f"{bucket.arn}/{key}", principal)
        named = {"Key": key} | ({"VersionId": version} if version else {})
        try:
            if decision == "Deny" or (not authenticated and decision != "Allow"):
                raise AccessDeniedByLock  # the same words as any other refusal
            _, told = self.backend.delete_object(bucket_name, key, version_id=version, bypass=bypass)
        except S3ClientError as error:
            errors.append({**named, "Code": error.code, "Message": error.message})
            continue
        marker = told.get("version-id") if told.get("delete-marker") else None
        deleted.append(named | ({"DeleteMarker": True, "DeleteMarkerVersionId": marker} if marker else {}))
    self.data["Action"] = "DeleteObjects"
    return self.serialized(ActionResult({"Deleted": [] if quiet else deleted, "Errors": errors}))
