"""The hash of a table: the same for the same rows in any order.

Another for any other rows. Asked of a real server.
"""

from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from database_jobs.contents import BLOCK_BYTES, Table, TableHash, chunks, hash_chunk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.local.database_jobs.clusters import Cluster

Row = tuple[int | None, str | None, float | None]
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-2, 2),
        st.none() | TEXT,
        st.none() | st.floats(allow_nan=False).map(lambda x: x + 0.0),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def connection(blue: Cluster) -> Iterator[psycopg.Connection]:
    with blue.master("postgres") as opened:
        opened.execute("CREATE TEMPORARY TABLE t (a int, b text, c float8)")
        yield opened


def hash_of(connection: psycopg.Connection, rows: list[Row]) -> TableHash:
    connection.execute("TRUNCATE t")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", rows)
    return hash_chunk(connection, Table("pg_temp", "t", "r", 0), 0, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=ROWS, other=ROWS, random=st.randoms())
def test_hash_is_equal_when_and_only_when_the_rows_are(
    connection: psycopg.Connection, one: list[Row], other: list[Row], random: object
) -> None:
    shuffled = random.sample(one, len(one))  # type: ignore[attr-defined]
    first = hash_of(connection, one)
    assert hash_of(connection, shuffled) == first
    assert first.rows == len(one)
    # Rows compare as PostgreSQL prints them: negative zero is not zero there
    keys = [Counter(map(repr, rows)) for rows in (one, other)]
    assert (hash_of(connection, other) == first) is (keys[0] == keys[1])


def test_hash_of_parts_adds_up_to_the_hash_of_the_whole(connection: psycopg.Connection) -> None:
    # Given a table of many blocks, from which rows were deleted
    connection.execute(
        "CREATE TEMPORARY TABLE wide AS SELECT n, repeat('x', 900) FROM generate_series(1, 500) AS n"
    )
    connection.execute("DELETE FROM wide WHERE n % 7 = 0")
    row = connection.execute("SELECT pg_table_size('wide')").fetchone()
    assert row is not None and row[0] > 40 * BLOCK_BYTES
    table = Table("pg_temp", "wide", "r", row[0])
    # When it is read in parts
    ranges = chunks(connection, table, 7)
    parts = [hash_chunk(connection, table, start, end) for start, end in ranges]
    # Then the parts are many, and their sum is the whole
    assert len(parts) > 5
    assert sum(parts, TableHash(0, 0, 0)) == hash_chunk(connection, table, 0, None)


def test_hash_of_a_known_row_never_changes_between_versions(connection: psycopg.Connection) -> None:
    # Given the hash that PostgreSQL 15 gave: another version that gives another one must not be compared with
    # it
    found = hash_of(connection, [(1, "one", 0.1)])
    assert (found.rows, found.first, found.second) == (1, 5215252080187182368, -2926685274398715752)
