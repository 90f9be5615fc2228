"""Rules of security groups that Terraform does not know are found, and nothing else is taken for one.

`plans/rules-as-described.json` and `plans/rules-added.json` are real (`plans/make.py` makes them).
"""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from know_me.guard import Rules, judge
from know_me.security_groups import ENTRIES, ForeignRule, foreign_rules

PLANS = Path(__file__).parent / "plans"
GROUP = "sg-0a"
ADDRESS = 'module.database["blue"].aws_security_group.this'
RULE = 'module.database["blue"].aws_vpc_security_group_ingress_rule.client'
POSTGRESQL = {"ip_protocol": "tcp", "from_port": 5432, "to_port": 5432}


def real(name: str) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((PLANS / f"{name}.json").read_text())
    return plan


def entry(protocol: str, first: int, last: int, description: str = "", **peers: Any) -> dict[str, Any]:
    """Return an entry of `ingress` or `egress`, as the provider reads it."""
    ports = {"protocol": protocol, "from_port": first, "to_port": last}
    nobody: dict[str, Any] = {**{attribute: [] for attribute in ENTRIES}, "self": False}
    return {**ports, "description": description, **nobody, **peers}


def described(direction: str = "ingress", group: str = GROUP, **values: Any) -> dict[str, Any]:
    """Return the resource that describes one rule."""
    peers = dict.fromkeys(ENTRIES.values())
    kind = f"aws_vpc_security_group_{direction}_rule"
    address = f'module.database["blue"].{kind}.client'
    attributes = {"security_group_id": group, **peers, "from_port": None, "to_port": None, **values}
    return {"address": address, "mode": "managed", "type": kind, "values": attributes}


def plan_of(
    *resources: dict[str, Any],
    ingress: list[dict[str, Any]] | None = None,
    egress: list[dict[str, Any]] | None = None,
    looked_at: tuple[str, ...] = (ADDRESS,),
    planned: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a plan over one group with these entries and these resources beside it, in a module."""
    values = {"id": GROUP, "ingress": ingress or [], "egress": egress or []}
    group = {"address": ADDRESS, "mode": "managed", "type": "aws_security_group", "values": values}
    module = {"address": 'module.database["blue"]', "resources": [group, *resources]}
    changes = [
        {"address": address, "mode": "managed", "change": {"actions": ["no-op"], "after": {}}}
        for address in looked_at
    ]
    return {
        "prior_state": {"values": {"root_module": {"resources": [], "child_modules": [module]}}},
        "resource_changes": [*changes, *([planned] if planned else [])],
        "applyable": planned is not None,
    }


def found(plan: dict[str, Any]) -> list[str]:
    return [foreign.rule for foreign in foreign_rules(plan)]


# ------------------------------------------------------------------ what is found


def test_a_rule_that_somebody_added_is_found_with_the_command_that_takes_it_back() -> None:
    # Given a group whose rule is described, and PostgreSQL opened to everybody by hand in the same entry
    client = described(**POSTGRESQL, referenced_security_group_id="sg-0b")
    opened = entry("tcp", 5432, 5432, security_groups=["sg-0b"], cidr_blocks=["0.0.0.0/0"])
    # When, then
    assert foreign_rules(plan_of(client, ingress=[opened])) == [
        ForeignRule(
            address=ADDRESS,
            direction="ingress",
            rule="tcp 5432 from 0.0.0.0/0",
            remedy="aws ec2 revoke-security-group-ingress --group-id sg-0a --ip-permissions "
            """'[{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, """
            """"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]'""",
        )
    ]


