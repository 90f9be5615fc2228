"""What the client counts as an outage."""

from pathlib import Path
from typing import Any

import pytest

from examples import client as client_module
from examples.client import WritingClient
from examples.figures import Figures, Outage
from examples.http_requests import RequestFailedError
from examples.journal import Journal, JournalError, read_journal
from examples.photo_client import PhotoClient


@pytest.fixture(autouse=True)
def no_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writers alone."""
    monkeypatch.setattr(PhotoClient, "run", lambda *_: None)


def test_the_longest_outage_counts_one_that_still_lasts() -> None:
    figures = Figures(outages=[Outage(10, "x", ended=14), Outage(20, "y")])
    assert figures.longest_outage_seconds(21) == 4
    assert figures.longest_outage_seconds(30) == 10
    assert figures.in_outage


def test_no_outage_is_no_downtime() -> None:
    assert Figures().longest_outage_seconds(99) == 0
    assert not Figures().in_outage


def test_a_writer_that_breaks_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a log that cannot be written to
    journal = Journal(tmp_path / "writes.jsonl")
    journal.close()
    monkeypatch.setattr(client_module, "_post", lambda *_: {"id": 1})
    client = WritingClient("http://unused", journal, writers=1, rate=1000)
    # When the client writes and is stopped
    client.start()
    # Then it says so
    with pytest.raises(ValueError, match="closed file"):
        client.stop()


def test_a_failed_write_is_tried_again_with_a_new_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def post(_: str, body: dict[str, Any]) -> dict[str, Any]:
        sent.append(body["reference"])
        if len(sent) == 1:
            raise RequestFailedError("503")
        return {"id": len(sent), **body}

    monkeypatch.setattr(client_module, "_post", post)
    monkeypatch.setattr(client_module, "_PAUSE_AFTER_FAILURE_SECONDS", 0)
    journal = Journal(tmp_path / "writes.jsonl")
    client = WritingClient("http://unused", journal, writers=1, rate=1000)
    client.start()
    while client.figures().acknowledged < 5:
        assert client.error is None
    figures = client.stop()
    journal.close()
    assert len(set(sent)) == len(sent)
    assert (figures.unanswered, len(figures.outages), figures.in_outage) == (1, 1, False)
    records = list(read_journal(journal.path))
    assert [record["outcome"] for record in records[:2]] == ["unanswered", "acknowledged"]
    assert len(records) == len(sent)


def test_a_record_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "writes.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    assert list(read_journal(path)) == [{"a": 1}]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "writes.jsonl"
    path.write_text('{"a": 1}\nnonsense\n')
    with pytest.raises(JournalError, match="line 2"):
        list(read_journal(path))
