"""``python -m examples.client URL``: keep writing through the load balancer, and remember what was promised.

Each writer makes a user of its own and then journal entries, comments, profiles and media references. A write
that is answered 201 is a promise, and goes to the log with its id and content hash before the writer goes on.
Everything else is no promise: the writer logs that, waits a moment and tries again with a new id. Beside the
writers a `PhotoClient` keeps uploading photos.
"""

import argparse
import itertools
import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from examples.api.resources import content_hash
from examples.figures import Figures, Tally
from examples.http_requests import RequestFailedError, expect
from examples.journal import Journal
from examples.photo_client import PhotoClient
from examples.sample_texts import sample_texts

_PAUSE_AFTER_FAILURE_SECONDS = 0.25
_JSON = {"Content-Type": "application/json"}


class WritingClient:
    """Writers in threads, until they are stopped.

    Parameters
    ----------
    url
        Of the load balancer, for example ``http://127.0.0.1:8080``.
    journal
        Where promises are written down.
    writers
        How many threads.
    rate
        Writes per second, of all writers together.
    uploads
        Photos per second, uploaded by one more thread.
    """

    def __init__(
        self, url: str, journal: Journal, *, writers: int = 4, rate: float = 20.0, uploads: float = 3.0
    ) -> None:
        self._url = url.rstrip("/")
        self._journal = journal
        self._interval = writers / rate
        self._tally = Tally()
        self.photos = PhotoClient(url, journal, uploads)
        self._stopping = threading.Event()
        self.error: Exception | None = None
        self._threads = [
            *(
                threading.Thread(target=self._guard, args=(self._run, number), name=f"writer-{number}")
                for number in range(writers)
            ),
            threading.Thread(target=self._guard, args=(self.photos.run, self._stopping), name="photos"),
        ]

    def start(self) -> None:
        """Start writing."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> Figures:
        """Stop after the writes that are under way, and return what the writers saw.

        Raises
        ------
        Exception
            What ended a writer early, for example a full disk under the log.
        """
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self.error is not None:
            raise self.error
        return self.figures()

    def figures(self) -> Figures:
        """Return a copy of what the writers saw so far; what the uploads saw is in `photos`."""
        return self._tally.figures()

    def _guard(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception as error:
            # A thread that ends silently would make the proof weaker than it looks: `stop` raises this.
            self.error = error
            self._stopping.set()

    def _run(self, number: int) -> None:
        user: dict[str, Any] | None = None
        while user is None and not self._stopping.is_set():
            user = self._write("users", _user(number))
        if user is None:
            return
        for path, body in _story(int(user["id"])):
            if self._stopping.wait(self._interval):
                return
            answer = self._write(path, body)
            if answer is not None and path == "journal-entries" and not self._stopping.wait(self._interval):
                comment = {
                    "entry_id": answer["id"],
                    "user_id": user["id"],
                    "text": f"So true: {body['text'][:40]}",
                }
                self._write("comments", comment)

    def _write(self, path: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """Try once; return the acknowledged row, or None after a short pause."""
        reference = str(uuid.uuid4())
        record: dict[str, Any] = {"resource": path, "reference": reference}
        began = time.time()
        try:
            row = _post(f"{self._url}/{path}/", {"reference": reference, **values})
        except RequestFailedError as error:
            self._journal.write({**record, "at": time.time(), "outcome": "unanswered", "reason": str(error)})
            self._tally.count_failure(began, str(error))
            self._stopping.wait(_PAUSE_AFTER_FAILURE_SECONDS)
            return None
        promise = {"id": row["id"], "hash": content_hash(row)}
        self._journal.write({**record, "at": time.time(), "outcome": "acknowledged", **promise})
        self._tally.count_success(began)
        return row


def _user(number: int) -> dict[str, Any]:
    unique = uuid.uuid4().hex[:12]
    return {"first_name": f"Writer {number}", "last_name": "Été", "email": f"writer-{unique}@example.org"}


def _story(user_id: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the writes of a user, endlessly."""
    thoughts = sample_texts()["thoughts"]
    for turn in itertools.count(1):
        text = f"{thoughts[turn % len(thoughts)]} ({turn})"
        metadata = {"mood": ["calm", "müde", None][turn % 3], "turn": turn, "scores": [turn / 4, -turn]}
        entry = {
            "user_id": user_id,
            "text": text,
            "metadata": metadata,
            "written_on": date.today().isoformat(),
        }
        yield "journal-entries", entry
        if turn % 3 == 0:
            name = f"scan {turn}.pdf"
            media = {"user_id": user_id, "name": name, "file": f"users/{user_id}/{name}", "size": turn * 1000}
            yield "media-resources", media
        if turn % 10 == 0:
            yield "profiles", {"user_id": user_id, "name": f"Profile {turn}", "birth_date": "1987-06-05"}


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send one write and return the row that was acknowledged."""
    payload = expect(HTTPStatus.CREATED, "POST", url, json.dumps(body).encode(), _JSON)
    try:
        return dict(json.loads(payload))
    except ValueError as error:
        raise RequestFailedError(f"the answer is not JSON: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Write until interrupted; exit code 0: writes succeeded at the end, 1: they did not."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.client",
        description="Keep writing to the stand-in API and log what it acknowledged. Ctrl-C stops.",
    )
    parser.add_argument("url", help="of the load balancer, for example http://127.0.0.1:8080")
    parser.add_argument(
        "--log", type=Path, default=Path("build/writes.jsonl"), help="default: %(default)s; appended to"
    )
    parser.add_argument("--writers", type=int, default=4, help="threads (default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=20.0, help="writes per second, all together (default: %(default)s)"
    )
    parser.add_argument(
        "--uploads", type=float, default=3.0, help="photos per second besides (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="stop by itself after this time (default: never)")
    options = parser.parse_args(arguments)
    if urlsplit(options.url).scheme != "http" or not urlsplit(options.url).hostname:
        parser.error(f"expected an http:// URL, got {options.url}")
    if options.writers < 1 or options.rate <= 0 or options.uploads <= 0:
        parser.error("--writers, --rate and --uploads must be positive")
    journal = Journal(options.log)
    client = WritingClient(
        options.url, journal, writers=options.writers, rate=options.rate, uploads=options.uploads
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    client.start()
    deadline = time.monotonic() + options.seconds if options.seconds else float("inf")
    while client.error is None and not stop.wait(min(1.0, max(0.0, deadline - time.monotonic()))):
        if time.monotonic() >= deadline:
            break
        seen = client.figures()
        state = f"OUTAGE since {seen.outages[-1].seconds(time.time()):.1f} s" if seen.in_outage else "writing"
        uploaded = client.photos.figures().acknowledged
        print(
            f"{seen.acknowledged} acknowledged, {seen.unanswered} not; {uploaded} photos; {state}", flush=True
        )
    figures = client.stop()
    journal.close()
    now = time.time()
    for outage in figures.outages:
        print(
            f"outage of {outage.seconds(now):.1f} s, {outage.failures} writes failed: {outage.first_reason}"
        )
    photos = client.photos.figures()
    print(
        f"{figures.acknowledged} writes and {photos.acknowledged} requests about photos acknowledged, "
        f"logged in {journal.path}"
    )
    return 1 if figures.in_outage or photos.in_outage else 0


if __name__ == "__main__":
    sys.exit(main())
