"""A source in S3: the latest version of a zip archive is the revision. No server is needed."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localaws.codepipeline.actions import s3_source
from localaws.codepipeline.actions.work import Result, Work
from localaws.codepipeline.errors import ActionFailed
from localaws.codepipeline.records import ActionRun, Execution
from localaws.codepipeline.store import Store

TOOLS, STORE = "tools", "store"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in (TOOLS, STORE):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=TOOLS, VersioningConfiguration={"Status": "Enabled"})
        yield client


def archive(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("file.txt", text)
    return buffer.getvalue()


def run(s3: Any, key: str = "bundle.zip", bucket: str = TOOLS) -> Result:
    action = ActionRun(
        "Source", {"name": "Tools", "outputArtifacts": [{"name": "Tools"}]}, "arn", "us-east-1"
    )
    action.configuration = {"S3Bucket": bucket, "S3ObjectKey": key, "PollForSourceChanges": "false"}
    execution = Execution("know-me", "arn", {}, 1, {}, (), {})
    store = Store({"location": STORE}, "know-me", s3)
    return s3_source.run(Work(execution, action, lambda _service: s3, store, lambda _seconds: False))


def test_the_latest_version_is_the_artifact_and_the_revision(s3: Any) -> None:
    # Given an object that was changed
    s3.put_object(Bucket=TOOLS, Key="bundle.zip", Body=archive("old"))
    version = s3.put_object(Bucket=TOOLS, Key="bundle.zip", Body=archive("new"))["VersionId"]
    # When it is fetched
    result = run(s3)
    # Then its latest version is in the artifact store, and named
    (artifact,) = result.artifacts
    body = s3.get_object(Bucket=STORE, Key=artifact.key)["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).read("file.txt") == b"new"
    assert result.revision is not None and result.revision.identifier == version
    assert result.variables["VersionId"] == version


def test_what_is_no_archive_or_not_there_or_keeps_no_versions_is_refused(s3: Any) -> None:
    s3.put_object(Bucket=TOOLS, Key="text", Body=b"text")
    s3.put_object(Bucket=STORE, Key="bundle.zip", Body=archive("x"))
    for key, bucket, words in (
        ("text", TOOLS, "is not a zip archive"),
        ("missing", TOOLS, "cannot be fetched"),
        ("bundle.zip", STORE, "keeps no versions"),
    ):
        with pytest.raises(ActionFailed, match=words):
            run(s3, key, bucket)


def test_polling_is_refused_when_the_pipeline_is_made() -> None:
    declared = {
        "configuration": {"S3Bucket": TOOLS, "S3ObjectKey": "bundle.zip"},
        "outputArtifacts": [{"name": "Tools"}],
    }
    assert s3_source.TYPE.faults(declared) == [
        "PollForSourceChanges is not false: the local AWS does not poll"
    ]
