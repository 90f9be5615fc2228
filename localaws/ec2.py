"""EC2: what Terraform's network reads back.

True: VPCs, subnets, route tables, gateways, security groups and their rules are kept and read back as they
were made. Not true: nothing routes or filters a packet; processes on this machine reach each other whatever
the security groups say.

Departure from moto: the description of a rule that refers to another security group is read back. moto reads
it from the address range only, and Terraform then sees a change at every plan.
"""

from moto.ec2.models.security_groups import SecurityGroupRule

from localaws.runtime import Runtime


def _description(rule: SecurityGroupRule) -> str | None:
    described = rule.ip_range or rule.source_group
    text: str | None = described.get("Description")
    return text


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make EC2 keep the descriptions of security group rules."""
    SecurityGroupRule.description = property(_description)
