"""Provision a bundle that arrived, or say what is wrong with it."""

import json

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from know_me.aws import client, error_code
from know_me.bundles import (
    LARGEST_BUNDLE_BYTES,
    BundleLocation,
    S3Object,
    faults_of_bundle,
    faults_of_location,
    refusal,
)
from know_me.names import bundle_execution
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Detail(BaseModel):
    """What S3 says about the object."""

    object: S3Object


class Event(BaseModel):
    """*Object Created* of S3, as EventBridge passes it."""

    detail: Detail


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> dict[str, str | list[str] | None]:
    """Return the execution that provisions this version, or the faults for which none does.

    An event that comes twice starts nothing twice: the execution is named after the version.
    """
    created = event.detail.object
    faults = faults_of_location(created.key, created.size)
    if not faults:
        found = client("s3").get_object(
            Bucket=settings.artifacts_bucket, Key=created.key, VersionId=created.version_id
        )
        # One byte more than there may be: what is too long is seen without reading all of it.
        faults = faults_of_bundle(found["Body"].read(LARGEST_BUNDLE_BYTES + 1))
    if faults:
        bundle = f"s3://{settings.artifacts_bucket}/{created.key} (version {created.version_id})"
        logger.warning("The bundle is refused", extra={"bundle": bundle, "faults": faults})
        subject, text = refusal(settings.environment, bundle, faults)
        client("sns").publish(TopicArn=settings.notification_topic_arn, Subject=subject, Message=text)
        return {"execution": None, "faults": faults}
    location = BundleLocation(key=created.key, version_id=created.version_id)
    return {"execution": _start(settings, location), "faults": []}


def _start(settings: Settings, location: BundleLocation) -> str:
    name = bundle_execution(location.version_id)
    try:
        client("stepfunctions").start_execution(
            stateMachineArn=settings.state_machine_arn("provision"),
            name=name,
            input=json.dumps({"bundle": location.model_dump()}),
        )
    except ClientError as error:
        if error_code(error) != "ExecutionAlreadyExists":
            raise
    return settings.execution_arn("provision", name)
