"""S3 buckets and their policies."""

import json
from typing import Any

from botocore.exceptions import ClientError
from typing_extensions import override

from localaws.cloudformation.errors import ResourceFailedError
from localaws.cloudformation.resources.base import Made, Place, Properties, ResourceType, conform


class Bucket(ResourceType):
    """AWS::S3::Bucket."""

    name = "AWS::S3::Bucket"
    name_property = "BucketName"
    replaced_by = frozenset({"BucketName"})
    properties = frozenset(
        {
            "AccessControl",
            "BucketEncryption",
            "BucketName",
            "LifecycleConfiguration",
            "NotificationConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
            "VersioningConfiguration",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the bucket, then all that is set on it; an existing one is not adopted."""
        s3 = place.client("s3")
        bucket = properties.get("BucketName") or place.generated_name(63).lower()
        if self._exists(s3, bucket):
            raise ResourceFailedError(f"{bucket} already exists")
        location = (
            {}
            if place.region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": place.region}}
        )
        s3.create_bucket(Bucket=bucket, **location)
        made = Made(
            bucket,
            {
                "Arn": f"arn:aws:s3:::{bucket}",
                "DomainName": f"{bucket}.s3.amazonaws.com",
                "RegionalDomainName": f"{bucket}.s3.{place.region}.amazonaws.com",
                "DualStackDomainName": f"{bucket}.s3.dualstack.{place.region}.amazonaws.com",
            },
        )
        try:
            return self.update(place, made, {}, properties)
        except Exception:
            s3.delete_bucket(Bucket=bucket)  # half made is not made
            raise

    @staticmethod
    def _exists(s3: Any, bucket: str) -> bool:
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
                return False
            raise
        return True

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Set what is set, unset what is no more."""
        s3 = place.client("s3")
        for key, (put, unset) in _SETTINGS.items():
            if new.get(key) == old.get(key):
                continue
            if key in new:
                put(s3, made.physical_id, new[key])
            elif unset is None:
                raise ResourceFailedError(f"{key} cannot be taken away from a bucket")
            else:
                getattr(s3, unset)(Bucket=made.physical_id)
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the bucket, which must be empty."""
        place.client("s3").delete_bucket(Bucket=made.physical_id)


def _put_ownership(s3: Any, bucket: str, value: Any) -> None:
    s3.put_bucket_ownership_controls(
        Bucket=bucket, **conform("s3", "PutBucketOwnershipControls", {"OwnershipControls": value})
    )


def _put_public_access_block(s3: Any, bucket: str, value: Any) -> None:
    parameters = {"PublicAccessBlockConfiguration": value}
    s3.put_public_access_block(Bucket=bucket, **conform("s3", "PutPublicAccessBlock", parameters))


def _put_acl(s3: Any, bucket: str, value: str) -> None:
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in value).strip("-")
    s3.put_bucket_acl(Bucket=bucket, ACL=words)


def _put_encryption(s3: Any, bucket: str, value: Any) -> None:
    rules = [
        {
            {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}.get(key, key): item
            for key, item in rule.items()
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    parameters = {"ServerSideEncryptionConfiguration": {"Rules": rules}}
    s3.put_bucket_encryption(Bucket=bucket, **conform("s3", "PutBucketEncryption", parameters))


def _put_versioning(s3: Any, bucket: str, value: Any) -> None:
    parameters = {"VersioningConfiguration": value}
    s3.put_bucket_versioning(Bucket=bucket, **conform("s3", "PutBucketVersioning", parameters))


def _put_lifecycle(s3: Any, bucket: str, value: Any) -> None:
    rules = [_lifecycle_rule(rule) for rule in value["Rules"]]
    parameters = {"LifecycleConfiguration": {"Rules": rules}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, **conform("s3", "PutBucketLifecycleConfiguration", parameters)
    )


def _lifecycle_rule(rule: Properties) -> dict[str, Any]:
    """Write a rule as the API does: nested where CloudFormation is flat."""
    written = {key: value for key, value in rule.items() if key not in _FLAT}
    for key, (outer, inner) in _FLAT.items():
        if key in rule:
            written.setdefault(outer, {})[inner] = rule[key]
    written["ID"] = written.pop("Id", "rule")
    written["Filter"] = {"Prefix": written.pop("Prefix", "")}
    return written


_FLAT = {
    "ExpirationInDays": ("Expiration", "Days"),
    "ExpiredObjectDeleteMarker": ("Expiration", "ExpiredObjectDeleteMarker"),
    "NoncurrentVersionExpirationInDays": ("NoncurrentVersionExpiration", "NoncurrentDays"),
}


def _put_notification(s3: Any, bucket: str, value: Any) -> None:
    unknown = value.keys() - {"EventBridgeConfiguration"}
    if unknown:
        raise ResourceFailedError(
            f"NotificationConfiguration: encountered unsupported property {', '.join(unknown)}"
        )
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def _put_tags(s3: Any, bucket: str, value: Any) -> None:
    s3.put_bucket_tagging(Bucket=bucket, **conform("s3", "PutBucketTagging", {"Tagging": {"TagSet": value}}))


_SETTINGS: dict[str, tuple[Any, str | None]] = {
    "OwnershipControls": (_put_ownership, "delete_bucket_ownership_controls"),
    "PublicAccessBlockConfiguration": (_put_public_access_block, "delete_public_access_block"),
    "AccessControl": (_put_acl, None),
    "BucketEncryption": (_put_encryption, "delete_bucket_encryption"),
    "VersioningConfiguration": (_put_versioning, None),
    "LifecycleConfiguration": (_put_lifecycle, "delete_bucket_lifecycle"),
    "NotificationConfiguration": (_put_notification, None),
    "Tags": (_put_tags, "delete_bucket_tagging"),
}
"""Property → how to set it, and the S3 operation that unsets it."""


class BucketPolicy(ResourceType):
    """AWS::S3::BucketPolicy."""

    name = "AWS::S3::BucketPolicy"
    properties = frozenset({"Bucket", "PolicyDocument"})
    replaced_by = frozenset({"Bucket"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Put the policy on the bucket."""
        place.client("s3").put_bucket_policy(
            Bucket=properties["Bucket"], Policy=json.dumps(properties["PolicyDocument"])
        )
        return Made(properties["Bucket"])

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Replace the policy."""
        return self.create(place, new)

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Take the policy away."""
        place.client("s3").delete_bucket_policy(Bucket=properties["Bucket"])


TYPES = (Bucket(), BucketPolicy())