@pytest.mark.parametrize(
    ("added", "words", "permission"),
    [
        (
            entry("-1", 0, 0, ipv6_cidr_blocks=["::/0"]),
            "all traffic from ::/0",
            {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        ),
        (
            entry("udp", 1, 65535, prefix_list_ids=["pl-1"]),
            "udp 1-65535 from pl-1",
            {
                "IpProtocol": "udp",
                "FromPort": 1,
                "ToPort": 65535,
                "PrefixListIds": [{"PrefixListId": "pl-1"}],
            },
        ),
        (
            entry("tcp", 22, 22, self=True),
            f"tcp 22 from {GROUP}",
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": GROUP}]},
        ),
        (
            entry("tcp", 22, 22, security_groups=["210987654321/sg-0c"]),
            "tcp 22 from sg-0c",
            {
                "IpProtocol": "tcp",
                "FromPort": 22,
                "ToPort": 22,
                "UserIdGroupPairs": [{"GroupId": "sg-0c", "UserId": "210987654321"}],
            },
        ),
        (
            entry("icmp", -1, -1, cidr_blocks=["10.0.0.0/8"]),
            "icmp from 10.0.0.0/8",
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        ),
        (
            entry("icmp", 3, 4, cidr_blocks=["10.0.0.0/8"]),
            "icmp type 3 code 4 from 10.0.0.0/8",
            {"IpProtocol": "icmp", "FromPort": 3, "ToPort": 4, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        ),
        (
            entry("50", 0, 0, cidr_blocks=["10.0.0.0/8"]),
            "protocol 50 from 10.0.0.0/8",
            {"IpProtocol": "50", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        ),
    ],
)
def test_whatever_it_lets_in_is_said_in_words_and_as_aws_takes_it(
    added: dict[str, Any], words: str, permission: dict[str, Any]
) -> None:
    (foreign,) = foreign_rules(plan_of(ingress=[added]))
    assert foreign.rule == words
    assert json.loads(shlex.split(foreign.remedy)[-1]) == [permission]


def test_one_entry_of_a_group_is_as_many_rules_as_it_names_peers() -> None:
    several = entry("tcp", 443, 443, cidr_blocks=["10.0.0.0/8", "192.0.2.0/24"], self=True)
    assert len(found(plan_of(ingress=[several]))) == 3


def test_a_way_out_is_no_way_in() -> None:
    # Given that HTTPS to everywhere is described, when it is open in both directions
    https = described("egress", ip_protocol="tcp", from_port=443, to_port=443, cidr_ipv4="0.0.0.0/0")
    both = [entry("tcp", 443, 443, cidr_blocks=["0.0.0.0/0"])]
    (foreign,) = foreign_rules(plan_of(https, ingress=both, egress=both))
    # Then the way in is nobody's
    assert (foreign.direction, foreign.rule) == ("ingress", "tcp 443 from 0.0.0.0/0")
    # And the way out is said and taken back as such
    (out,) = foreign_rules(plan_of(egress=both))
    assert out.rule == "tcp 443 to 0.0.0.0/0"
    assert "revoke-security-group-egress" in out.remedy


def test_the_rule_of_another_group_explains_nothing() -> None:
    elsewhere = described(group="sg-0b", **POSTGRESQL, cidr_ipv4="10.0.0.0/8")
    opened = entry("tcp", 5432, 5432, cidr_blocks=["10.0.0.0/8"])
    assert found(plan_of(elsewhere, ingress=[opened])) == ["tcp 5432 from 10.0.0.0/8"]


# ------------------------------------------------------------------ what is not


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            {"ip_protocol": "-1", "cidr_ipv4": "10.0.0.0/8"},
            entry("-1", 0, 0, cidr_blocks=["10.0.0.0/8"]),
        ),
        (
            {"ip_protocol": "-1", "from_port": -1, "to_port": -1, "cidr_ipv4": "10.0.0.0/8"},
            entry("-1", 0, 0, cidr_blocks=["10.0.0.0/8"]),
        ),
        (
            {"ip_protocol": "all", "cidr_ipv4": "10.1.2.3/8"},
            entry("-1", 0, 0, cidr_blocks=["10.0.0.0/8"]),
        ),
        (
            {**POSTGRESQL, "ip_protocol": "6", "cidr_ipv6": "2001:DB8:0::/64"},
            entry("tcp", 5432, 5432, ipv6_cidr_blocks=["2001:db8::/64"]),
        ),
        (
            {**POSTGRESQL, "ip_protocol": "TCP", "referenced_security_group_id": GROUP},
            entry("tcp", 5432, 5432, self=True),
        ),
        (
            {**POSTGRESQL, "referenced_security_group_id": "123456789012/sg-0b"},
            entry("tcp", 5432, 5432, security_groups=["sg-0b"]),
        ),
        (
            {**POSTGRESQL, "referenced_security_group_id": "sg-0b"},
            entry("tcp", 5432, 5432, security_groups=["123456789012/sg-0b"]),
        ),
        (
            {"ip_protocol": "icmp", "from_port": 8, "cidr_ipv4": "10.0.0.0/8"},
            entry("icmp", 8, -1, cidr_blocks=["10.0.0.0/8"]),
        ),
        (
            {**POSTGRESQL, "cidr_ipv4": "10.0.0.0/8", "description": "Office"},
            entry("tcp", 5432, 5432, "Something else", cidr_blocks=["10.0.0.0/8"]),
        ),
    ],
)
def test_a_rule_explains_itself_however_it_is_written(written: dict[str, Any], read: dict[str, Any]) -> None:
    assert found(plan_of(described(**written), ingress=[read])) == []


