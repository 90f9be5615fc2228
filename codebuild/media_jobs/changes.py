"""Hear what changed in the old bucket: S3 → EventBridge → a queue, proved by objects of our own.

Events come at least once and in no order
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html). When the event of a sentinel that is
put now has come through, and then nothing more comes for a while, those of earlier changes have come too.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from job_support.progress import say

from media_jobs.objects import OWN_KEYS

RECEIVERS = 8
MESSAGES = 10
"""The most that SQS gives or deletes in one request."""

CHECKPOINT = 20_000
"""Messages after which the keys are kept and the messages deleted: SQS has at most 120,000 in flight."""


@dataclass(frozen=True)
class Timing:
    """Seconds.

    Parameters
    ----------
    patience
        How long a sentinel may take.
    silence
        How long nothing more has to come.
    between_sentinels
        When another sentinel is put: the first may have come before the rule began to listen.
    poll
        How long a request to the queue waits.
    """

    patience: float = 120
    silence: float = 5
    between_sentinels: float = 15
    poll: int = 1


@dataclass
class Listener:
    """Who listens to the changes of a bucket.

    Parameters
    ----------
    bucket
        The one whose changes are heard.
    queue_url
        Where the events arrive.
    keep
        Given the changed keys; what it was given is safe when it returns.
    """

    s3: Any
    sqs: Any
    bucket: str
    queue_url: str
    run_id: str
    keep: Callable[[set[str]], None]
    timing: Timing = field(default_factory=Timing)
    _sentinels: dict[str, str | None] = field(default_factory=dict)
    _heard: set[str] = field(default_factory=set)
    _keys: set[str] = field(default_factory=set)
    _receipts: list[str] = field(default_factory=list)
    _unreadable: int = 0

    def listen(self) -> bool:
        """Return whether everything that changed before this call has been heard."""
        inbox: SimpleQueue[list[dict[str, Any]]] = SimpleQueue()
        stopped = threading.Event()
        with ThreadPoolExecutor(RECEIVERS, thread_name_prefix="receiver") as pool:
            receivers = [pool.submit(self._receive, inbox, stopped) for _ in range(RECEIVERS)]
            try:
                self._wait(inbox, lambda: any(receiver.done() for receiver in receivers))
            finally:
                stopped.set()
                self._remove_sentinels()
            for receiver in receivers:
                receiver.result()
            while not inbox.empty():
                self._take(inbox.get())
            self._checkpoint(pool)
        if self._unreadable:
            say(f"{self._unreadable} messages of the queue are no events of S3: what changed is not known.")
        return bool(self._heard) and not self._unreadable

    def _wait(self, inbox: "SimpleQueue[list[dict[str, Any]]]", broken: Callable[[], bool]) -> None:
        began = last = time.monotonic()
        put = float("-inf")
        with ThreadPoolExecutor(RECEIVERS, thread_name_prefix="deleter") as pool:
            while not broken():
                now = time.monotonic()
                if self._heard and now - last >= self.timing.silence:
                    return
                if not self._heard and now - began >= self.timing.patience:
                    return
                if not self._heard and now - put >= self.timing.between_sentinels:
                    self._put_sentinel()
                    put = now
                try:
                    self._take(inbox.get(timeout=0.1))
                except Empty:
                    continue
                last = time.monotonic()
                if len(self._receipts) >= CHECKPOINT:
                    self._checkpoint(pool)

    def _receive(self, inbox: "SimpleQueue[list[dict[str, Any]]]", stopped: threading.Event) -> None:
        while not stopped.is_set():
            answer = self.sqs.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=MESSAGES, WaitTimeSeconds=self.timing.poll
            )
            if messages := answer.get("Messages"):
                inbox.put(messages)

    def _take(self, messages: Iterable[dict[str, Any]]) -> None:
        for message in messages:
            self._receipts.append(message["ReceiptHandle"])
            change = changed_object(message["Body"])
            if change is None:
                self._unreadable += 1
                continue
            bucket, key = change
            if bucket != self.bucket:
                continue
            if key in self._sentinels:
                self._heard.add(key)
            elif not key.startswith(OWN_KEYS):
                self._keys.add(key)

    def _checkpoint(self, pool: ThreadPoolExecutor) -> None:
        """Keep the keys, then delete the messages: in this order nothing is lost."""
        self.keep(self._keys)
        batches = [
            self._receipts[start : start + MESSAGES] for start in range(0, len(self._receipts), MESSAGES)
        ]
        list(pool.map(self._delete, batches))
        self._keys, self._receipts = set(), []

    def _delete(self, receipts: list[str]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
        answer = self.sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
        if answer.get("Failed"):
            say(f"{len(answer['Failed'])} messages were not deleted; they come again, which does no harm.")

    def _put_sentinel(self) -> None:
        key = f"{OWN_KEYS}{self.run_id}/{uuid.uuid4()}"
        self._sentinels[key] = None
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"")
        self._sentinels[key] = answer.get("VersionId")

    def _remove_sentinels(self) -> None:
        for key, version in self._sentinels.items():
            named = {"VersionId": version} if version else {}
            self.s3.delete_object(Bucket=self.bucket, Key=key, **named)


def changed_object(body: str) -> tuple[str, str] | None:
    """Return bucket and key of an event of S3, None when it is none. Keys are not URL-encoded there."""
    try:
        detail = json.loads(body)["detail"]
        return str(detail["bucket"]["name"]), str(detail["object"]["key"])
    except (ValueError, KeyError, TypeError):
        return None
