"""What the log of uploads allows a photo to be, and what is a fault."""

import hashlib
from typing import Any

import pytest

from examples import reconcile_photos as module
from examples.http_requests import RequestFailedError, Response
from examples.reconcile_photos import expectations, reconcile_photos


def record(action: str, content: bytes | None = None, *, answered: bool = True, photo: int = 1) -> Any:
    known = {"id": photo, "file": f"photos/{photo}.jpg"} if answered or action != "upload" else {}
    digest = {"sha256": hashlib.sha256(content).hexdigest()} if content is not None else {}
    outcome = "acknowledged" if answered else "unanswered"
    return {"resource": "photos", "action": action, "outcome": outcome, **known, **digest}


def serve(monkeypatch: pytest.MonkeyPatch, photos: dict[int, bytes], otherwise: int = 404) -> None:
    def send(_: str, url: str) -> Response:
        identifier = int(url.rstrip("/").rsplit("/", 1)[-1])
        if identifier in photos:
            return Response(200, "image/jpeg", photos[identifier])
        return Response(otherwise, "application/json", b"{}")

    monkeypatch.setattr(module, "send", send)


@pytest.mark.parametrize(
    ("log", "served", "verdict"),
    [
        ([record("upload", b"a")], {1: b"a"}, "read"),
        ([record("upload", b"a")], {1: b"b"}, "different"),
        ([record("upload", b"a")], {}, "lost"),
        ([record("upload", b"a"), record("replace", b"b")], {1: b"b"}, "read"),
        ([record("upload", b"a"), record("replace", b"b")], {1: b"a"}, "different"),
        ([record("upload", b"a"), record("replace", b"b", answered=False)], {1: b"a"}, "read"),
        ([record("upload", b"a"), record("replace", b"b", answered=False)], {1: b"b"}, "read"),
        ([record("upload", b"a"), record("replace", b"b", answered=False)], {}, "lost"),
        ([record("upload", b"a"), record("delete")], {}, "deleted"),
        ([record("upload", b"a"), record("delete")], {1: b"a"}, "different"),
        ([record("upload", b"a"), record("delete", answered=False)], {}, "deleted"),
        ([record("upload", b"a"), record("delete", answered=False)], {1: b"a"}, "read"),
    ],
)
def test_the_last_promise_counts_and_what_was_not_answered_may_be(
    log: list[Any], served: dict[int, bytes], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, served)
    result = reconcile_photos(log, "http://unused")
    found = {
        "read": result.read,
        "deleted": result.deleted,
        "different": len(result.different),
        "lost": len(result.lost),
    }
    assert found == {name: int(name == verdict) for name in found}
    assert result.agrees == (verdict in ("read", "deleted"))


def test_an_upload_without_an_answer_promises_nothing_and_other_writes_are_no_photos() -> None:
    log = [record("upload", b"a", answered=False), {"resource": "users", "outcome": "acknowledged", "id": 1}]
    assert expectations(log) == {}


def test_an_api_that_does_not_answer_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {}, otherwise=503)
    with pytest.raises(RequestFailedError, match="photo 1 was answered 503"):
        reconcile_photos([record("upload", b"a")], "http://unused")
