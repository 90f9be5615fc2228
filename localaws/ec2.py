"""EC2: what Terraform's network reads back.

True: VPCs, subnets, route tables, gateways, security groups and their rules are kept and read back as they
were made. Not true: nothing routes or filters a packet; processes on this machine reach each other whatever
the security groups say.

Departures from moto: the description of a rule that refers to another security group is read back. moto reads
it from the address range only, and Terraform then sees a change at every plan. The network interface of a NAT
gateway goes with the gateway.
"""

from moto.ec2.models.nat_gateways import NatGateway, NatGatewayBackend
from moto.ec2.models.security_groups import SecurityGroupRule

from localaws.runtime import Runtime


def _description(rule: SecurityGroupRule) -> str | None:
    described = rule.ip_range or rule.source_group
    text: str | None = described.get("Description")
    return text


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make EC2 keep the descriptions of security group rules, and no interface of a gateway that is gone."""
    SecurityGroupRule.description = property(_description)
    delete = NatGatewayBackend.delete_nat_gateway

    def delete_nat_gateway(backend: NatGatewayBackend, nat_gateway_id: str) -> NatGateway:
        gateway = delete(backend, nat_gateway_id)
        backend.enis.pop(gateway._eni.id, None)
        return gateway

    NatGatewayBackend.delete_nat_gateway = delete_nat_gateway
