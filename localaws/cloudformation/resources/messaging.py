"""SNS topics, SQS queues and their policies."""

import json
from typing import Any

from typing_extensions import override

from localaws.cloudformation.resources.base import (
    Made,
    Place,
    Properties,
    ResourceType,
    conform,
    removed_tags,
    tag_dictionary,
)


def _attributes(properties: Properties, *elsewhere: str) -> dict[str, str]:
    """Return properties as an attribute map: text, objects as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in properties.items()
        if key not in elsewhere
    }


class Topic(ResourceType):
    """AWS::SNS::Topic."""

    name = "AWS::SNS::Topic"
    name_property = "TopicName"
    replaced_by = frozenset({"TopicName"})
    properties = frozenset({"DisplayName", "KmsMasterKeyId", "Tags", "TopicName", "TracingConfig"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the topic."""
        name = properties.get("TopicName") or place.generated_name(256)
        parameters: dict[str, Any] = {
            "Name": name,
            "Attributes": _attributes(properties, "TopicName", "Tags"),
        }
        if "Tags" in properties:
            parameters["Tags"] = properties["Tags"]
        arn = place.client("sns").create_topic(**conform("sns", "CreateTopic", parameters))["TopicArn"]
        return Made(arn, {"TopicArn": arn, "TopicName": name})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change attributes and tags."""
        sns, arn = place.client("sns"), made.physical_id
        before, after = (_attributes(each, "TopicName", "Tags") for each in (old, new))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                sns.set_topic_attributes(TopicArn=arn, AttributeName=key, AttributeValue=after.get(key, ""))
        if removed := removed_tags(old, new):
            sns.untag_resource(ResourceArn=arn, TagKeys=removed)
        if new.get("Tags"):
            sns.tag_resource(**conform("sns", "TagResource", {"ResourceArn": arn, "Tags": new["Tags"]}))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the topic."""
        place.client("sns").delete_topic(TopicArn=made.physical_id)


class TopicPolicy(ResourceType):
    """AWS::SNS::TopicPolicy."""

    name = "AWS::SNS::TopicPolicy"
    replaced_by = frozenset({"Topics"})
    properties = frozenset({"PolicyDocument", "Topics"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Put the policy on each topic."""
        for topic in properties["Topics"]:
            place.client("sns").set_topic_attributes(
                TopicArn=topic,
                AttributeName="Policy",
                AttributeValue=json.dumps(properties["PolicyDocument"]),
            )
        return Made(place.generated_name())

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Replace the policy."""
        self.create(place, new)
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Leave the topic with SNS's default policy: the owner alone."""
        for topic in properties["Topics"]:
            statement = {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": ["SNS:Publish", "SNS:Subscribe", "SNS:GetTopicAttributes"],
                "Resource": topic,
                "Condition": {"StringEquals": {"AWS:SourceOwner": place.account}},
            }
            policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
            place.client("sns").set_topic_attributes(
                TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(policy)
            )


class Subscription(ResourceType):
    """AWS::SNS::Subscription."""

    name = "AWS::SNS::Subscription"
    properties = frozenset({"Endpoint", "FilterPolicy", "Protocol", "RawMessageDelivery", "TopicArn"})
    replaced_by = properties

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Subscribe."""
        parameters = {
            **{key: properties[key] for key in ("TopicArn", "Protocol", "Endpoint")},
            "Attributes": _attributes(properties, "TopicArn", "Protocol", "Endpoint"),
            "ReturnSubscriptionArn": True,
        }
        arn = place.client("sns").subscribe(**conform("sns", "Subscribe", parameters))["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Do nothing: every property makes another subscription."""
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Unsubscribe."""
        place.client("sns").unsubscribe(SubscriptionArn=made.physical_id)


class Queue(ResourceType):
    """AWS::SQS::Queue."""

    name = "AWS::SQS::Queue"
    name_property = "QueueName"
    replaced_by = frozenset({"QueueName", "FifoQueue"})
    properties = frozenset(
        {
            "DelaySeconds",
            "FifoQueue",
            "KmsMasterKeyId",
            "MaximumMessageSize",
            "MessageRetentionPeriod",
            "QueueName",
            "ReceiveMessageWaitTimeSeconds",
            "RedrivePolicy",
            "SqsManagedSseEnabled",
            "Tags",
            "VisibilityTimeout",
        }
    )

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Make the queue."""
        name = properties.get("QueueName") or place.generated_name(80)
        url = place.client("sqs").create_queue(
            QueueName=name,
            Attributes=_attributes(properties, "QueueName", "Tags"),
            tags=tag_dictionary(properties),
        )["QueueUrl"]
        return Made(url, {"Arn": place.arn("sqs", name), "QueueName": name, "QueueUrl": url})

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change attributes and tags."""
        sqs, url = place.client("sqs"), made.physical_id
        attributes = _attributes(new, "QueueName", "Tags", "FifoQueue")
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        if removed := removed_tags(old, new):
            sqs.untag_queue(QueueUrl=url, TagKeys=removed)
        if new.get("Tags"):
            sqs.tag_queue(QueueUrl=url, Tags=tag_dictionary(new))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the queue."""
        place.client("sqs").delete_queue(QueueUrl=made.physical_id)


class QueuePolicy(ResourceType):
    """AWS::SQS::QueuePolicy."""

    name = "AWS::SQS::QueuePolicy"
    replaced_by = frozenset({"Queues"})
    properties = frozenset({"PolicyDocument", "Queues"})

    @override
    def create(self, place: Place, properties: Properties) -> Made:
        """Put the policy on each queue."""
        self._set(place, properties, json.dumps(properties["PolicyDocument"]))
        return Made(place.generated_name())

    @override
    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Replace the policy."""
        self._set(place, new, json.dumps(new["PolicyDocument"]))
        return made

    @override
    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Take the policy away."""
        self._set(place, properties, "")

    @staticmethod
    def _set(place: Place, properties: Properties, policy: str) -> None:
        for queue in properties["Queues"]:
            place.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})


TYPES = (Topic(), TopicPolicy(), Subscription(), Queue(), QueuePolicy())
