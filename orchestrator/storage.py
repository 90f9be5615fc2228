"""What a run keeps: its folder, Terraform's state, the lock."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from orchestrator.names import Names
from orchestrator.permissions import acknowledge

OLD_VERSIONS_KEPT = Duration.days(90)


class RunStorage(Construct):
    """Artifacts bucket, state bucket and lock table of an environment.

    Both buckets outlive the stack: they hold the dumps, which are the backups, and the only record of what
    Terraform made.
    """

    def __init__(self, scope: Construct, identifier: str, names: Names) -> None:
        super().__init__(scope, identifier)
        self.artifacts = _bucket(self, "Artifacts", names.artifacts_bucket)
        # On the resource itself: CDK's own property for it brings a custom resource.
        bucket = self.artifacts.node.default_child
        if not isinstance(bucket, s3.CfnBucket):
            raise TypeError("a bucket's default child is its resource")
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )
        self.state = _bucket(self, "State", names.state_bucket)
        self.lock = dynamodb.Table(
            self,
            "Lock",
            table_name=names.lock_table,
            partition_key=dynamodb.Attribute(name="environment", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )


def _bucket(scope: Construct, identifier: str, name: str) -> s3.Bucket:
    bucket = s3.Bucket(
        scope,
        identifier,
        bucket_name=name,
        versioned=True,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="end-what-was-left",
                abort_incomplete_multipart_upload_after=Duration.days(7),
                noncurrent_version_expiration=OLD_VERSIONS_KEPT,
            )
        ],
        removal_policy=RemovalPolicy.RETAIN,
    )
    acknowledge(
        bucket,
        "AwsSolutions-S1",
        "Only the roles of this stack and of the database jobs reach the bucket, each over its own prefix; "
        "who reads an object is CloudTrail's to record (data events), once per account and not per bucket",
    )
    return bucket
