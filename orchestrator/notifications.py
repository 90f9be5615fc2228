"""Where people hear how runs ended."""

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from orchestrator.names import Names


class Notifications(Construct):
    """The topic of an environment: encrypted at rest and in transit."""

    def __init__(self, scope: Construct, identifier: str, names: Names) -> None:
        super().__init__(scope, identifier)
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=names.of("notifications"),
            display_name=f"Know Me {names.environment}",
            # Publishers are roles of this account, which AWS's own key lets in without a key of ours.
            master_key=kms.Alias.from_alias_name(self, "Key", "alias/aws/sns"),
            enforce_ssl=True,
        )