@pytest.mark.parametrize(
    ("number", "name"), [("1", "icmp"), ("6", "tcp"), ("17", "udp"), ("58", "icmpv6"), ("50", "50")]
)
def test_a_protocol_may_be_written_as_its_number(number: str, name: str) -> None:
    written = described(ip_protocol=number, from_port=8, to_port=8, cidr_ipv6="::/0")
    assert found(plan_of(written, ingress=[entry(name, 8, 8, ipv6_cidr_blocks=["::/0"])])) == []


def test_a_rule_of_terraforms_that_was_changed_by_hand_is_not_told_twice() -> None:
    # Given that the resource has the new values too, as AWS was looked at, and that the plan takes them back
    changed = described(**POSTGRESQL, cidr_ipv4="0.0.0.0/0")
    planned = {
        "address": RULE,
        "type": "aws_vpc_security_group_ingress_rule",
        "change": {"actions": ["update"], "after": {**changed["values"], "cidr_ipv4": "10.0.0.0/8"}},
    }
    opened = entry("tcp", 5432, 5432, cidr_blocks=["0.0.0.0/0"])
    # Then it is a difference of that resource, and no foreign rule
    assert found(plan_of(changed, ingress=[opened], planned=planned)) == []


def test_a_group_that_a_plan_with_targets_did_not_look_at_is_not_judged() -> None:
    # Given what the state remembers of a rule that may have gone since
    remembered = entry("tcp", 443, 443, cidr_blocks=["10.0.0.0/8"])
    assert found(plan_of(ingress=[remembered], looked_at=("aws_vpc.this",))) == []


def test_a_group_that_terraform_only_reads_is_somebody_elses() -> None:
    plan = plan_of(ingress=[entry("tcp", 22, 22, cidr_blocks=["0.0.0.0/0"])])
    plan["prior_state"]["values"]["root_module"]["child_modules"][0]["resources"][0]["mode"] = "data"
    assert found(plan) == []


@pytest.mark.parametrize("prior", [{}, {"prior_state": {"format_version": "1.0"}}])
def test_an_environment_that_does_not_exist_yet_has_no_rules(prior: dict[str, Any]) -> None:
    assert foreign_rules({**prior, "resource_changes": []}) == []


# ------------------------------------------------------------------ a rule in the place of Terraform's


def test_a_rule_that_was_deleted_and_made_again_is_named_as_what_an_apply_stumbles_over() -> None:
    # Given that Terraform wants to make its rule anew, of which AWS has a copy under another id
    wanted = {**described(**POSTGRESQL, cidr_ipv4="10.0.0.0/8")["values"]}
    planned = {
        "address": RULE,
        "type": "aws_vpc_security_group_ingress_rule",
        "change": {"actions": ["create"], "after": wanted},
    }
    copies = entry("tcp", 5432, 5432, cidr_blocks=["10.0.0.0/8", "192.0.2.0/24"])
    # When, then only the copy is in its place
    foreign = foreign_rules(plan_of(ingress=[copies], planned=planned))
    assert [(each.rule, each.in_place_of) for each in foreign] == [
        ("tcp 5432 from 10.0.0.0/8", RULE),
        ("tcp 5432 from 192.0.2.0/24", None),
    ]


# ------------------------------------------------------------------ any rules


PEERS = some.one_of(
    some.ip_addresses(v=4).map(lambda address: ("cidr_blocks", f"{address}/32")),
    some.ip_addresses(v=6).map(lambda address: ("ipv6_cidr_blocks", f"{address}/128")),
    some.sampled_from(["pl-1", "pl-2"]).map(lambda name: ("prefix_list_ids", name)),
    some.sampled_from(["sg-0b", "210987654321/sg-0c"]).map(lambda name: ("security_groups", name)),
    some.just(("self", GROUP)),
)
TRAFFIC = some.one_of(
    some.tuples(
        some.sampled_from(["tcp", "udp"]), some.tuples(some.integers(0, 9), some.integers(0, 9)).map(sorted)
    ),
    some.tuples(some.sampled_from(["icmp", "icmpv6"]), some.just([-1, -1])),
    some.tuples(some.sampled_from(["-1", "50"]), some.just([0, 0])),
)
WRITTEN = some.tuples(some.sampled_from(["ingress", "egress"]), TRAFFIC, PEERS).map(
    lambda drawn: (drawn[0], drawn[1][0], *drawn[1][1], *drawn[2])
)
"""Direction, protocol, ports, and a peer, by the attribute of a group's entry."""


