"""Photos: a row and the object that it refers to.

Nothing spans a database and a bucket in one transaction, so the order matters: an object is stored before the
row that refers to it is committed, and deleted after the row is gone. What fails in between leaves an object
without a row, which nobody sees, and never a row without its object.
"""

import hashlib
import mimetypes
import uuid
from typing import Any
from urllib.parse import quote

from examples.api.database import Connection, Pool
from examples.api.media import MEDIA_PREFIX, MediaStore, StoredFile
from examples.api.resources import representation

_SELECT = "SELECT * FROM know_me_photo WHERE id = %s"
_INSERT = """
    INSERT INTO know_me_photo (owner, file, content_type, sha256)
    VALUES (%(owner)s, %(file)s, %(content_type)s, %(sha256)s) RETURNING *
"""
_UPDATE = "UPDATE know_me_photo SET content_type = %s, sha256 = %s WHERE id = %s RETURNING *"
_DELETE = "DELETE FROM know_me_photo WHERE id = %s RETURNING file"
_TAGS = {"kind": "photo"}


class PhotoMissingError(Exception):
    """There is no such photo."""


class Photos:
    """What can be done with photos.

    Parameters
    ----------
    pool
        Where the rows are.
    store
        Where the objects are.

    Every method raises `psycopg.Error` when the database does not serve it, and `MediaUnavailableError` when
    the bucket does not.
    """

    def __init__(self, pool: Pool, store: MediaStore) -> None:
        self._pool = pool
        self._store = store

    def create(self, owner: str, content_type: str, body: bytes) -> dict[str, Any]:
        """Store a photo; returns its row after the database committed it."""
        extension = mimetypes.guess_extension(content_type.partition(";")[0].strip()) or ".bin"
        row = {"owner": owner, "file": f"photos/{uuid.uuid4()}{extension}", "content_type": content_type}
        row["sha256"] = self._put(row["file"], owner, content_type, body)
        with self._pool.connection() as connection:
            created = connection.execute(_INSERT, row).fetchone()
        return _answer(created)

    def replace(self, identifier: int, content_type: str, body: bytes) -> dict[str, Any]:
        """Store other bytes in the place of a photo; returns its row after the database committed it."""
        with self._pool.connection() as connection:
            # The lock makes two replacements of one photo take turns in both stores.
            row = _row(connection, identifier, "FOR UPDATE")
            digest = self._put(row["file"], row["owner"], content_type, body)
            replaced = connection.execute(_UPDATE, [content_type, digest, identifier]).fetchone()
        return _answer(replaced)

    def open(self, identifier: int) -> StoredFile:
        """Begin to read a photo."""
        with self._pool.connection() as connection:
            row = _row(connection, identifier)
        return self._store.open(MEDIA_PREFIX + row["file"])

    def delete(self, identifier: int) -> None:
        """Delete a photo: its row, then its object."""
        with self._pool.connection() as connection:
            deleted = connection.execute(_DELETE, [identifier]).fetchone()
        if deleted is None:
            raise PhotoMissingError(f"there is no photo {identifier}")
        self._store.delete(MEDIA_PREFIX + deleted["file"])

    def _put(self, file: str, owner: str, content_type: str, body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        # User metadata of S3 is ASCII.
        metadata = {"owner": quote(owner), "sha256": digest}
        self._store.put(MEDIA_PREFIX + file, body, content_type, metadata=metadata, tags=_TAGS)
        return digest


def _row(connection: Connection, identifier: int, lock: str = "") -> dict[str, Any]:
    row = connection.execute(f"{_SELECT} {lock}", [identifier]).fetchone()
    if row is None:
        raise PhotoMissingError(f"there is no photo {identifier}")
    return row


def _answer(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        raise PhotoMissingError("the photo was deleted meanwhile")
    return representation(row)
