"""Where people hear how runs ended, and which alarms were raised."""

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from orchestrator.names import Names


class Notifications(Construct):
    """The topic of an environment: encrypted at rest and in transit.

    Its key is its own: CloudWatch cannot publish to a topic under AWS's key for SNS, and says so nowhere but
    in an alarm's history.
    """

    def __init__(self, scope: Construct, identifier: str, names: Names) -> None:
        super().__init__(scope, identifier)
        key = kms.Key(
            self,
            "Key",
            description=f"Messages of {names.of('notifications')}",
            enable_key_rotation=True,
        )
        # As AWS's own key has it: who may publish may use the key by way of the topic, and in no other way.
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="PublishersOfTheAccount",
                principals=[iam.AnyPrincipal()],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions={
                    "StringEquals": {
                        "kms:CallerAccount": Aws.ACCOUNT_ID,
                        "kms:ViaService": f"sns.{Aws.REGION}.amazonaws.com",
                    }
                },
            )
        )
        alarms = {
            "ArnLike": {"aws:SourceArn": names.arn("cloudwatch", f"alarm:{names.of('*')}")},
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        }
        cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[cloudwatch],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=alarms,
            )
        )
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=names.of("notifications"),
            display_name=f"Know Me {names.environment}",
            master_key=key,
            enforce_ssl=True,
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[cloudwatch],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions=alarms,
            )
        )
