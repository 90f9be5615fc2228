"""Two buckets of moto and a run folder, as the jobs of a run find them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from job_support.progress import Progress
from job_support.run_folder import RunFolder
from media_jobs.context import JobContext
from media_jobs.inputs import JobInputs
from media_jobs.listing import remember_order
from moto import mock_aws

SOURCE, CANDIDATE, ARTIFACTS = "old-bucket", "new-bucket", "artifacts"


@pytest.fixture
def buckets() -> Iterator[Any]:
    """The S3 client; every bucket is empty and versioned."""
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        remember_order(client)
        # moto has no request payment.
        owner_pays = (AWSResponse("", 200, {}, None), {"Payer": "BucketOwner"})
        client.meta.events.register("before-call.s3.GetBucketRequestPayment", lambda **_: owner_pays)
        for bucket in (SOURCE, CANDIDATE, ARTIFACTS):
            client.create_bucket(Bucket=bucket)
            # What AWS makes of a new bucket.
            client.put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
            )
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def context(buckets: Any, tmp_path: Path) -> Callable[..., JobContext]:
    """Return a job's surroundings; arguments change its inputs."""

    def make(**changes: Any) -> JobContext:
        folder = RunFolder(f"s3://{ARTIFACTS}/runs/run-1", buckets)
        inputs = JobInputs.model_validate(
            {
                "run_id": "run-1",
                "run_folder": folder.url,
                "phase": "before",
                "source_bucket": SOURCE,
                "candidate_bucket": CANDIDATE,
            }
            | changes
        )
        return JobContext(inputs, folder, Progress("job", folder), tmp_path, buckets, None)

    return make
