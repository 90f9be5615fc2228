"""What the client does with photos, and what it writes down about them."""

import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from examples import photo_client as photo_client_module
from examples.http_requests import RequestFailedError
from examples.journal import Journal, read_journal
from examples.photo_client import PhotoClient
from examples.reconcile_photos import expectations

Expect = Callable[..., bytes]


class FakeApi:
    """Photos in memory; every n-th request is refused."""

    def __init__(self, refuse_every: int = 0) -> None:
        self.photos: dict[int, bytes] = {}
        self.requests = 0
        self._refuse_every = refuse_every

    def expect(self, status: int, method: str, url: str, body: bytes | None, headers: Any) -> bytes:
        self.requests += 1
        if self._refuse_every and self.requests % self._refuse_every == 0:
            raise RequestFailedError("503")
        place = url.rsplit("/photos/", 1)[-1].rstrip("/")
        if method == "POST":
            identifier = len(self.photos) + 1000
            while identifier in self.photos:
                identifier += 1
        else:
            identifier = int(place)
        if method == "DELETE":
            del self.photos[identifier]
        else:
            self.photos[identifier] = body or b""
        return json.dumps({"id": identifier, "file": f"photos/{identifier}.jpg"}).encode()


def run_until(api: FakeApi, requests: int, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> PhotoClient:
    monkeypatch.setattr(photo_client_module, "expect", api.expect)
    monkeypatch.setattr(photo_client_module, "_PAUSE_AFTER_FAILURE_SECONDS", 0)
    client = PhotoClient("http://unused", journal, 100_000, random.Random(3))  # noqa: S311
    stopping = threading.Event()
    thread = threading.Thread(target=client.run, args=(stopping,))
    thread.start()
    deadline = time.monotonic() + 20
    while api.requests < requests:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    stopping.set()
    thread.join()
    journal.close()
    return client


def test_the_log_allows_exactly_what_the_api_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an API that loses nothing
    api, journal = FakeApi(), Journal(tmp_path / "writes.jsonl")
    # When the client uploads, replaces and deletes for a while
    client = run_until(api, 120, journal, monkeypatch)
    # Then what the log allows is what the API keeps
    records = list(read_journal(journal.path))
    assert {record["action"] for record in records} == {"upload", "replace", "delete"}
    allowed = expectations(records)
    kept = {identifier for identifier, wanted in allowed.items() if wanted.allowed != {None}}
    assert kept == api.photos.keys()
    assert client.figures().acknowledged == len(records) == api.requests
    assert all(1 <= len(body) <= 60 * 1024 for body in api.photos.values())


def test_a_refused_request_is_no_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an API that refuses every third request
    api, journal = FakeApi(refuse_every=3), Journal(tmp_path / "writes.jsonl")
    # When the client goes on
    client = run_until(api, 90, journal, monkeypatch)
    # Then refusals are written down as such, and counted
    records = list(read_journal(journal.path))
    refused = [record for record in records if record["outcome"] == "unanswered"]
    assert all(record["reason"] == "503" for record in refused)
    assert client.figures().unanswered == len(refused) == api.requests // 3
