"""What people have of an approval: the message, the page that its link leads to, the command line."""

# ruff: noqa: S310 - addresses of our own server

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.local.conftest import LocalAWS
from tests.local.waiting import eventually


class Form(HTMLParser):
    """The form of a page, as a browser would send it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action, self.method, self.names = "", "", set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action, self.method = found["action"] or "", found["method"] or ""
        elif tag in ("input", "textarea"):
            self.names.add(found["name"] or "")


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    body: str
    headers: Any


def ask(
    url: str, form: dict[str, str] | bytes | None = None, method: str | None = None, **headers: str
) -> Answer:
    """Request a page, or send a form."""
    data = urlencode(form).encode() if isinstance(form, dict) else form
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=data, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.read().decode(), answer.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(), error.headers)


class Topic:
    """A subscriber of a topic.

    Parameters
    ----------
    aws
        Where the topic is.
    name
        Of the topic.
    """

    def __init__(self, aws: LocalAWS, name: str) -> None:
        self._sqs = aws.client("sqs")
        self._queue = self._sqs.create_queue(QueueName=f"ear-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        sns = aws.client("sns")
        (arn,) = (
            each["TopicArn"]
            for page in sns.get_paginator("list_topics").paginate()
            for each in page["Topics"]
            if each["TopicArn"].endswith(f":{name}")
        )
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
        self._heard: list[str] = []

    def message(self, *wanted: str, seconds: float = 60) -> str:
        """Return the text of the message that has all of this in it."""

        def find() -> str | None:
            received = self._sqs.receive_message(
                QueueUrl=self._queue, WaitTimeSeconds=1, MaxNumberOfMessages=10
            )
            for each in received.get("Messages", []):
                self._heard.append(json.loads(each["Body"])["Message"])
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
            return next((text for text in self._heard if all(part in text for part in wanted)), None)

        return str(eventually(find, seconds))


def link_in(message: str) -> str:
    """Return the link of a message that asks."""
    (found,) = re.findall(r"^http\S+\?run_id=\S+$", message, re.MULTILINE)
    return str(found)


def command_in(message: str) -> str:
    """Return the command line of a message that asks."""
    (found,) = [line for line in message.splitlines() if line.startswith("printf ")]
    return found


def typed(aws: LocalAWS, command: str) -> str:
    """Run a command line in a shell, as a person who reads it in a message does; return what it printed."""
    environment = aws.environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "FunctionError" not in done.stdout, done
    return done.stdout
