"""SQS holds thousands of messages; retention hides what is too old."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.utils import unix_time
from moto.sqs.models import SQSBackend

from localaws.sqs import _is_kept


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(SQSBackend, "is_message_valid_based_on_retention_period", _is_kept)
    with mock_aws():
        yield boto3.client("sqs", "eu-west-1")


def _receive(sqs: Any, queue: str) -> list[str]:
    answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def test_message_within_its_retention_is_delivered(sqs: Any) -> None:
    # Given
    queue = sqs.create_queue(QueueName="changes", Attributes={"MessageRetentionPeriod": "60"})["QueueUrl"]

    # When
    sqs.send_message(QueueUrl=queue, MessageBody="young")

    # Then
    assert _receive(sqs, queue) == ["young"]


def test_message_past_its_retention_is_not_delivered(sqs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    queue = sqs.create_queue(QueueName="changes", Attributes={"MessageRetentionPeriod": "60"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="old")

    # When
    monkeypatch.setattr("localaws.sqs.unix_time", lambda: unix_time() + 61)

    # Then
    assert _receive(sqs, queue) == []


def test_delivery_does_not_describe_the_whole_queue(sqs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    queue = sqs.create_queue(QueueName="changes")["QueueUrl"]
    for number in range(30):
        sqs.send_message(QueueUrl=queue, MessageBody=str(number))

    # When
    described: list[str] = []
    monkeypatch.setattr(
        SQSBackend, "get_queue_attributes", lambda _self, name, _names: described.append(name) or {}
    )

    # Then
    assert sorted((body for _ in range(3) for body in _receive(sqs, queue)), key=int) == [
        str(n) for n in range(30)
    ]
    assert described == []
