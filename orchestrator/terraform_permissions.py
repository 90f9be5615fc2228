"""What the Terraform build may do: what `terraform/` makes, inside the names of one environment.

Three means keep it inside, the first that a service offers:

* names: `know-me-<environment>-…`, `know-me/<environment>/…`, `/know-me/<environment>/…`;
* tags: the provider puts `Project` and `Environment` on everything; where AWS chooses the id (VPC, keys),
  creation needs the tags of this environment and change needs them to be there;
* the service a role is passed to.

It can make roles of the environment's name and so, in the end, give rights away: that is what Terraform is
for. It cannot touch the orchestrator's own roles, its own among them, which have a path of their own.
"""

from aws_cdk import aws_iam as iam

from orchestrator.edge_permissions import edge_permissions
from orchestrator.names import Names
from orchestrator.permissions import Permission
from orchestrator.release_permissions import release_permissions
from orchestrator.steps import DESCRIBE_ALL, IDS_OF_AWS, NAMES_OF_THE_ENVIRONMENT, NO_RESOURCE


def terraform_permissions(names: Names) -> list[Permission]:
    """Return the statements of the Terraform build's role, apart from its logs and its source."""
    return [
        *_state_and_run_folder(names),
        *_parameters(names),
        *_network(names),
        *_load_balancer(names),
        *_containers(names),
        *_databases(names),
        *_media(names),
        *_secrets_and_keys(names),
        _nothing_with_the_approval_key(names),
        *_logs(names),
        *_roles(names),
        *_builds(names),
        *edge_permissions(names),
        *release_permissions(names),
    ]


def _named(actions: tuple[str, ...], *resources: str) -> Permission:
    return Permission(actions, resources, NAMES_OF_THE_ENVIRONMENT)


def _state_and_run_folder(names: Names) -> list[Permission]:
    # https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required
    state = f"environments/{names.environment}/terraform.tfstate"
    return [
        Permission(
            ("s3:ListBucket",), (names.bucket(names.state_bucket), names.bucket(names.artifacts_bucket))
        ),
        Permission(("s3:GetObject", "s3:PutObject"), (names.bucket(names.state_bucket, state),)),
        Permission(
            ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
            (names.bucket(names.state_bucket, f"{state}.tflock"),),
        ),
        _named(
            ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
            names.bucket(names.artifacts_bucket, "runs/*"),
        ),
        Permission(
            ("s3:GetObject", "s3:GetObjectVersion"),
            (names.bucket(names.artifacts_bucket, "bundles/*"),),
            "A run takes its source from a bundle, whose name somebody else chooses",
        ),
    ]


def _parameters(names: Names) -> list[Permission]:
    return [
        Permission(("ssm:GetParameter",), (names.parameter("generations"),)),
        Permission(
            (
                "ssm:GetParameter",
                "ssm:GetParameters",
                "ssm:PutParameter",
                "ssm:DeleteParameter",
                "ssm:AddTagsToResource",
                "ssm:RemoveTagsFromResource",
                "ssm:ListTagsForResource",
            ),
            tuple(map(names.parameter, ("manifest", "media/bucket", "api/task-definition"))),
        ),
        Permission(("ssm:DescribeParameters",), ("*",), DESCRIBE_ALL),
    ]


