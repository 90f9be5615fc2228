"""SQS: queues that hold thousands of messages.

True: what moto's queues keep, deliver and hide. Departure from moto: whether a message is past its retention
is read from the queue's own setting. moto describes the whole queue for it, which counts all its messages,
for every message that is delivered: the events of a few hundred uploads took half of this server's time.
"""

from moto.core.utils import unix_time
from moto.sqs.models import Message, SQSBackend

from localaws.runtime import Runtime


def _is_kept(backend: SQSBackend, queue_name: str, message: Message) -> bool:
    queue = backend.get_queue(queue_name)
    kept: bool = message.sent_timestamp / 1000 + int(queue.message_retention_period) > unix_time()
    return kept


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make the delivery of a message cost the same however many wait."""
    SQSBackend.is_message_valid_based_on_retention_period = _is_kept
