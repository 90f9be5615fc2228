"""What a role may do: statements with a reason for every wildcard, and the roles that hold them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct


@dataclass(frozen=True)
class Permission:
    """One statement of a policy.

    Parameters
    ----------
    actions, resources : tuple of str
    reason : str, optional
        Why a resource or an action has a wildcard; needed when one has.
    conditions : mapping, optional
        As in IAM's JSON.
    effect : iam.Effect
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str | None = None
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effect: iam.Effect = iam.Effect.ALLOW

    def __post_init__(self) -> None:
        """Refuse an unexplained wildcard where it is written."""
        if self.reason is None and self.wildcards():
            raise ValueError(f"{self.actions} on {self.resources}: a wildcard needs a reason")

    def statement(self) -> iam.PolicyStatement:
        """Return it as CDK has it."""
        return iam.PolicyStatement(
            effect=self.effect,
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=dict(self.conditions) or None,
        )

    def wildcards(self) -> list[str]:
        """Return `Action::…` and `Resource::…` of what has a wildcard, as cdk-nag names them."""
        if self.effect == iam.Effect.DENY:
            return []
        return [f"Action::{action}" for action in self.actions if "*" in action] + [
            f"Resource::{resource}" for resource in self.resources if "*" in resource
        ]


LONGEST_INSIDE = 9_000
LONGEST_MANAGED = 5_500
"""Characters of statements, below IAM's quotas: 10,240 for all policies in a role, 6,144 for a managed one.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

FRAME = 20
"""Characters that a statement has besides."""

X_RAY = Permission(
    ("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
    ("*",),
    "X-Ray has no resources to name: a trace belongs to the account",
)


def service_role(
    scope: Construct,
    identifier: str,
    *,
    service: str,
    description: str,
    path: str,
    permissions: Iterable[Permission],
) -> iam.Role:
    """Make the role of one thing, with all that it may do in one policy inside it.

    Inside, because the thing is then never made before its role may do what it needs; and CDK's grants
    cannot widen it. What does not fit inside goes into managed policies, which are made before the role.
    """
    granted = list(permissions)
    account = Stack.of(scope).account
    inside = sum(map(_length, granted)) <= LONGEST_INSIDE
    parts = [] if inside else packed(granted, LONGEST_MANAGED)
    managed = [
        iam.ManagedPolicy(
            scope,
            f"{identifier}Permissions{number}",
            description=f"{description}, part {number}",
            path=path,
            document=_document(part),
        )
        for number, part in enumerate(parts, start=1)
    ]
    role = iam.Role(
        scope,
        identifier,
        description=description,
        path=path,
        # The service may act only for this account: the confused deputy.
        assumed_by=iam.ServicePrincipal(service, conditions={"StringEquals": {"aws:SourceAccount": account}}),
        managed_policies=list(managed),
        inline_policies={"permissions": _document(granted)} if granted and inside else None,
    )
    if inside:
        _explain(role, granted)
    for policy, part in zip(managed, parts, strict=True):
        _explain(policy, part)
    return role


def _explain(holder: IConstruct, permissions: Iterable[Permission]) -> None:
    """Give cdk-nag the reason of each wildcard, where it is: nowhere else may it be accepted."""
    for permission in permissions:
        for wildcard in permission.wildcards():
            finding = f"AwsSolutions-IAM5[{_as_nag_writes(holder, wildcard)}]"
            acknowledge(holder, finding, str(permission.reason))


def packed(permissions: Iterable[Permission], longest: int) -> list[list[Permission]]:
    """Put permissions, in order, into as few parts as their length allows."""
    parts: list[list[Permission]] = [[]]
    length = 0
    for permission in permissions:
        if parts[-1] and length + _length(permission) > longest:
            parts.append([])
            length = 0
        parts[-1].append(permission)
        length += _length(permission)
    return parts


def _document(permissions: Iterable[Permission]) -> iam.PolicyDocument:
    return iam.PolicyDocument(
        statements=[permission.statement() for permission in permissions], minimize=False
    )


def _length(permission: Permission) -> int:
    """Return how long a statement is, roughly: what stands for account and region becomes shorter."""
    document = {
        "Action": permission.actions,
        "Resource": permission.resources,
        "Condition": dict(permission.conditions),
    }
    return len(json.dumps(document, default=str)) + FRAME


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept a finding of cdk-nag on one construct, for a reason."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def _as_nag_writes(scope: IConstruct, text: str) -> str:
    """Write CloudFormation's references as cdk-nag does: `<AWS::Partition>`, `<Logical.Arn>`."""
    return _flat(Stack.of(scope).resolve(text))


def _flat(resolved: Any) -> str:
    match resolved:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [logical, attribute]}:
            return f"<{logical}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_flat(part) for part in parts)
        case str():
            return resolved
    raise TypeError(f"cannot write {resolved!r} as cdk-nag does")