def plan_with(managed: set[Any], foreign: set[Any]) -> dict[str, Any]:
    """Return a plan over a group with all of them, as AWS groups them, and resources of the managed ones."""
    entries: dict[tuple[str, ...], dict[str, Any]] = {}
    for direction, protocol, first, last, attribute, value in sorted(managed | foreign):
        one = entries.setdefault((direction, protocol, first, last), entry(protocol, first, last))
        one[attribute] = True if attribute == "self" else [*one[attribute], value]
    resources = [
        described(
            direction,
            ip_protocol=protocol,
            **({} if protocol in ("-1", "50") else {"from_port": first, "to_port": last}),
            **{ENTRIES.get(attribute, "referenced_security_group_id"): value},
        )
        for direction, protocol, first, last, attribute, value in sorted(managed)
    ]
    by_direction = {
        direction: [one for key, one in entries.items() if key[0] == direction]
        for direction in ("ingress", "egress")
    }
    return plan_of(*resources, **by_direction)


def taken_back(foreign: ForeignRule) -> tuple[Any, ...]:
    """Return the rule that the command would take back."""
    *command, group, option, permissions = shlex.split(foreign.remedy)
    assert (command[:2], group, option) == (["aws", "ec2"], GROUP, "--ip-permissions")
    (permission,) = json.loads(permissions)
    protocol = permission.pop("IpProtocol")
    first, last = permission.pop("FromPort", 0), permission.pop("ToPort", 0)
    ((kind, [peer]),) = permission.items()
    owner = f"{peer.pop('UserId')}/" if "UserId" in peer else ""
    (value,) = peer.values()
    attribute = {
        "IpRanges": "cidr_blocks",
        "Ipv6Ranges": "ipv6_cidr_blocks",
        "PrefixListIds": "prefix_list_ids",
        "UserIdGroupPairs": "self" if value == GROUP else "security_groups",
    }[kind]
    return (command[2].rpartition("-")[2], protocol, first, last, attribute, f"{owner}{value}")


@given(some.sets(WRITTEN))
def test_any_set_of_managed_rules_explains_itself(managed: set[Any]) -> None:
    assert foreign_rules(plan_with(managed, set())) == []


@given(some.sets(WRITTEN), some.sets(WRITTEN))
def test_exactly_what_is_not_managed_is_found_and_taken_back(managed: set[Any], added: set[Any]) -> None:
    commands = [taken_back(each) for each in foreign_rules(plan_with(managed, added))]
    assert len(commands) == len(set(commands))
    assert set(commands) == added - managed


# ------------------------------------------------------------------ real plans, and the judgement


def test_groups_as_described_have_no_foreign_rule() -> None:
    assert foreign_rules(real("rules-as-described")) == []


def test_what_was_added_to_a_real_environment_is_found_also_in_the_default_group() -> None:
    unused = "aws_default_security_group.unused"
    foreign = foreign_rules(real("rules-added"))
    assert [(each.address, each.rule.split(" sg-")[0], each.in_place_of) for each in foreign] == [
        (unused, "tcp 5432 from 0.0.0.0/0", None),
        (unused, "tcp 5432 from 192.0.2.0/24", None),
        (ADDRESS, "tcp 5432 from 0.0.0.0/0", None),
        (ADDRESS, "tcp 5432 from 192.0.2.0/24", None),
        (ADDRESS, "tcp 5432 from", RULE),
        (ADDRESS, "all traffic to 0.0.0.0/0", None),
    ]


@pytest.mark.parametrize("mode", ["never", "destructive", "changes", "always"])
def test_foreign_rules_are_in_the_judgement_and_do_not_change_its_verdict(mode: str) -> None:
    rules = Rules.model_validate(
        {
            "environment": "staging",
            "action": "plan",
            "approval_mode": mode,
            "acting_for": None,
            "published": None,
        }
    )
    opened = entry("tcp", 22, 22, cidr_blocks=["0.0.0.0/0"])
    # Given the same plan without and with a rule that somebody added
    before, after = judge(plan_of(), rules), judge(plan_of(ingress=[opened]), rules)
    # Then only the rule is more
    assert (before.verdict, after.verdict) == ("empty", "empty")
    assert [each.rule for each in after.foreign_rules] == ["tcp 22 from 0.0.0.0/0"]
    assert after.model_copy(update={"foreign_rules": []}) == before
