"""``python -m examples.sample_data``: fill the database of the stand-in API with data shaped like Know Me's.

The same seed and size make the same rows. Rows are made here and sent with COPY, table by table, in one
transaction: all of it is there, or nothing is.
"""

import argparse
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from examples.api.database import SchemaMissingError, check_schema
from examples.database_access import DatabaseAccessError, connection_string_of_secret
from examples.sample_texts import sample_texts

_EPOCH = datetime(2016, 1, 1, tzinfo=UTC)
_DAYS = 3500


@dataclass(frozen=True)
class Size:
    """How many rows a number of users stands for."""

    users: int

    @property
    def rows(self) -> dict[str, int]:
        """Rows per table, in the order in which foreign keys allow to load them."""
        users = self.users
        return {
            "account_user": users,
            "account_emailaddress": users,
            "know_me_profile": users * 2,
            "know_me_profiletopic": users * 4,
            "know_me_mediaresource": users * 2,
            "know_me_profileitem": users * 8,
            "know_me_listentry": users * 12,
            "know_me_journalentry": users * 10,
            "know_me_comment": users * 5,
        }


class Generator:
    """Makes the rows of every table; ids count from `first` so that a second load fits beside the first.

    Parameters
    ----------
    size
        How much.
    seed
        The same seed makes the same rows.
    first
        Per table the id of the first row.
    """

    def __init__(self, size: Size, seed: int, first: dict[str, int]) -> None:
        self._size = size
        self._seed = seed
        self._first = first

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of one table, in the order of `COLUMNS`."""
        make = _MAKERS[table]
        # String seeds are hashed with SHA-512 by `random`, so they are the same in every process.
        source = random.Random(f"{self._seed}/{table}/{self._first[table]}")  # noqa: S311 - sample data
        for index in range(self._size.rows[table]):
            yield (self._first[table] + index, *make(self, source, index))

    def _parent(self, table: str, index: int) -> int:
        return self._first[table] + index % self._size.rows[table]

    def _user(self, source: random.Random, _index: int) -> tuple[Any, ...]:
        return (
            _uuid(source),
            source.choice(sample_texts()["first_names"]),
            source.choice(sample_texts()["last_names"]),
            source.random() > 0.03,
            _moment(source),
        )

    def _email(self, source: random.Random, index: int) -> tuple[Any, ...]:
        user = self._parent("account_user", index)
        return user, f"User.{user}@example.org", True, source.random() > 0.2, _moment(source)

    def _profile(self, source: random.Random, index: int) -> tuple[Any, ...]:
        user = self._parent("account_user", index)
        birth = date(1930, 1, 1) + timedelta(days=source.randrange(30_000)) if source.random() > 0.3 else None
        return (
            _uuid(source),
            user,
            source.choice(sample_texts()["profiles"]),
            _text(source, 8),
            birth,
            index < self._size.users,
            _moment(source),
        )

    def _topic(self, source: random.Random, index: int) -> tuple[Any, ...]:
        return self._parent("know_me_profile", index), source.choice(sample_texts()["topics"]), index % 7

    def _media(self, source: random.Random, index: int) -> tuple[Any, ...]:
        user = self._parent("account_user", index)
        name = f"{source.choice(('photo', 'scan', 'фото', 'メモ'))} {index}.jpg"
        return (
            _uuid(source),
            user,
            name,
            f"users/{user}/media/{_uuid(source)}/{name}",
            source.randrange(20_000_000),
            source.randbytes(32),
            _moment(source),
        )

    def _item(self, source: random.Random, index: int) -> tuple[Any, ...]:
        media = self._parent("know_me_mediaresource", index) if source.random() > 0.7 else None
        return (
            self._parent("know_me_profiletopic", index),
            media,
            _text(source, 3)[:255],
            _text(source, 20),
            index % 11,
        )

    def _list_entry(self, source: random.Random, index: int) -> tuple[Any, ...]:
        return self._parent("know_me_profileitem", index), _text(source, 6)[:255], index % 5

    def _entry(self, source: random.Random, index: int) -> tuple[Any, ...]:
        moment = _moment(source)
        metadata = {
            "mood": source.choice(sample_texts()["moods"]),
            "sleep": {"hours": round(source.uniform(3, 11), 2), "woke": source.randrange(4)},
            "tags": [source.choice(sample_texts()["words"]) for _ in range(source.randrange(4))],
        }
        attachment = f"journal/{_uuid(source)}/attachment.png" if source.random() > 0.8 else ""
        return (
            _uuid(source),
            self._parent("account_user", index),
            _text(source, 60),
            json.dumps(metadata, ensure_ascii=False),
            attachment,
            moment.date(),
            moment,
        )

    def _comment(self, source: random.Random, index: int) -> tuple[Any, ...]:
        return (
            _uuid(source),
            self._parent("know_me_journalentry", index * 2),
            self._parent("account_user", source.randrange(self._size.users)),
            _text(source, 15),
            _moment(source),
        )


_MAKERS: dict[str, Callable[[Generator, random.Random, int], tuple[Any, ...]]] = {
    "account_user": Generator._user,
    "account_emailaddress": Generator._email,
    "know_me_profile": Generator._profile,
    "know_me_profiletopic": Generator._topic,
    "know_me_mediaresource": Generator._media,
    "know_me_profileitem": Generator._item,
    "know_me_listentry": Generator._list_entry,
    "know_me_journalentry": Generator._entry,
    "know_me_comment": Generator._comment,
}

COLUMNS: dict[str, tuple[str, ...]] = {
    "account_user": ("id", "reference", "first_name", "last_name", "is_active", "date_joined"),
    "account_emailaddress": ("id", "user_id", "email", "is_primary", "is_verified", "created_at"),
    "know_me_profile": (
        "id",
        "reference",
        "user_id",
        "name",
        "quote",
        "birth_date",
        "is_default",
        "created_at",
    ),
    "know_me_profiletopic": ("id", "profile_id", "name", "position"),
    "know_me_mediaresource": ("id", "reference", "user_id", "name", "file", "size", "checksum", "created_at"),
    "know_me_profileitem": ("id", "topic_id", "media_resource_id", "name", "description", "position"),
    "know_me_listentry": ("id", "profile_item_id", "text", "position"),
    "know_me_journalentry": (
        "id",
        "reference",
        "user_id",
        "text",
        "metadata",
        "attachment",
        "written_on",
        "created_at",
    ),
    "know_me_comment": ("id", "reference", "entry_id", "user_id", "text", "created_at"),
}


def load(connection_string: str, users: int, seed: int = 1) -> dict[str, int]:
    """Fill the database and bring its statistics and its materialised view up to date.

    Parameters
    ----------
    connection_string
        Of the application role.
    users
        How many users; everything else follows from it, see `Size`.
    seed
        The same seed makes the same rows.

    Returns
    -------
    dict
        Rows that were added, per table.

    Raises
    ------
    SchemaMissingError
        `migrate` has not run on this database.
    """
    size = Size(users)
    with closing(psycopg.connect(connection_string)) as connection:
        with connection.transaction():
            check_schema(connection)
            first = {table: _next_id(connection, table, count) for table, count in size.rows.items()}
            generator = Generator(size, seed, first)
            for table in size.rows:
                statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                    sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
                )
                with connection.cursor().copy(statement) as copy:
                    for row in generator.rows(table):
                        copy.write_row(row)
            connection.execute("REFRESH MATERIALIZED VIEW know_me_activity")
        connection.autocommit = True
        connection.execute("ANALYZE")
    return size.rows


def _next_id(connection: psycopg.Connection[Any], table: str, count: int) -> int:
    """Reserve `count` ids of a table's sequence, so that the app can go on inserting at the same time."""
    # The table lock keeps others from taking ids between the two calls.
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(table)))
    sequence = "pg_get_serial_sequence(%(table)s, 'id')"
    row = connection.execute(f"SELECT nextval({sequence})", {"table": table}).fetchone()
    first = int(row[0]) if row else 1
    connection.execute(f"SELECT setval({sequence}, %(last)s)", {"table": table, "last": first + count - 1})
    return first


