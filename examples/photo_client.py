"""The part of the client that keeps uploading photos, and now and then replaces or deletes one of its own.

Each request is logged as the other writes are. A request that was not acknowledged may have been done or not:
the log holds what it tried, so that `examples.reconcile_photos` can tell both from a loss.
"""

import hashlib
import json
import random
import threading
import time
import uuid
from typing import Any
from urllib.parse import quote

from examples.figures import Figures, Tally
from examples.http_requests import RequestFailedError, expect
from examples.journal import Journal

RESOURCE = "photos"
_PAUSE_AFTER_FAILURE_SECONDS = 0.25
_LARGEST_BYTES = 60 * 1024
_OWNERS = ("Ada", "Zoë Müller", "田中 美咲", "O'Brien")
_CONTENT_TYPES = ("image/jpeg", "image/png", "image/svg+xml", "text/plain; charset=utf-8")
# How often each thing is done; photos must become more, not fewer.
_ACTIONS = {"upload": 8, "replace": 1, "delete": 1}


class PhotoClient:
    """Uploads photos until it is told to stop.

    Parameters
    ----------
    url
        Of the load balancer.
    journal
        Where promises are written down.
    rate
        Requests per second.
    source
        Of randomness.
    """

    def __init__(self, url: str, journal: Journal, rate: float, source: random.Random | None = None) -> None:
        self._url = f"{url.rstrip('/')}/{RESOURCE}/"
        self._journal = journal
        self._interval = 1 / rate
        self._source = source or random.Random()  # noqa: S311 - bytes of sample photos
        self._tally = Tally()
        self._kept: dict[int, str] = {}

    def figures(self) -> Figures:
        """Return what was seen so far."""
        return self._tally.figures()

    def run(self, stopping: threading.Event) -> None:
        """Do one thing after the other until `stopping` is set."""
        while not stopping.wait(self._interval):
            (action,) = self._source.choices(list(_ACTIONS), list(_ACTIONS.values()))
            if not getattr(self, f"_{action if self._kept else 'upload'}")():
                stopping.wait(_PAUSE_AFTER_FAILURE_SECONDS)

    def _upload(self) -> bool:
        body, headers = self._body()
        owner = quote(self._source.choice(_OWNERS))
        row = self._request("upload", 201, "POST", f"?owner={owner}", body, headers)
        if row is not None:
            self._kept[int(row["id"])] = str(row["file"])
        return row is not None

    def _replace(self) -> bool:
        identifier = self._source.choice(list(self._kept))
        body, headers = self._body()
        return self._request("replace", 200, "PUT", f"{identifier}/", body, headers, identifier) is not None

    def _delete(self) -> bool:
        identifier = self._source.choice(list(self._kept))
        answer = self._request("delete", 200, "DELETE", f"{identifier}/", identifier=identifier)
        # Acknowledged or not: nothing can be said of it any more that a later request could rely on.
        del self._kept[identifier]
        return answer is not None

    def _body(self) -> tuple[bytes, dict[str, str]]:
        body = self._source.randbytes(self._source.randint(1, _LARGEST_BYTES))
        return body, {"Content-Type": self._source.choice(_CONTENT_TYPES)}

    def _request(
        self,
        action: str,
        status: int,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        identifier: int | None = None,
    ) -> dict[str, Any] | None:
        """Try once; return the acknowledged document, or None."""
        record: dict[str, Any] = {"resource": RESOURCE, "action": action, "reference": str(uuid.uuid4())}
        if body is not None:
            record["sha256"] = hashlib.sha256(body).hexdigest()
        if identifier is not None:
            record |= {"id": identifier, "file": self._kept[identifier]}
        began = time.time()
        try:
            answer: dict[str, Any] = json.loads(expect(status, method, self._url + path, body, headers))
        except (RequestFailedError, ValueError) as error:
            self._journal.write({**record, "at": time.time(), "outcome": "unanswered", "reason": str(error)})
            self._tally.count_failure(began, str(error))
            return None
        promise = {"id": answer["id"], "file": answer.get("file", record.get("file"))}
        self._journal.write({**record, "at": time.time(), "outcome": "acknowledged", **promise})
        self._tally.count_success(began)
        return answer
