"""Rules of security groups that somebody added by hand (contracts, section 11).

A pure function of the plan's JSON (https://developer.hashicorp.com/terraform/internals/json-format). Each
rule is described by a resource of its own, never inline, so one that Terraform does not know is no difference
to it: it only shows in the computed sets `ingress` and `egress` of the group, as the plan's look at AWS
(`prior_state`) has them. No apply takes such a rule back.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

Direction = Literal["ingress", "egress"]
Peer = Literal["cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id"]

GROUPS = ("aws_security_group", "aws_default_security_group")
"""What has rules. The default group is described by having none; Terraform does not compare that either."""

RULES: dict[str, Direction] = {
    "aws_vpc_security_group_ingress_rule": "ingress",
    "aws_vpc_security_group_egress_rule": "egress",
}

ENTRIES: dict[str, Peer] = {
    "cidr_blocks": "cidr_ipv4",
    "ipv6_cidr_blocks": "cidr_ipv6",
    "prefix_list_ids": "prefix_list_id",
    "security_groups": "referenced_security_group_id",
}
"""Attribute of a group's entry → attribute of the resource that would describe one rule of it."""

EVERYTHING = "-1"
PROTOCOLS = {"all": EVERYTHING, "1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
"""Other ways to write a protocol. AWS answers with the names, a resource keeps what was written."""

WITH_PORTS = ("tcp", "udp")
WITH_TYPES = ("icmp", "icmpv6")


class ForeignRule(BaseModel):
    """A rule that is in a group of Terraform's and that no resource of Terraform's describes."""

    model_config = ConfigDict(frozen=True)

    address: str
    """The group's."""
    direction: Direction
    rule: str
    """In words: `tcp 5432 from 0.0.0.0/0`."""
    in_place_of: str | None = None
    """The resource that an apply would make and cannot, because AWS has the same rule already."""
    remedy: str
    """The command that takes it back."""


@dataclass(frozen=True)
class _Rule:
    """One rule, written so that two of them are equal exactly when they are the same to AWS.

    Parameters
    ----------
    first, last
        The ports; for ICMP the type and the code; None for protocols that have neither.
    account
        Whose group it is, where somebody wrote it: the group's id alone says the same.
    """

    direction: Direction
    protocol: str
    first: int | None
    last: int | None
    peer: Peer
    value: str
    account: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self._traffic()} {'from' if self.direction == 'ingress' else 'to'} {self.value}"

    def _traffic(self) -> str:
        if self.protocol == EVERYTHING:
            return "all traffic"
        if self.protocol in WITH_PORTS:
            ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
            return f"{self.protocol} {ports}"
        if self.protocol in WITH_TYPES:
            kind = "" if self.first == -1 else f" type {self.first}"
            return f"{self.protocol}{kind}{'' if self.last == -1 else f' code {self.last}'}"
        return f"protocol {self.protocol}"

    def revocation(self, group_id: str) -> str:
        """Return the command that takes the rule out of a group; AWS does not ask for its description."""
        ports = {} if self.first is None else {"FromPort": self.first, "ToPort": self.last}
        owner = {"UserId": self.account} if self.account else {}
        peers: dict[Peer, dict[str, Any]] = {
            "cidr_ipv4": {"IpRanges": [{"CidrIp": self.value}]},
            "cidr_ipv6": {"Ipv6Ranges": [{"CidrIpv6": self.value}]},
            "prefix_list_id": {"PrefixListIds": [{"PrefixListId": self.value}]},
            "referenced_security_group_id": {"UserIdGroupPairs": [{"GroupId": self.value, **owner}]},
        }
        permissions = [{"IpProtocol": self.protocol, **ports, **peers[self.peer]}]
        return shlex.join(
            [
                *("aws", "ec2", f"revoke-security-group-{self.direction}", "--group-id", group_id),
                *("--ip-permissions", json.dumps(permissions)),
            ]
        )


def foreign_rules(plan: Mapping[str, Any]) -> list[ForeignRule]:
    """Return every rule in a managed security group that no managed resource describes.

    A managed rule that was changed by hand is no foreign one: it kept its id, so its resource has the new
    values, and Terraform's own plan takes them back. One that was deleted and added again is: Terraform only
    sees that its own is gone.

    Parameters
    ----------
    plan
        What `terraform show -json` prints.
    """
    prior = plan.get("prior_state", {}).get("values", {}).get("root_module", {})
    resources = [each for each in _resources(prior) if each.get("mode") == "managed"]
    changes = plan.get("resource_changes", [])
    # With targets, the rest of the state is as it was last seen, and may name rules that went long ago.
    looked_at = {entry["address"] for entry in changes}
    described = {
        found for each in resources if (found := _described(str(each.get("type")), each.get("values")))
    }
    wanted = {
        found: str(entry["address"])
        for entry in changes
        if (found := _described(str(entry.get("type")), entry["change"].get("after")))
    }
    return [
        ForeignRule(
            address=group["address"],
            direction=rule.direction,
            rule=str(rule),
            in_place_of=wanted.get((group_id, rule)),
            remedy=rule.revocation(group_id),
        )
        for group in resources
        if group["type"] in GROUPS and group["address"] in looked_at
        for group_id in [str(group["values"]["id"])]
        for rule in dict.fromkeys(_rules_of(group["values"]))
        if (group_id, rule) not in described
    ]


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _described(kind: str, values: Mapping[str, Any] | None) -> tuple[str, _Rule] | None:
    """Return the group and the rule that a resource describes; None when it describes none (yet)."""
    if kind not in RULES or not values:
        return None
    for peer in get_args(Peer):
        if values.get(peer):
            rule = _rule(
                RULES[kind],
                values.get("ip_protocol"),
                (values.get("from_port"), values.get("to_port")),
                peer,
                values[peer],
            )
            return str(values.get("security_group_id")), rule
    return None


def _rules_of(group: Mapping[str, Any]) -> Iterator[_Rule]:
    """Take the entries of a group apart: one has a protocol, ports, and any number of peers."""
    for direction in get_args(Direction):
        for entry in group.get(direction) or []:
            ports = (entry.get("from_port"), entry.get("to_port"))
            for peer, value in _peers(entry, str(group["id"])):
                yield _rule(direction, entry.get("protocol"), ports, peer, value)


def _peers(entry: Mapping[str, Any], own_id: str) -> Iterable[tuple[Peer, str]]:
    for attribute, peer in ENTRIES.items():
        for value in entry.get(attribute) or []:
            yield peer, value
    if entry.get("self"):
        yield "referenced_security_group_id", own_id


def _rule(
    direction: Direction,
    protocol: Any,
    ports: tuple[int | None, int | None],
    peer: Peer,
    value: str,
) -> _Rule:
    written = str(protocol).lower()
    name = PROTOCOLS.get(written, written)
    # Elsewhere they mean nothing: 0 in a group's entry, and -1 or null in a resource.
    first, last = (
        (-1 if port is None else port for port in ports)
        if name in (*WITH_PORTS, *WITH_TYPES)
        else (None, None)
    )
    account, _, value = value.rpartition("/") if peer == "referenced_security_group_id" else ("", "", value)
    if peer in ("cidr_ipv4", "cidr_ipv6"):
        # AWS keeps 10.0.0.0/8 where 10.1.2.3/8 was asked for.
        with suppress(ValueError):
            value = str(ip_network(value, strict=False))
    return _Rule(direction, name, first, last, peer, value, account or None)
