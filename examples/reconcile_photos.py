"""Compare the promises about photos with what the API serves, byte for byte.

A photo must have the bytes of the last request that was acknowledged. A later request without an answer may
have been done or not: its bytes are right too, and after a deletion without an answer so is no photo at all.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from examples.http_requests import RequestFailedError, send
from examples.photo_client import RESOURCE

_THREADS = 8


@dataclass
class Expectation:
    """What the log allows a photo to be: one of the hashes, or gone when None is among them."""

    file: str
    allowed: set[str | None]


@dataclass
class PhotoReconciliation:
    """How the log and the API compare; `lost` and `different` are faults."""

    uploads: int = 0
    read: int = 0
    deleted: int = 0
    unanswered: int = 0
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every promise is kept."""
        return not (self.lost or self.different)

    def summary(self) -> str:
        """Return one line for a person."""
        verdict = "agree" if self.agrees else "DISAGREE"
        return (
            f"Log and media bucket {verdict}: {self.uploads} uploads acknowledged, {self.read} read back "
            f"byte for byte, {self.deleted} deleted since, {len(self.lost)} lost, "
            f"{len(self.different)} different."
        )


def expectations(journal: Iterable[dict[str, Any]]) -> dict[int, Expectation]:
    """Return what the log allows each acknowledged photo to be.

    Parameters
    ----------
    journal
        Records of `examples.journal`, in the order in which they were written.
    """
    found: dict[int, Expectation] = {}
    for record in journal:
        # An upload without an answer has no id: nobody can ask for it.
        if record["resource"] != RESOURCE or "id" not in record:
            continue
        result = record.get("sha256")
        if record["outcome"] == "acknowledged":
            found[record["id"]] = Expectation(record["file"], {result})
        else:
            found[record["id"]].allowed.add(result)
    return found


def reconcile_photos(journal: Iterable[dict[str, Any]], url: str) -> PhotoReconciliation:
    """Read every acknowledged photo through the API and compare it.

    Parameters
    ----------
    journal
        Records of `examples.journal`.
    url
        Of the load balancer.

    Raises
    ------
    RequestFailedError
        The API did not answer a request: that proves nothing about the photo.
    """
    records = [record for record in journal if record["resource"] == RESOURCE]
    expected = expectations(records)
    result = PhotoReconciliation(
        uploads=sum(
            record["action"] == "upload" and record["outcome"] == "acknowledged" for record in records
        ),
        unanswered=sum(record["outcome"] != "acknowledged" for record in records),
    )
    with ThreadPoolExecutor(_THREADS) as pool:
        served = pool.map(lambda identifier: _served(url, identifier), expected)
        for (identifier, wanted), digest in zip(expected.items(), served, strict=True):
            if digest not in wanted.allowed:
                faults = result.lost if digest is None else result.different
                faults.append(f"photo {identifier} ({wanted.file})")
            elif digest is None:
                result.deleted += 1
            else:
                result.read += 1
    return result


def _served(url: str, identifier: int) -> str | None:
    """Return the SHA-256 of the bytes that the API serves, or None when it has no such photo."""
    answer = send("GET", f"{url.rstrip('/')}/{RESOURCE}/{identifier}/")
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status != HTTPStatus.OK:
        shown = answer.body[:200].decode(errors="replace")
        raise RequestFailedError(f"photo {identifier} was answered {answer.status}: {shown}")
    return hashlib.sha256(answer.body).hexdigest()
