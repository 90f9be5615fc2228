"""Source from an object in S3: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-S3.html.

True: the bucket must keep versions, the object must be a zip archive, and the version that is fetched is the
revision. Not true: nobody polls; an execution that something else starts takes the latest version.
"""

import io
import zipfile
from collections.abc import Mapping

from botocore.exceptions import ClientError

from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.errors import ActionFailed
from localaws.codepipeline.records import Revision


def _check(configuration: Mapping[str, str]) -> list[str]:
    if configuration.get("PollForSourceChanges", "true") != "false":
        return ["PollForSourceChanges is not false: the local AWS does not poll"]
    return []


def run(work: Work) -> Result:
    """Fetch the latest version of the object, as the role of the action."""
    bucket, key = work.configuration["S3Bucket"], work.configuration["S3ObjectKey"]
    s3 = work.client("s3")
    try:
        versioning = s3.get_bucket_versioning(Bucket=bucket).get("Status")
        if versioning != "Enabled":
            raise ActionFailed(
                "ConfigurationError", f"The bucket {bucket} keeps no versions: a source in S3 needs them."
            )
        found = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        kind = "PermissionError" if code in ("AccessDenied", "403") else "ConfigurationError"
        raise ActionFailed(kind, f"s3://{bucket}/{key} cannot be fetched: {error}") from error
    body, version = found["Body"].read(), found["VersionId"]
    if not zipfile.is_zipfile(io.BytesIO(body)):
        raise ActionFailed("ConfigurationError", f"s3://{bucket}/{key} is not a zip archive.")
    artifact = work.store.place(work.outputs[0], version)
    work.store.write(artifact, body)
    summary = f"Amazon S3 version id: {version}"
    work.run.external_id, work.run.summary = version, summary
    return Result(
        (artifact,),
        {"BucketName": bucket, "ETag": found["ETag"].strip('"'), "ObjectKey": key, "VersionId": version},
        Revision(
            work.run.name,
            artifact.name,
            version,
            summary,
            f"https://s3.console.aws.amazon.com/s3/object/{bucket}",
        ),
    )


TYPE = ActionType(
    "Source",
    "S3",
    run,
    frozenset({"S3Bucket", "S3ObjectKey"}),
    ("PollForSourceChanges", "AllowOverrideForS3ObjectKey"),
    range(1),
    range(1, 2),
    _check,
)
