"""SQS: moto's, quicker with many messages.

True: everything that moto does: visibility, delays, long polling, dead-letter queues, FIFO groups, batches.
Not true: what moto leaves out. A queue of the local AWS loses nothing, and delivers at once and in order.

moto asks for all attributes of a queue, for each message that is received, to know how long it keeps them:
that counts the messages of the queue several times, and 800 messages take 24 seconds of CPU.
"""

from typing import Any

from moto.core.utils import unix_time, unix_time_millis
from moto.sqs.models import Queue, SQSBackend

from localaws.runtime import Runtime


def install(_runtime: Runtime) -> None:
    """Let moto ask for the one attribute that it needs, and for the time once."""
    SQSBackend.is_message_valid_based_on_retention_period = _is_kept
    Queue.messages = property(_deliverable)


def _is_kept(backend: Any, queue_name: str, message: Any) -> bool:
    """Return whether a message is younger than its queue keeps messages."""
    seconds = backend.get_queue(queue_name).message_retention_period
    return bool(unix_time() < seconds + message.sent_timestamp / 1000)


def _deliverable(queue: Any) -> list[Any]:
    """Return the messages that are neither hidden nor delayed, oldest first."""
    now = unix_time_millis()
    return [
        message for message in queue._messages if message.visible_at < now and message.delayed_until <= now
    ]
