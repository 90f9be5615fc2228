"""The page on which a plan is decided: a function URL's request in, an answer out.

GET shows, POST decides: programs that look into mail follow links and must decide nothing. The page needs no
JavaScript and loads nothing.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from email.message import Message
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict

from know_me.approvals import (
    PAST,
    Answer,
    Approval,
    ApprovalRequest,
    Link,
    Waiting,
    figures,
    parse_form,
    parse_link,
)
from know_me.errors import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalForged,
    ApprovalUndelivered,
    InvalidRequest,
    RunbookError,
)

TEMPLATES = Path(__file__).parent / "templates"

LARGEST_BODY_BYTES = 16 * 1024
MOST_CHANGES = 500
LONGEST_PLAN = 400_000
"""Characters of a plan's text on the page; a function's answer may have 6 MiB."""

FORM = "application/x-www-form-urlencoded"


class Request(BaseModel):
    """What of a request matters. https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html"""

    model_config = ConfigDict(frozen=True)

    method: str
    path: str
    query: str
    content_type: str
    body: bytes

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Request":
        """Read the event of a function URL (payload format 2.0).

        Raises
        ------
        Refusal
            The body is not what the event says it is.
        """
        text = event.get("body") or ""
        try:
            body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
        except (binascii.Error, UnicodeEncodeError):
            raise Refusal(400, "The body cannot be read", "Use the form of the page.") from None
        return cls(
            method=event["requestContext"]["http"]["method"].upper(),
            path=event.get("rawPath") or "/",
            query=event.get("rawQueryString") or "",
            content_type=(event.get("headers") or {}).get("content-type", ""),
            body=body,
        )


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """An answer other than 200."""

    def __init__(
        self, status: int, title: str, *sentences: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.title = title
        self.sentences = sentences
        self.headers = headers or {}
        super().__init__(title)


TITLES: Mapping[type[RunbookError], tuple[int, str]] = {
    InvalidRequest: (400, "This cannot be used"),
    ApprovalForged: (403, "This link is not valid"),
    ApprovalDecided: (409, "Decided already"),
    ApprovalExpired: (410, "Too late"),
    ApprovalUndelivered: (503, "Recorded, not yet delivered"),
}
"""Error -> status and title of its answer."""


class Decisions(BaseModel):
    """What the page works with; each a function, so that the page knows nothing of AWS.

    Attributes
    ----------
    find
        Link -> the request that it was made for; ApprovalForged when it was not.
    decide
        Takes a decision.
    refuse_unless_open
        Raises what a decision would be refused with, whatever it is.
    asked
        Run id -> what is asked, None when it is gone.
    plan
        Run id -> the plan's text and its address.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    find: Callable[[Link], Waiting]
    decide: Callable[[Waiting, Answer], Approval]
    refuse_unless_open: Callable[[Waiting], None]
    asked: Callable[[str], ApprovalRequest | None]
    plan: Callable[[str], tuple[str, str]]


def respond(event: Mapping[str, Any], decisions: Decisions) -> dict[str, Any]:
    """Answer a request of a function URL."""
    try:
        request = Request.of(event)
        status, html, headers = 200, _answer(request, decisions), {}
    except Refusal as refusal:
        status, html = refusal.status, _page(refusal.title, *refusal.sentences)
        headers = dict(refusal.headers)
    except RunbookError as error:
        if type(error) not in TITLES:
            raise
        status, title = TITLES[type(error)]
        html, headers = _page(title, *filter(None, (error.cause, error.remedy))), {}
    return {
        "statusCode": status,
        "headers": {**_headers(), **headers},
        "body": html,
        "isBase64Encoded": False,
    }


def _answer(request: Request, decisions: Decisions) -> str:
    if request.path != "/":
        raise Refusal(404, "There is nothing here", "Open the link of the message as it is.")
    if request.method not in ("GET", "HEAD", "POST"):
        raise Refusal(
            405,
            "This method is not possible",
            "GET shows the plan, POST decides.",
            headers={"Allow": "GET, HEAD, POST"},
        )
    if len(request.body) > LARGEST_BODY_BYTES:
        raise Refusal(413, "The decision is too long", f"At most {LARGEST_BODY_BYTES:,} bytes are read.")
    waiting = decisions.find(link := parse_link(request.query))
    if request.method == "POST":
        approval = decisions.decide(waiting, parse_form(_form(request)))
        return _decided(waiting, approval)
    decisions.refuse_unless_open(waiting)
    return _show(link, waiting, decisions)


def _form(request: Request) -> str:
    header = Message()
    header["content-type"] = request.content_type or "none/none"
    if header.get_content_type() != FORM or header.get_content_charset("utf-8") != "utf-8":
        raise Refusal(415, "This kind of content is not read", f"Send the page's form: {FORM}, in UTF-8.")
    try:
        return request.body.decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(400, "The body cannot be read", "Use the form of the page.") from None


def _decided(waiting: Waiting, approval: Approval) -> str:
    what = {
        "approve": "The run goes on and applies exactly the plan that was shown.",
        "reject": "The run ends; nothing is changed.",
    }[approval.decision]
    return _page(
        PAST[approval.decision].capitalize(),
        f"{approval.by} {PAST[approval.decision]} the plan of the run {waiting.run_id} at {approval.at}.",
        what,
    )


def _show(link: Link, waiting: Waiting, decisions: Decisions) -> str:
    asked = decisions.asked(waiting.run_id)
    if asked is None:
        raise ApprovalExpired(
            f"The folder of the run {waiting.run_id} has no approval request any more.",
            "Start provision again to get a new plan.",
        )
    text, address = decisions.plan(waiting.run_id)
    shown = asked.changes[:MOST_CHANGES]
    return _render(
        "approval.html.j2",
        title=f"Approve the plan for {asked.environment}?",
        request=asked,
        figures=figures(asked.counts),
        groups=[
            (action, destructive, list(group))
            for (destructive, action), group in groupby(
                shown, lambda change: (change.destroys is not None, change.action)
            )
        ],
        left_out=len(asked.changes) - len(shown),
        query=link.query,
        plan=text[:LONGEST_PLAN],
        plan_cut=len(text) > LONGEST_PLAN,
        plan_address=address,
        time=_time,
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _page(title: str, *sentences: str) -> str:
    return _render("approval_answer.html.j2", title=title, sentences=sentences)


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(style=_style(), **values)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    """Return the style sheet; its hash, in the policy, is the only style that the browser takes."""
    return (TEMPLATES / "approval.css").read_text()


def _headers() -> dict[str, str]:
    style = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex",
        "Strict-Transport-Security": "max-age=31536000",
    }