def _network(names: Names) -> list[Permission]:
    asked = {"StringEquals": {"aws:RequestTag/Environment": names.environment}}
    there = {"StringEquals": {"aws:ResourceTag/Environment": names.environment}}
    made = (
        *("vpc", "subnet", "internet-gateway", "route-table", "elastic-ip", "natgateway", "vpc-endpoint"),
        *("security-group", "security-group-rule", "vpc-flow-log"),
    )
    resources = tuple(names.arn("ec2", f"{kind}/*") for kind in made)
    create = (
        "ec2:CreateVpc",
        "ec2:CreateSubnet",
        "ec2:CreateInternetGateway",
        "ec2:CreateRouteTable",
        "ec2:AllocateAddress",
        "ec2:CreateNatGateway",
        "ec2:CreateVpcEndpoint",
        "ec2:CreateSecurityGroup",
        "ec2:CreateFlowLogs",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    manage = (
        "ec2:ModifyVpcAttribute",
        "ec2:DeleteVpc",
        "ec2:ModifySubnetAttribute",
        "ec2:DeleteSubnet",
        "ec2:AttachInternetGateway",
        "ec2:DetachInternetGateway",
        "ec2:DeleteInternetGateway",
        "ec2:CreateRoute",
        "ec2:ReplaceRoute",
        "ec2:DeleteRoute",
        "ec2:AssociateRouteTable",
        "ec2:ReplaceRouteTableAssociation",
        "ec2:DisassociateRouteTable",
        "ec2:DeleteRouteTable",
        "ec2:AssociateAddress",
        "ec2:DisassociateAddress",
        "ec2:ReleaseAddress",
        "ec2:DeleteNatGateway",
        "ec2:ModifyVpcEndpoint",
        "ec2:DeleteVpcEndpoints",
        "ec2:DeleteFlowLogs",
        "ec2:DeleteSecurityGroup",
        "ec2:ModifySecurityGroupRules",
        "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
    )
    describe = (
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeAddressesAttribute",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeFlowLogs",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeNatGateways",
        "ec2:DescribeNetworkAcls",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribePrefixLists",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroupRules",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeTags",
        "ec2:DescribeVpcAttribute",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
    )
    return [
        Permission(describe, ("*",), DESCRIBE_ALL),
        # Made with the tags of the environment, in what already has them.
        Permission(create, resources, IDS_OF_AWS, asked),
        Permission(create, resources, IDS_OF_AWS, there),
        Permission(manage, resources, IDS_OF_AWS, there),
        Permission(("ec2:CreateTags", "ec2:DeleteTags"), resources, IDS_OF_AWS, there),
        # On creation, and on the VPC's default security group, which nobody has tagged yet.
        Permission(
            ("ec2:CreateTags",),
            resources,
            IDS_OF_AWS,
            {**asked, "Null": {"aws:ResourceTag/Environment": "true"}},
        ),
        Permission(
            ("ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"),
            (names.arn("ec2", "security-group/*"),),
            "Terraform empties the VPC's default security group, which has no tags before it is adopted; "
            "revoking only ever closes",
            {"Null": {"aws:ResourceTag/Environment": "true"}},
        ),
    ]


def _load_balancer(names: Names) -> list[Permission]:
    def arn(kind: str) -> str:
        return names.arn("elasticloadbalancing", f"{kind}/{names.prefix}*")

    return [
        Permission(
            (
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
                "elasticloadbalancing:DescribeCapacityReservation",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeListenerAttributes",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeTags",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                "elasticloadbalancing:DescribeTargetHealth",
            ),
            ("*",),
            DESCRIBE_ALL,
        ),
        _named(
            (
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:RemoveTags",
                "elasticloadbalancing:CreateLoadBalancer",
                "elasticloadbalancing:CreateTargetGroup",
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:DeleteTargetGroup",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:DeleteRule",
                "elasticloadbalancing:ModifyLoadBalancerAttributes",
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:ModifyListenerAttributes",
                "elasticloadbalancing:ModifyRule",
                "elasticloadbalancing:SetSecurityGroups",
                "elasticloadbalancing:SetSubnets",
                "elasticloadbalancing:SetIpAddressType",
            ),
            arn("loadbalancer/app"),
            arn("targetgroup"),
            arn("listener/app"),
            arn("listener-rule/app"),
        ),
    ]


def _containers(names: Names) -> list[Permission]:
    return [
        _named(
            (
                "ecs:CreateCluster",
                "ecs:UpdateCluster",
                "ecs:UpdateClusterSettings",
                "ecs:PutClusterCapacityProviders",
                "ecs:DescribeClusters",
                "ecs:DeleteCluster",
                "ecs:CreateService",
                "ecs:UpdateService",
                "ecs:DescribeServices",
                "ecs:DeleteService",
                "ecs:RegisterTaskDefinition",
                "ecs:TagResource",
                "ecs:UntagResource",
                "ecs:ListTagsForResource",
            ),
            names.arn("ecs", f"cluster/{names.prefix}*"),
            names.arn("ecs", f"service/{names.prefix}*/{names.of('*')}"),
            names.arn("ecs", f"task-definition/{names.of('*')}:*"),
        ),
        Permission(("ecs:DescribeTaskDefinition", "ecs:DeregisterTaskDefinition"), ("*",), NO_RESOURCE),
        Permission(
            (
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:ListTagsForResource",
            ),
            ("*",),
            DESCRIBE_ALL,
        ),
        Permission(
            (
                "application-autoscaling:RegisterScalableTarget",
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:DeleteScalingPolicy",
                "application-autoscaling:TagResource",
                "application-autoscaling:UntagResource",
            ),
            (names.arn("application-autoscaling", "scalable-target/*"),),
            "Scalable targets have ids that AWS chooses; what they scale is limited by the ECS permissions",
            {"StringEqualsIfExists": {"application-autoscaling:service-namespace": "ecs"}},
        ),
        # Target tracking keeps its alarms itself, on the caller's behalf.
        _named(
            ("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"),
            names.arn("cloudwatch", f"alarm:TargetTracking-service/{names.prefix}*"),
        ),
    ]


def _databases(names: Names) -> list[Permission]:
    kinds = ("db", "subgrp", "pg", "snapshot")
    return [
        _named(
            (
                "rds:CreateDBInstance",
                "rds:ModifyDBInstance",
                "rds:RebootDBInstance",
                "rds:StartDBInstance",
                "rds:DeleteDBInstance",
                "rds:DescribeDBInstances",
                "rds:CreateDBSubnetGroup",
                "rds:ModifyDBSubnetGroup",
                "rds:DeleteDBSubnetGroup",
                "rds:DescribeDBSubnetGroups",
                "rds:CreateDBParameterGroup",
                "rds:ModifyDBParameterGroup",
                "rds:ResetDBParameterGroup",
                "rds:DeleteDBParameterGroup",
                "rds:DescribeDBParameterGroups",
                "rds:DescribeDBParameters",
                "rds:CreateDBSnapshot",
                "rds:DescribeDBSnapshots",
                "rds:AddTagsToResource",
                "rds:RemoveTagsFromResource",
                "rds:ListTagsForResource",
            ),
            *(names.arn("rds", f"{kind}:{names.of('*')}") for kind in kinds),
            names.arn("rds", "og:default:*"),
        ),
        Permission(
            ("rds:DescribeDBEngineVersions", "rds:DescribeOrderableDBInstanceOptions"), ("*",), NO_RESOURCE
        ),
    ]


def _media(names: Names) -> list[Permission]:
    changes = names.of("media-*-changes")
    return [
        # The provider reads every setting of a bucket, also those that `terraform/` leaves alone.
        _named(
            (
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:GetAccelerateConfiguration",
                "s3:GetBucketAcl",
                "s3:GetBucketCORS",
                "s3:GetBucketLocation",
                "s3:GetBucketLogging",
                "s3:GetBucketNotification",
                "s3:GetBucketObjectLockConfiguration",
                "s3:GetBucketOwnershipControls",
                "s3:GetBucketPolicy",
                "s3:GetBucketPublicAccessBlock",
                "s3:GetBucketRequestPayment",
                "s3:GetBucketTagging",
                "s3:GetBucketVersioning",
                "s3:GetBucketWebsite",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
                "s3:ListBucketVersions",
                "s3:DeleteBucketPolicy",
                "s3:PutBucketCORS",
                "s3:PutBucketNotification",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ),
            names.bucket(names.media_buckets),
            names.bucket(names.web_bucket),
            names.bucket(names.delivery_bucket),
        ),
        # A bucket without deletion protection is emptied before it is deleted.
        _named(
            ("s3:DeleteObject", "s3:DeleteObjectVersion"),
            names.bucket(names.media_buckets, "*"),
            names.bucket(names.web_bucket, "*"),
            names.bucket(names.delivery_bucket, "*"),
        ),
        _named(
            (
                "sqs:CreateQueue",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:ListQueueTags",
                "sqs:SetQueueAttributes",
                "sqs:TagQueue",
                "sqs:UntagQueue",
            ),
            names.arn("sqs", changes),
        ),
        _named(
            (
                "events:DeleteRule",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ),
            names.arn("events", f"rule/{changes}"),
        ),
    ]


def _secrets_and_keys(names: Names) -> list[Permission]:
    asked = {"StringEquals": {"aws:RequestTag/Environment": names.environment}}
    there = {"StringEquals": {"aws:ResourceTag/Environment": names.environment}}
    keys, alias = names.arn("kms", "key/*"), names.arn("kms", f"alias/{names.prefix}")
    return [
        _named(
            (
                "secretsmanager:CreateSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:UpdateSecret",
                "secretsmanager:DeleteSecret",
                "secretsmanager:RestoreSecret",
                "secretsmanager:GetResourcePolicy",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
                "secretsmanager:TagResource",
                "secretsmanager:UntagResource",
            ),
            names.arn("secretsmanager", f"secret:know-me/{names.environment}/*"),
        ),
        # RDS makes the master secret in the name of who creates the instance:
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
        Permission(
            ("secretsmanager:CreateSecret", "secretsmanager:TagResource", "secretsmanager:DescribeSecret"),
            (names.arn("secretsmanager", "secret:rds!db-*"),),
            "RDS chooses the names of master secrets; their values stay out of reach",
        ),
        Permission(("secretsmanager:GetRandomPassword",), ("*",), NO_RESOURCE),
        Permission(("kms:CreateKey", "kms:TagResource"), ("*",), IDS_OF_AWS, asked),
        Permission(
            (
                "kms:DescribeKey",
                "kms:GetKeyPolicy",
                "kms:PutKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:EnableKeyRotation",
                "kms:DisableKeyRotation",
                "kms:UpdateKeyDescription",
                "kms:ListResourceTags",
                "kms:TagResource",
                "kms:UntagResource",
                "kms:ScheduleKeyDeletion",
                "kms:Encrypt",
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:CreateAlias",
                "kms:UpdateAlias",
                "kms:DeleteAlias",
            ),
            (keys,),
            IDS_OF_AWS,
            there,
        ),
        Permission(
            ("kms:CreateGrant",),
            (keys,),
            "Only for AWS services that the environment's key is handed to",
            {**there, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        Permission(("kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"), (alias,)),
        Permission(("kms:ListAliases",), ("*",), DESCRIBE_ALL),
    ]


def _nothing_with_the_approval_key(names: Names) -> Permission:
    """Keep the key that signs approvals away from what is to be approved: its code runs in the plan."""
    return Permission(
        (
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutSecretValue",
            "secretsmanager:UpdateSecret",
            "secretsmanager:UpdateSecretVersionStage",
            "secretsmanager:DeleteSecret",
        ),
        (names.arn("secretsmanager", f"secret:{names.approval_key}-??????"),),
        effect=iam.Effect.DENY,
    )


def _logs(names: Names) -> list[Permission]:
    groups = (
        names.arn("logs", f"log-group:/{names.prefix}*"),
        names.arn("logs", f"log-group:/aws/rds/instance/{names.of('*')}"),
        names.arn("logs", f"log-group:/aws/ecs/containerinsights/{names.prefix}*"),
    )
    return [
        _named(
            (
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:PutRetentionPolicy",
                "logs:DeleteRetentionPolicy",
                "logs:AssociateKmsKey",
                "logs:DisassociateKmsKey",
                "logs:TagResource",
                "logs:UntagResource",
                "logs:ListTagsForResource",
            ),
            *groups,
        ),
        Permission(("logs:DescribeLogGroups",), ("*",), DESCRIBE_ALL),
    ]


def _roles(names: Names) -> list[Permission]:
    roles = names.role(names.of("*"))
    linked = names.role("aws-service-role/*")
    return [
        _named(
            (
                "iam:CreateRole",
                "iam:GetRole",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
                "iam:UpdateAssumeRolePolicy",
                "iam:DeleteRole",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:ListRolePolicies",
                "iam:GetRolePolicy",
                "iam:PutRolePolicy",
                "iam:DeleteRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
            ),
            roles,
        ),
        Permission(
            ("iam:PassRole",),
            (roles,),
            NAMES_OF_THE_ENVIRONMENT,
            {
                "StringEquals": {
                    "iam:PassedToService": [
                        "ecs-tasks.amazonaws.com",
                        "codebuild.amazonaws.com",
                        "codedeploy.amazonaws.com",
                        "codepipeline.amazonaws.com",
                        "events.amazonaws.com",
                        "vpc-flow-logs.amazonaws.com",
                    ]
                }
            },
        ),
        Permission(
            ("iam:CreateServiceLinkedRole",),
            (linked,),
            "AWS names its own roles; the condition says for which services",
            {
                "StringEquals": {
                    "iam:AWSServiceName": [
                        "ecs.amazonaws.com",
                        "ecs.application-autoscaling.amazonaws.com",
                        "elasticloadbalancing.amazonaws.com",
                        "rds.amazonaws.com",
                    ]
                }
            },
        ),
    ]


def _builds(names: Names) -> list[Permission]:
    return [
        Permission(
            (
                "codebuild:CreateProject",
                "codebuild:UpdateProject",
                "codebuild:DeleteProject",
                "codebuild:BatchGetProjects",
            ),
            (names.project(names.database_jobs_build), names.project(names.media_jobs_build)),
        )
    ]
