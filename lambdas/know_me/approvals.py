"""Approval of a plan: what a person is shown, links that cannot be forged, and the rules of deciding.

Nothing here calls AWS: keys, times and nonces are passed in.
"""

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic import StringConstraints as Text

from know_me.errors import InvalidRequest
from know_me.names import ExecutionName
from know_me.wording import faults_of

Decision = Literal["approve", "reject"]
Action = Literal["delete", "replace", "update", "create", "forget"]

ACTIONS: Mapping[tuple[str, ...], Action] = {
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("update",): "update",
    ("create",): "create",
    ("forget",): "forget",
}
"""Actions of a change in Terraform's JSON -> the word a person uses; what is missing changes nothing."""

ORDER: tuple[Action, ...] = ("delete", "replace", "update", "create", "forget")
"""What destroys something comes first."""

PAST = {"approve": "approved", "reject": "rejected"}

LINK_REMEDY = "Open the link of the message as it is."
FORM_REMEDY = "Choose approve or reject, and say who you are."
DIRECT_EXAMPLE = (
    'A valid payload is {"run_id": "<name of the provision execution>", "decision": "approve", '
    '"by": "<who you are>", "comment": "<why>"}.'
)

KEPT_SECONDS = 30 * 86400
"""For how long after its expiry a request is remembered, so that a late click is told who decided."""

MOST_FIELDS = 10


class Change(BaseModel):
    """One resource that a plan changes.

    `forced_by` are the attributes that make it be replaced; `destroys` says what is lost or endangered, and
    is null for a harmless change.
    """

    address: str
    action: Action
    forced_by: list[str] = []
    destroys: str | None = None


class ApprovalRequest(BaseModel):
    """`plan/approval-request.json`: what is asked, as the page shows it."""

    run_id: ExecutionName
    environment: str
    execution_arn: str
    requested_at: datetime
    expires_at: datetime
    counts: dict[str, int]
    destructive: int
    changes: list[Change]


DELETED: Mapping[str, str] = {"delete": "it is deleted", "replace": "it is deleted and made anew"}


def changes_of(plan: Mapping[str, Any], judgement: Mapping[str, Any] | None = None) -> list[Change]:
    """Return what a plan changes, what destroys something first.

    Parameters
    ----------
    plan
        As `terraform show -json` prints it.
    judgement
        `plan/guard.json`: its `destructions` say of more than what is deleted that it destroys, and why.
    """
    reasons = {each["address"]: each["reason"] for each in (judgement or {}).get("destructions", [])}
    found = []
    for resource in plan.get("resource_changes", []):
        action, address = ACTIONS.get(tuple(resource["change"]["actions"])), resource["address"]
        if action is not None:
            paths = resource["change"].get("replace_paths") or []
            found.append(
                Change(
                    address=address,
                    action=action,
                    forced_by=sorted({attribute(path) for path in paths}),
                    destroys=reasons.get(address) or DELETED.get(action),
                )
            )
    return sorted(
        found, key=lambda change: (change.destroys is None, ORDER.index(change.action), change.address)
    )


def attribute(path: Sequence[str | int]) -> str:
    """Write a path into a resource as Terraform does: `storage[0].size`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def expiry(now: datetime, timeout_seconds: int) -> int:
    """Return when a link ends, in seconds since 1970.

    A little before the run stops waiting: Step Functions began to count before the link was made, and what
    is decided in time must reach the run.
    """
    return int(now.timestamp()) + timeout_seconds - min(30, timeout_seconds // 10)


def moment(seconds: int) -> datetime:
    """Return seconds since 1970 as a time with its zone."""
    return datetime.fromtimestamp(seconds, UTC)


# ------------------------------------------------------------------ links


class Link(BaseModel):
    """The parameters of a link."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: ExecutionName
    expires: Annotated[str, Text(pattern=r"^[1-9][0-9]{0,11}$")]
    signature: Annotated[str, Text(pattern=r"^[0-9a-f]{64}$")]

    @property
    def query(self) -> str:
        """The parameters as they stand in the address."""
        return urlencode(self.model_dump())


def signature(key: str, run_id: str, expires: int, nonce: str) -> str:
    """Return HMAC-SHA256 over what a link says, in hexadecimal.

    The nonce is in the table only: a new request of the same run makes earlier links worthless.
    """
    message = "\n".join(("know-me approval 1", run_id, str(expires), nonce))
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def link(address: str, key: str, run_id: str, expires: int, nonce: str) -> str:
    """Return the link to the page on which a run's plan is decided."""
    parameters = Link(run_id=run_id, expires=str(expires), signature=signature(key, run_id, expires, nonce))
    return f"{address.rstrip('/')}/?{parameters.query}"


def parse_link(query: str) -> Link:
    """Parse the query of an address.

    Raises
    ------
    InvalidRequest
        Something is missing, twice there, or not of its form; all faults in one message.
    """
    values, faults = _fields(query)
    try:
        parsed = Link.model_validate(values)
    except ValidationError as error:
        faults += faults_of(error)
    if faults:
        raise InvalidRequest.listing(faults, LINK_REMEDY)
    return parsed


def _fields(encoded: str) -> tuple[dict[str, str], list[str]]:
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        return {}, [f"it is not text of the form name=value&…, with at most {MOST_FIELDS} fields"]
    names = [name for name, _ in pairs]
    return dict(pairs), [f"{name[:40]}: it is there twice" for name in {*names} if names.count(name) > 1]


