"""SQS: quicker than moto alone, otherwise the same. Every rule is shown with moto's own and with ours."""

from typing import Any
from unittest import mock

import pytest
from moto.sqs import models
from moto.sqs.models import Queue, SQSBackend

from localaws import sqs

HIDDEN = 60


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_900_000_000.0

    def now(self, *_: Any) -> float:
        return self.seconds

    def milliseconds(self, *_: Any) -> float:
        return self.seconds * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    for module in (models, sqs):
        monkeypatch.setattr(module, "unix_time", clock.now)
        monkeypatch.setattr(module, "unix_time_millis", clock.milliseconds)
    return clock


@pytest.fixture(params=["moto", "ours"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Queue, "messages", Queue.messages)
    validity = "is_message_valid_based_on_retention_period"
    monkeypatch.setattr(SQSBackend, validity, getattr(SQSBackend, validity))
    if request.param == "ours":
        sqs.install(mock.Mock())
    return SQSBackend("us-east-1", "123456789012")


def bodies(backend: Any, name: str = "q", count: int = 10) -> list[str]:
    return [message.body for message in backend.receive_message(name, count, 0, HIDDEN)]


def test_messages_come_in_order_and_at_most_as_many_as_asked_for(backend: Any, clock: Time) -> None:
    backend.create_queue("q")
    for number in range(5):
        backend.send_message("q", str(number))
    assert bodies(backend, count=3) == ["0", "1", "2"]
    assert bodies(backend) == ["3", "4"]


def test_a_received_message_is_hidden_for_its_time_and_comes_again(backend: Any, clock: Time) -> None:
    # Given a message that was received and not deleted
    backend.create_queue("q")
    backend.send_message("q", "once")
    assert bodies(backend) == ["once"]
    # When its time is not over, then it is hidden, also for the figures of the queue
    clock.seconds += HIDDEN
    assert bodies(backend) == []
    queue = backend.get_queue("q")
    assert (queue.approximate_number_of_messages, queue.approximate_number_of_messages_not_visible) == (0, 1)
    # When it is over, then the message comes again
    clock.seconds += 0.001
    assert bodies(backend) == ["once"]


def test_a_delayed_message_comes_when_its_delay_is_over(backend: Any, clock: Time) -> None:
    backend.create_queue("q")
    backend.send_message("q", "later", delay_seconds=30)
    clock.seconds += 29.999
    assert bodies(backend) == []
    clock.seconds += 0.001
    assert bodies(backend) == ["later"]


def test_a_message_older_than_the_queue_keeps_messages_does_not_come(backend: Any, clock: Time) -> None:
    # Given queues that keep messages for a minute, and for the default of four days
    backend.create_queue("q", MessageRetentionPeriod=60)
    backend.create_queue("default")
    for name in ("q", "default"):
        backend.send_message(name, "old")
    # When a minute has passed, then only the second one has its message
    clock.seconds += 60
    assert (bodies(backend), bodies(backend, "default")) == ([], ["old"])


def test_a_message_that_failed_too_often_goes_to_the_dead_letter_queue(backend: Any, clock: Time) -> None:
    dead = backend.create_queue("dead")
    policy = f'{{"deadLetterTargetArn": "{dead.queue_arn}", "maxReceiveCount": 1}}'
    with mock.patch.object(models, "sqs_backends", {"123456789012": {"us-east-1": backend}}):
        backend.create_queue("q", RedrivePolicy=policy)
    backend.send_message("q", "bad")
    assert bodies(backend) == ["bad"]
    clock.seconds += HIDDEN + 1
    assert (bodies(backend), bodies(backend, "dead")) == ([], ["bad"])


def test_a_deleted_message_never_comes_again(backend: Any, clock: Time) -> None:
    backend.create_queue("q")
    backend.send_message("q", "done")
    [message] = backend.receive_message("q", 1, 0, HIDDEN)
    backend.delete_message("q", message.receipt_handle)
    clock.seconds += HIDDEN + 1
    assert bodies(backend) == []


def test_to_receive_a_message_nobody_counts_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given our way, and a queue with messages
    validity = "is_message_valid_based_on_retention_period"
    monkeypatch.setattr(Queue, "messages", Queue.messages)
    monkeypatch.setattr(SQSBackend, validity, getattr(SQSBackend, validity))
    sqs.install(mock.Mock())
    backend = SQSBackend("us-east-1", "123456789012")
    backend.create_queue("q")
    backend.send_message("q", "a")
    # When one is received, then the attributes, which count messages, are not asked for
    with mock.patch.object(Queue, "attributes", mock.PropertyMock(side_effect=AssertionError)):
        assert bodies(backend) == ["a"]
