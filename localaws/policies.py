"""What a policy says about a call: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.

True: Effect, Principal, Action and NotAction, Resource and NotResource, Condition; an explicit Deny wins; a
role in Principal stands for its sessions, an account in a Deny for everybody in it; in an Allow an account
hands the decision to its identity policies, so it allows nobody by itself.

Not true: NotPrincipal, canonical users, federated principals, policy variables (`${aws:…}`), set operators
(`ForAllValues:`, `ForAnyValue:`) and the operators of dates, addresses and binary values are refused
(NotImplementedError) when the statement is evaluated. Permission boundaries, session policies and service
control policies are ignored.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from localaws.principals import Principal

Decision = Literal["Deny", "Allow", "Neutral"]
Policy = Mapping[str, Any]
Context = Mapping[str, str]
"""Condition key in lower case → value."""

Test = Callable[[str, str], bool]


@lru_cache(maxsize=4096)
def _pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    if "${" in pattern:
        raise NotImplementedError(f"policy variable in {pattern}")
    pieces = (
        ".*" if part == "*" else "." if part == "?" else re.escape(part)
        for part in re.split(r"([*?])", pattern)
    )
    return re.compile("".join(pieces), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def like(value: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """Return whether a value fits a pattern, in which `*` stands for anything and `?` for one character."""
    return _pattern(pattern, ignore_case).fullmatch(value) is not None


def arn_like(value: str, pattern: str) -> bool:
    """Return whether an ARN fits a pattern; a `*` does not reach over the first five colons."""
    values, patterns = value.split(":", 5), pattern.split(":", 5)
    if len(patterns) < 6:
        return pattern == "*"
    return len(values) == 6 and all(map(like, values, patterns))


def _equals(actual: str, wanted: str) -> bool:
    if "${" in wanted:
        raise NotImplementedError(f"policy variable in {wanted}")
    return actual == wanted


OPERATORS: dict[str, Test] = {
    "StringEquals": _equals,
    "StringEqualsIgnoreCase": lambda actual, wanted: _equals(actual.lower(), wanted.lower()),
    "StringLike": like,
    "ArnEquals": arn_like,
    "ArnLike": arn_like,
    "Bool": lambda actual, wanted: actual.lower() == wanted.lower(),
    "NumericEquals": lambda actual, wanted: float(actual) == float(wanted),
    "NumericLessThan": lambda actual, wanted: float(actual) < float(wanted),
    "NumericLessThanEquals": lambda actual, wanted: float(actual) <= float(wanted),
    "NumericGreaterThan": lambda actual, wanted: float(actual) > float(wanted),
    "NumericGreaterThanEquals": lambda actual, wanted: float(actual) >= float(wanted),
}
"""Condition operator → does this value of the request match this value of the policy."""

NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def _list(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def condition_matches(operator: str, key: str, wanted: Any, context: Context) -> bool:
    """Return whether one condition holds: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.

    A key that the request does not have makes a positive operator false, a negated one and `…IfExists` true.

    Raises
    ------
    NotImplementedError
        The operator is not implemented.
    """
    actual = context.get(key.lower())
    values = _list(wanted)
    if operator == "Null":
        return (actual is None) == (values[0].lower() == "true")
    name = operator.removesuffix("IfExists")
    if name not in OPERATORS and name not in NEGATED:
        raise NotImplementedError(f"condition operator {operator} in a policy")
    if actual is None:
        return name != operator or name in NEGATED
    if name in NEGATED:
        return not any(OPERATORS[NEGATED[name]](actual, value) for value in values)
    return any(OPERATORS[name](actual, value) for value in values)


def _fits(statement: Policy, name: str, value: str, ignore_case: bool = False) -> bool:
    if f"Not{name}" in statement:
        return not any(
            like(value, pattern, ignore_case=ignore_case) for pattern in _list(statement[f"Not{name}"])
        )
    return any(like(value, pattern, ignore_case=ignore_case) for pattern in _list(statement.get(name, [])))


def _concerns(statement: Policy, principal: Principal) -> bool:
    if "NotPrincipal" in statement:
        raise NotImplementedError("NotPrincipal in a policy")
    wanted = statement.get("Principal")
    if wanted == "*":
        return True
    if not isinstance(wanted, dict):
        return False
    if unknown := set(wanted) - {"AWS", "Service"}:
        raise NotImplementedError(f"Principal of the kind {', '.join(sorted(unknown))} in a policy")
    if principal.kind == "service":
        return principal.arn in _list(wanted.get("Service", []))
    return any(_is(principal, name, statement["Effect"]) for name in _list(wanted.get("AWS", [])))


def _is(principal: Principal, name: str, effect: str) -> bool:
    if name == "*":
        return True
    account = name if re.fullmatch(r"\d{12}", name) else None
    if found := re.fullmatch(r"arn:[^:]+:iam::(\d{12}):root", name):
        account = found[1]
    if account is not None:
        return effect == "Deny" and principal.account_id == account
    return bool(name) and name in (principal.arn, principal.role_arn)


def _statements(policy: Policy) -> list[Policy]:
    statements = policy["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _applies(statement: Policy, action: str, resource: str, context: Context) -> bool:
    return (
        _fits(statement, "Action", action, ignore_case=True)
        and _fits(statement, "Resource", resource)
        and all(
            condition_matches(operator, key, wanted, context)
            for operator, keys in (statement.get("Condition") or {}).items()
            for key, wanted in keys.items()
        )
    )


def _decision(effects: set[str]) -> Decision:
    return "Deny" if "Deny" in effects else "Allow" if effects else "Neutral"


def evaluate(
    policy: Policy, *, principal: Principal, action: str, resource: str, context: Context
) -> Decision:
    """Return what the policy of a resource says about a call; `Neutral` when nothing.

    Parameters
    ----------
    policy:
        The document.
    principal:
        Who calls. Nobody is above a policy: an administrator is denied like everybody.
    action, resource:
        Such as `s3:GetObject` and the object's ARN.
    context:
        Condition key in lower case → value; who calls (`aws:PrincipalArn`) is added.

    Raises
    ------
    NotImplementedError
        The policy has an element that is not implemented.
    """
    full = {**principal.context(), **context}
    return _decision(
        {
            statement["Effect"]
            for statement in _statements(policy)
            if _concerns(statement, principal) and _applies(statement, action, resource, full)
        }
    )


@lru_cache(maxsize=512)
def document(text: str) -> Policy:
    """Return a policy from its text. The result is shared: do not change it."""
    found: Policy = json.loads(text)
    return found


def _documents(role_arn: str) -> Iterator[Policy]:
    from moto.iam.models import iam_backends  # not before the server prepared moto

    parts = role_arn.split(":")
    backend = iam_backends[parts[4]][parts[1]]
    role = next((role for role in list(backend.roles.values()) if role.arn == role_arn), None)
    if role is None:
        return
    yield from map(document, list(role.policies.values()))
    for managed in list(role.managed_policies.values()):
        default = managed.default_version_id
        yield from (
            document(version.document) for version in managed.versions if version.version_id == default
        )


def allowed_by_role(role_arn: str, action: str, resource: str, context: Context) -> bool:
    """Return whether a role's own policies (inline and attached) allow a call.

    An explicit Deny wins. A role that does not exist is allowed nothing. The policy of the resource is not
    looked at: see `evaluate`.

    Raises
    ------
    NotImplementedError
        A policy has an element that is not implemented.
    """
    full = {**Principal("role", role_arn, role_arn).context(), **context}
    effects = {
        statement["Effect"]
        for policy in _documents(role_arn)
        for statement in _statements(policy)
        if _applies(statement, action, resource, full)
    }
    return _decision(effects) == "Allow"
