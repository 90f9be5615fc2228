"""What can be written and read: one row of the table below per kind of resource.

The API, its client and the reconciliation share this table, so the three cannot disagree about what a row is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

_Text = Annotated[str, Field(min_length=1, max_length=100_000)]
_Name = Annotated[str, Field(min_length=1, max_length=150)]
_Id = Annotated[int, Field(ge=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reference: UUID


class User(_Body):
    """A person with the primary e-mail address."""

    first_name: _Name
    last_name: _Name
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]


class Profile(_Body):
    """One side of a person: at work, at home."""

    user_id: _Id
    name: Annotated[str, Field(min_length=1, max_length=255)]
    quote: str = ""
    birth_date: date | None = None


class JournalEntry(_Body):
    """What a person wrote on a day."""

    user_id: _Id
    text: _Text
    metadata: dict[str, Any] = {}
    attachment: Annotated[str, Field(max_length=512)] = ""
    written_on: date


class MediaResource(_Body):
    """A reference to a file in the archive of an earlier app."""

    user_id: _Id
    name: Annotated[str, Field(min_length=1, max_length=255)]
    file: Annotated[str, Field(min_length=1, max_length=512)]
    size: Annotated[int, Field(ge=0, lt=2**63)]


class Comment(_Body):
    """A remark on a journal entry."""

    entry_id: _Id
    user_id: _Id
    text: _Text


@dataclass(frozen=True)
class Resource:
    """Where a kind of resource lives: its path, its table and the columns that a client can see."""

    path: str
    table: str
    body: type[_Body]
    columns: tuple[str, ...]


RESOURCES = {
    resource.path: resource
    for resource in (
        Resource("users", "account_user", User, ("reference", "first_name", "last_name")),
        Resource(
            "profiles", "know_me_profile", Profile, ("reference", "user_id", "name", "quote", "birth_date")
        ),
        Resource(
            "journal-entries",
            "know_me_journalentry",
            JournalEntry,
            ("reference", "user_id", "text", "metadata", "attachment", "written_on"),
        ),
        Resource(
            "media-resources",
            "know_me_mediaresource",
            MediaResource,
            ("reference", "user_id", "name", "file", "size"),
        ),
        Resource("comments", "know_me_comment", Comment, ("reference", "entry_id", "user_id", "text")),
    )
}


def representation(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a database row as the JSON values that the API answers."""
    return {name: str(value) if isinstance(value, UUID | date) else value for name, value in row.items()}


def content_hash(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a representation, independent of the order of its keys."""
    canonical = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
