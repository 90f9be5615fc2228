"""What the Terraform build may do for what faces the world: web app, names, firewalls, alarms.

CloudFront, its certificates and its web ACLs are global services or live in us-east-1, whatever the region of
the environment.
"""

from orchestrator.names import Names
from orchestrator.permissions import Permission
from orchestrator.steps import DESCRIBE_ALL, IDS_OF_AWS, NAMES_OF_THE_ENVIRONMENT

GLOBAL_REGION = "us-east-1"


def edge_permissions(names: Names) -> list[Permission]:
    """Return the statements for the modules `web`, `dns`, `firewall` and `watching`."""
    return [
        *_distributions(names),
        *_certificates(names),
        *_records(names),
        *_firewalls(names),
        *_alarms(names),
    ]


def _asked(names: Names) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"aws:RequestTag/Environment": names.environment}}


def _there(names: Names) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"aws:ResourceTag/Environment": names.environment}}


def _everywhere(names: Names, service: str, resource: str) -> tuple[str, str]:
    """Return an ARN in the environment's region and in that of the global services."""
    return (
        names.arn(service, resource),
        f"arn:{names.partition}:{service}:{GLOBAL_REGION}:{names.account}:{resource}",
    )


def _distributions(names: Names) -> list[Permission]:
    def arn(kind: str) -> str:
        return f"arn:{names.partition}:cloudfront::{names.account}:{kind}/*"

    distributions = (arn("distribution"),)
    return [
        Permission(
            ("cloudfront:CreateDistribution", "cloudfront:TagResource"),
            distributions,
            IDS_OF_AWS,
            _asked(names),
        ),
        Permission(
            (
                "cloudfront:DeleteDistribution",
                "cloudfront:GetDistribution",
                "cloudfront:GetDistributionConfig",
                "cloudfront:ListTagsForResource",
                "cloudfront:TagResource",
                "cloudfront:UntagResource",
                "cloudfront:UpdateDistribution",
            ),
            distributions,
            IDS_OF_AWS,
            _there(names),
        ),
        Permission(
            tuple(
                f"cloudfront:{verb}{kind}"
                for kind in ("CachePolicy", "OriginAccessControl", "ResponseHeadersPolicy")
                for verb in ("Create", "Delete", "Get", "Update")
            ),
            (arn("cache-policy"), arn("origin-access-control"), arn("response-headers-policy")),
            "AWS chooses the ids and these have no tags; what a distribution uses cannot be deleted",
        ),
    ]


def _certificates(names: Names) -> list[Permission]:
    certificates = _everywhere(names, "acm", "certificate/*")
    return [
        Permission(
            ("acm:AddTagsToCertificate", "acm:RequestCertificate"), certificates, IDS_OF_AWS, _asked(names)
        ),
        Permission(
            (
                "acm:AddTagsToCertificate",
                "acm:DeleteCertificate",
                "acm:DescribeCertificate",
                "acm:ListTagsForCertificate",
                "acm:RemoveTagsFromCertificate",
            ),
            certificates,
            IDS_OF_AWS,
            _there(names),
        ),
    ]


def _records(names: Names) -> list[Permission]:
    zones = f"arn:{names.partition}:route53:::hostedzone/*"
    level = "" if names.environment == "production" else f"{names.environment}."
    own = [f"{proof}{name}.{level}*" for name in ("api", "app") for proof in ("", "_*.")]
    return [
        Permission(("route53:ListHostedZones",), ("*",), DESCRIBE_ALL),
        Permission(
            ("route53:GetHostedZone", "route53:ListResourceRecordSets", "route53:ListTagsForResource"),
            (zones,),
            "The zone is found by its name, a variable of Terraform; all that is read is public",
        ),
        Permission(
            ("route53:ChangeResourceRecordSets",),
            (zones,),
            "The conditions limit the records to this environment's names and their proofs",
            {
                "ForAllValues:StringLike": {"route53:ChangeResourceRecordSetsNormalizedRecordNames": own},
                "ForAllValues:StringEquals": {
                    "route53:ChangeResourceRecordSetsRecordTypes": ["A", "AAAA", "CNAME"]
                },
            },
        ),
        Permission(
            ("route53:GetChange",),
            (f"arn:{names.partition}:route53:::change/*",),
            "AWS chooses the ids of changes; they reveal a state and nothing else",
        ),
    ]


def _firewalls(names: Names) -> list[Permission]:
    balancer = names.arn("elasticloadbalancing", f"loadbalancer/app/{names.prefix}*")
    regional = names.arn("wafv2", f"regional/webacl/{names.of('*')}/*")
    distant = f"arn:{names.partition}:wafv2:{GLOBAL_REGION}:{names.account}:global"
    return [
        Permission(
            (
                "wafv2:AssociateWebACL",
                "wafv2:CreateWebACL",
                "wafv2:DeleteLoggingConfiguration",
                "wafv2:DeleteWebACL",
                "wafv2:DisassociateWebACL",
                "wafv2:GetLoggingConfiguration",
                "wafv2:GetWebACL",
                "wafv2:GetWebACLForResource",
                "wafv2:ListTagsForResource",
                "wafv2:PutLoggingConfiguration",
                "wafv2:TagResource",
                "wafv2:UntagResource",
                "wafv2:UpdateWebACL",
                "elasticloadbalancing:SetWebAcl",
            ),
            (regional, f"{distant}/webacl/{names.of('*')}/*", balancer),
            NAMES_OF_THE_ENVIRONMENT,
        ),
        Permission(
            ("wafv2:CreateWebACL", "wafv2:UpdateWebACL"),
            (names.arn("wafv2", "regional/managedruleset/*/*"), f"{distant}/managedruleset/*/*"),
            "A web ACL that uses rules of AWS needs the right on them too; they belong to nobody here",
        ),
        # https://docs.aws.amazon.com/waf/latest/developerguide/logging-cw-logs.html
        Permission(
            (
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeResourcePolicies",
                "logs:PutResourcePolicy",
            ),
            ("*",),
            "WAF connects a web ACL and its log group in the caller's name; there is no resource for that",
        ),
        Permission(
            (
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:DisassociateKmsKey",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ),
            _everywhere(names, "logs", f"log-group:aws-waf-logs-{names.of('*')}"),
            NAMES_OF_THE_ENVIRONMENT,
        ),
    ]


def _alarms(names: Names) -> list[Permission]:
    return [
        Permission(
            (
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ),
            (names.arn("cloudwatch", f"alarm:{names.of('*')}"),),
            NAMES_OF_THE_ENVIRONMENT,
        ),
        Permission(
            ("cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"),
            (f"arn:{names.partition}:cloudwatch::{names.account}:dashboard/{names.prefix}",),
        ),
    ]
