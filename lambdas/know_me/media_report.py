"""The media in the report of a run: what was copied when, and what proves that nothing is missing."""

from typing import Any

from pydantic import BaseModel

from know_me.names import media_bucket
from know_me.run_folder import RunFolder

NAMED = 50
"""How many files are named; all of them are in the run folder."""

PHASES = ("ahead", "final")


class Difference(BaseModel):
    """What an object of the new bucket has otherwise than that of the old one."""

    kind: str
    key: str
    detail: str = ""


class Sample(BaseModel):
    """Of how many objects metadata and tags were compared, and of how many that was asked."""

    asked: int | str
    compared: int


class Verification(BaseModel):
    """`verification.json` of the media; `changed` is null after a full listing."""

    verdict: str
    objects: int | None = None
    bytes: int | None = None
    compared_by: dict[str, int] = {}
    metadata_sample: Sample | None = None
    differences: list[Difference] = []
    changed: int | None = None


class Amount(BaseModel):
    """Objects and their bytes."""

    objects: int
    bytes: int


class LookBack(BaseModel):
    """`look-back.json`; `unreferenced` is null when rows refer to no files."""

    objects: int
    bytes: int
    copied_late: list[str] = []
    differences: list[Difference] = []
    unreferenced: Amount | None = None


class CrossCheck(BaseModel):
    """Whether the files that rows of the database refer to are in the new bucket."""

    paths: int
    present: int
    missing_before: int
    missing_before_names: list[str]
    newly_missing: list[str]


class MediaReport(BaseModel):
    """`media` of `report.json`; counts are objects. What a run did not get to is null or 0."""

    old_bucket: str
    new_bucket: str
    objects: int | None
    bytes: int | None
    copied_ahead: int
    copied_while_stopped: int
    removed: int
    large_objects: int
    batch_jobs: list[dict[str, Any]]
    verification: Verification | None
    cross_check: CrossCheck | None
    look_back: LookBack | None


def compose_media(
    folder: RunFolder, request: dict[str, Any], environment: str, account_id: str
) -> MediaReport | None:
    """Put together what the copies left in the run folder; None when the media did not move."""
    candidate, source = request.get("media_candidate"), request.get("source_bucket")
    if not candidate or not source:
        return None
    copies = {phase: folder.read(f"media/{phase}/copy.json") or {} for phase in PHASES}
    verification = _last(folder, "verification.json")
    back = folder.read("media/look-back.json")
    seen = verification or folder.read("media/survey.json") or {}
    return MediaReport(
        old_bucket=source["bucket"],
        new_bucket=media_bucket(environment, candidate, account_id),
        objects=seen.get("objects"),
        bytes=seen.get("bytes"),
        copied_ahead=_copied(copies["ahead"]),
        copied_while_stopped=_copied(copies["final"]),
        removed=sum(copy.get("removed", 0) for copy in copies.values()),
        large_objects=sum(copy.get("large_objects", 0) for copy in copies.values()),
        batch_jobs=[
            {"phase": phase, **job} for phase, copy in copies.items() for job in copy.get("batch_jobs", [])
        ],
        verification=Verification.model_validate(verification) if verification else None,
        cross_check=_cross_check(folder),
        look_back=LookBack.model_validate(back) if back else None,
    )


def _copied(copy: dict[str, Any]) -> int:
    """Return how many objects a phase copied, by whichever way."""
    return sum(copy.get(way, 0) for way in ("copied_by_batch", "copied_directly", "large_objects"))


def _last(folder: RunFolder, name: str) -> Any | None:
    """Return a document of the last phase that wrote it."""
    found = (folder.read(f"media/{phase}/{name}") for phase in reversed(PHASES))
    return next((document for document in found if document is not None), None)


def _cross_check(folder: RunFolder) -> CrossCheck | None:
    checked = _last(folder, "cross-check.json")
    if checked is None:
        return None
    names = (folder.read_lines(f"media/{phase}/missing.jsonl.gz", NAMED) for phase in reversed(PHASES))
    return CrossCheck(
        paths=checked["paths"],
        present=checked["present"],
        missing_before=checked["missing_before"],
        missing_before_names=next((found for found in names if found), [])
        if checked["missing_before"]
        else [],
        newly_missing=checked["newly_missing"],
    )