def _uuid(source: random.Random) -> str:
    return str(uuid.UUID(int=source.getrandbits(128), version=4))


def _moment(source: random.Random) -> datetime:
    return _EPOCH + timedelta(days=source.randrange(_DAYS), microseconds=source.randrange(86_400_000_000))


def _text(source: random.Random, words: int) -> str:
    return " ".join(source.choices(sample_texts()["words"], k=source.randint(1, words)))


def main(arguments: list[str] | None = None) -> int:
    """Load sample data; exit code 0: loaded, 1: the database refused, 2: wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.sample_data",
        description="Fill the stand-in API's database with data shaped like Know Me's: 45 rows per user.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--secret", help="name or ARN of the Secrets Manager secret of the application role")
    where.add_argument(
        "--dsn-variable", metavar="NAME", help="environment variable with a libpq connection string"
    )
    parser.add_argument("--users", type=int, default=2000, help="how many users (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed makes the same rows (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.users < 1:
        parser.error("--users must be at least 1")
    began = time.monotonic()
    try:
        if options.secret:
            dsn = connection_string_of_secret(options.secret)
        else:
            dsn = os.environ.get(options.dsn_variable) or parser.error(f"{options.dsn_variable} is not set")
        rows = load(dsn, options.users, options.seed)
    except (SchemaMissingError, DatabaseAccessError, psycopg.Error) as error:
        print(f"Nothing was loaded: {str(error).strip()}", file=sys.stderr)
        return 1
    for table, count in rows.items():
        print(f"{count:>12,}  {table}")
    print(f"{sum(rows.values()):>12,}  rows in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