# ------------------------------------------------------------------ decisions


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise ValueError("one line without control characters is wanted")
    return text


def _lines(text: str) -> str:
    text = text.replace("\r\n", "\n")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text if character not in "\n\t"):
        raise ValueError("text without control characters is wanted")
    return text


Name = Annotated[
    str, Text(strict=True, strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_one_line)
]
Comment = Annotated[str, Text(strict=True, strip_whitespace=True, max_length=1000), AfterValidator(_lines)]


class Answer(BaseModel):
    """What a person decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: Decision
    by: Name
    comment: Comment = ""


class DirectAnswer(Answer):
    """The same by command line: which run it is about, besides."""

    run_id: ExecutionName


def parse_form(body: str) -> Answer:
    """Parse the form of the page.

    Raises
    ------
    InvalidRequest
        All faults in one message.
    """
    values, faults = _fields(body)
    try:
        parsed = Answer.model_validate(values)
    except ValidationError as error:
        faults += faults_of(error)
    if faults:
        raise InvalidRequest.listing(faults, FORM_REMEDY)
    return parsed


class Approval(BaseModel):
    """`approval.json`, and the result of the run's task: who decided what, when, and why."""

    decision: Decision
    by: str
    at: str
    comment: str


class Waiting(BaseModel):
    """The table's item: a run that waits, or waited, for a decision.

    `expires_at` is when its link ends, in seconds since 1970; `delivered_at` is set once the run was told.
    """

    run_id: ExecutionName
    task_token: str
    execution_arn: str
    expires_at: int
    nonce: str
    decision: Decision | None = None
    by: str | None = None
    at: str | None = None
    comment: str | None = None
    delivered_at: str | None = None

    @property
    def approval(self) -> Approval | None:
        """What was decided; None before that."""
        if self.decision is None:
            return None
        return Approval(
            decision=self.decision, by=self.by or "", at=self.at or "", comment=self.comment or ""
        )


Course = Literal["decide", "resend", "confirm", "decided_otherwise", "expired"]


def course(waiting: Waiting, decision: Decision, now: datetime) -> Course:
    """Return what a decision leads to.

    The first one in time counts. The same one again is delivered again as long as the run was not told; any
    other is refused.
    """
    if waiting.decision is not None:
        if waiting.decision != decision:
            return "decided_otherwise"
        return "resend" if waiting.delivered_at is None else "confirm"
    return "expired" if now >= moment(waiting.expires_at) else "decide"


# ------------------------------------------------------------------ words


def figures(counts: Mapping[str, int]) -> str:
    """Say what a plan does in figures, what destroys something first."""
    said = [f"{counts[action]:,} to {action}" for action in ORDER if counts.get(action)]
    return ", ".join(said) or "no resource changes, but outputs or addresses do"


def in_words(change: Change) -> str:
    """Say a change in one line."""
    because = [f"forced by {', '.join(change.forced_by)}"] if change.forced_by else []
    if change.destroys is not None and change.destroys != DELETED.get(change.action):
        because.append(change.destroys)
    explained = f" ({'; '.join(because)})" if because else ""
    return f"{change.action:<8} {change.address}{explained}"


def command_line(function: str, region: str, run_id: str) -> str:
    """Return the command that approves, to be pasted into a shell.

    `fileb:` is how both major versions of the AWS command line take a payload as it is; the person is who
    the shell says.
    """
    payload = '{"run_id": "%s", "decision": "approve", "by": "%s", "comment": ""}'
    return (
        f"printf '{payload}' '{run_id}' \"$(id -un)\" | aws lambda invoke --region {region} "
        f"--function-name {function} --payload fileb:///dev/stdin /dev/stdout"
    )


SHOWN_IN_THE_MESSAGE = 20
LONGEST_SUBJECT = 100
"""Of SNS."""


class Topics(BaseModel):
    """What the message says besides the request."""

    link: str
    command: str
    plan: str
    """Where the plan's text is."""


def message(request: ApprovalRequest, topics: Topics) -> tuple[str, str]:
    """Return subject and text of the message that asks for a decision."""
    what = "a destructive plan waits" if request.destructive else "a plan waits"
    subject = f"Know Me {request.environment}: {what} for approval ({request.run_id})"[:LONGEST_SUBJECT]
    return subject, "\n".join(_paragraphs(request, topics))


def _paragraphs(request: ApprovalRequest, topics: Topics) -> Iterable[str]:
    until = f"{request.expires_at:%Y-%m-%d %H:%M} UTC"
    yield f"The run {request.run_id} wants to change {request.environment}: {figures(request.counts)}."
    if request.destructive:
        yield f"Destructive: {request.destructive:,} of these changes. They come first:"
    yield ""
    yield from (in_words(change) for change in request.changes[:SHOWN_IN_THE_MESSAGE])
    if len(request.changes) > SHOWN_IN_THE_MESSAGE:
        yield f"and {len(request.changes) - SHOWN_IN_THE_MESSAGE:,} more"
    yield ""
    yield f"Read the plan and decide before {until}; who has this link can decide:"
    yield ""
    yield topics.link
    yield ""
    yield "Or by command line, where IAM says who may (write reject for approve to reject):"
    yield ""
    yield topics.command
    yield ""
    yield f"Without a decision nothing is changed, and the run ends with ApprovalTimedOut at {until}."
    yield f"The plan: {topics.plan}"
    yield f"The execution: {request.execution_arn}"
