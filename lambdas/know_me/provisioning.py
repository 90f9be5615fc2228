"""What may be asked of `provision` (contracts, section 11): parsed, completed, every fault at once."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError
from pydantic import StringConstraints as Text

from know_me.aws import read_parameter
from know_me.errors import InvalidRequest
from know_me.names import RunId
from know_me.requests import RequestModel, parsed
from know_me.settings import ApprovalMode
from know_me.wording import faults_of

Action = Literal["apply", "plan", "destroy"]

EXAMPLE = (
    'Valid inputs are, for example, {}, {"action": "plan"} and {"targets": ["module.api"]}; all of them are '
    "in docs/operate/provision.md."
)

KEPT = "production"
"""The environment that is never destroyed."""

MOST_ADDRESSES = 50

# https://developer.hashicorp.com/terraform/cli/state/resource-addressing
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_INDEX = r'\[(?:[0-9]{1,9}|"(?:[^"\\\x00-\x1f]|\\["\\])*")\]'
_MODULE = rf"module\.{_NAME}(?:{_INDEX})?"
_RESOURCE = rf"(?!module\.|data\.){_NAME}\.{_NAME}(?:{_INDEX})?"
_TARGET = re.compile(rf"{_MODULE}(?:\.{_MODULE})*(?:\.(?:data\.)?{_RESOURCE})?|(?:data\.)?{_RESOURCE}")
_INSTANCE = re.compile(rf"(?:{_MODULE}\.)*{_RESOURCE}")


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def check(address: str) -> str:
        if not pattern.fullmatch(address):
            raise ValueError(f"{address[:100]!r} is not the address of {what}")
        return address

    return check


def _each_once(addresses: list[str]) -> list[str]:
    twice = sorted({address for address in addresses if addresses.count(address) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is named twice")
    return addresses


_Address = Annotated[StrictStr, Text(max_length=500)]
Targets = Annotated[
    list[
        Annotated[
            _Address,
            AfterValidator(
                _matching(
                    _TARGET,
                    'a module or resource, such as module.api or module.media["blue"].aws_s3_bucket.this',
                )
            ),
        ]
    ],
    Field(max_length=MOST_ADDRESSES),
    AfterValidator(_each_once),
]
Replaced = Annotated[
    list[
        Annotated[
            _Address,
            AfterValidator(_matching(_INSTANCE, "a resource, such as module.api.aws_ecs_service.this")),
        ]
    ],
    Field(max_length=MOST_ADDRESSES),
    AfterValidator(_each_once),
]


class Bundle(BaseModel):
    """A version of an infrastructure bundle in the artifacts bucket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[StrictStr, Text(pattern=r"^bundles/[A-Za-z0-9!_.*'()/ +=@:-]{1,900}$")]
    version_id: Annotated[StrictStr, Text(pattern=r"^[\x21-\x7e]{1,1024}$")]


class ProvisionRequest(RequestModel):
    """Input of `provision`."""

    action: Action = "apply"
    targets: Targets = Field(default_factory=list)
    replace: Replaced = Field(default_factory=list)
    bundle: Bundle | None = None
    drift: StrictBool = False
    acting_for: RunId | None = None


class SourceLocation(BaseModel):
    """Where a build takes its source from, as CodeBuild has it: `<bucket>/<key>`, and which version."""

    location: str
    version_id: str


class Provision(BaseModel):
    """A request with everything decided: what the rest of the run works from.

    `bundle` is what was asked for, and is remembered when it was applied; `source_location` is where the
    build takes its source from: null means the build project's own.
    """

    run_id: str
    holder: str
    own_lock: bool
    action: Action
    targets: list[str]
    replace: list[str]
    drift: bool
    acting_for: str | None
    approval_mode: ApprovalMode
    approval_timeout_seconds: int
    bundle: Bundle | None
    source_location: SourceLocation | None


def plan_provision(
    document: Any,
    *,
    run_id: str,
    environment: str,
    artifacts_bucket: str,
    approval_mode: ApprovalMode,
    approval_timeout_seconds: int,
    remembered: Bundle | None,
) -> Provision:
    """Complete a request to what the run will do.

    Parameters
    ----------
    remembered : Bundle, optional
        The bundle that was applied last.

    Raises
    ------
    InvalidRequest
        Anything is wrong with it; all faults in one message.
    """
    request, faults = parsed(ProvisionRequest, document)
    faults = [*faults, *_contradictions(document if isinstance(document, dict) else {}, environment)]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", run_id):
        faults.append("the name of the execution: only letters, digits, hyphens and underscores are allowed")
    if request is None or faults:
        raise InvalidRequest.listing(faults, EXAMPLE)
    holder = request.acting_for or run_id
    source = request.bundle or remembered
    return Provision(
        run_id=run_id,
        holder=holder,
        own_lock=holder == run_id,
        action=request.action,
        targets=request.targets,
        replace=request.replace,
        drift=request.drift,
        acting_for=request.acting_for,
        approval_mode=approval_mode,
        approval_timeout_seconds=approval_timeout_seconds,
        bundle=request.bundle,
        source_location=SourceLocation(
            location=f"{artifacts_bucket}/{source.key}", version_id=source.version_id
        )
        if source
        else None,
    )


def _contradictions(named: dict[str, Any], environment: str) -> list[str]:
    """Name what does not go together; each field's own faults are found elsewhere."""
    action = named.get("action", "apply")
    faults = []
    if action == "destroy":
        if environment == KEPT:
            faults.append(f"action: {KEPT} is never destroyed")
        faults += [
            f"{field}: it makes no sense when everything is deleted"
            for field in ("replace", "bundle")
            if named.get(field)
        ]
    if named.get("drift") is True and action != "plan":
        faults.append('drift: looking for drift changes nothing; it needs "action": "plan"')
    return faults


def bundle_parameter(environment: str) -> str:
    """Return the SSM parameter that names the bundle which was applied last."""
    return f"/know-me/{environment}/bundle"


def read_bundle(ssm: Any, environment: str) -> Bundle | None:
    """Return the bundle that was applied last; None when none ever was.

    Raises
    ------
    InvalidRequest
        The parameter holds something else.
    """
    name = bundle_parameter(environment)
    value = read_parameter(ssm, name)
    if value is None:
        return None
    try:
        return Bundle.model_validate_json(value)
    except ValidationError as error:
        raise InvalidRequest(
            f"The parameter {name} cannot be read: {'; '.join(faults_of(error))}.",
            "Put an earlier version of it back (aws ssm get-parameter-history), or delete it: then the "
            "source that `cdk deploy` put there is used.",
        ) from error
