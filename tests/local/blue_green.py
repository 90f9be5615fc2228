"""A load balancer with two target groups, as a release needs them."""

from dataclasses import dataclass
from typing import Any

from tests.local.conftest import LocalAWS


@dataclass(frozen=True)
class BlueGreen:
    """What stands before a service that is released blue/green: ids; ARNs of listeners and groups."""

    subnets: list[str]
    security_groups: list[str]
    address: str
    production: str
    test: str
    groups: dict[str, str]

    @property
    def network(self) -> dict[str, Any]:
        """The network of its tasks."""
        return {
            "awsvpcConfiguration": {
                "subnets": self.subnets,
                "securityGroups": self.security_groups,
                "assignPublicIp": "DISABLED",
            }
        }


def default_network(aws: LocalAWS) -> tuple[str, list[str], list[str]]:
    """Return the ids of the default VPC, of two of its subnets, and of a security group in it."""
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=inside)["Subnets"]][:2]
    return vpc, subnets, [ec2.describe_security_groups(Filters=inside)["SecurityGroups"][0]["GroupId"]]


def balanced(aws: LocalAWS, name: str) -> BlueGreen:
    """Make it in the default VPC: listeners on 80 and 8443, groups `<name>-blue` and `<name>-green`."""
    elb = aws.client("elbv2")
    vpc, subnets, security = default_network(aws)
    (balancer,) = elb.create_load_balancer(Name=name, Subnets=subnets, SecurityGroups=security)[
        "LoadBalancers"
    ]
    groups = {
        colour: elb.create_target_group(
            Name=f"{name}-{colour}",
            Protocol="HTTP",
            Port=8000,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckPath="/",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            UnhealthyThresholdCount=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in ("blue", "green")
    }
    production, test = (
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": groups["blue"]}],
        )["Listeners"][0]["ListenerArn"]
        for port in (80, 8443)
    )
    return BlueGreen(subnets, security, str(balancer["DNSName"]), production, test, groups)
