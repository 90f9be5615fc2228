"""What a bucket tells others about its objects: the configuration, and events on the default bus."""

from typing import Any

from moto.core.responses import ActionResult
from moto.s3.responses import S3Response


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
