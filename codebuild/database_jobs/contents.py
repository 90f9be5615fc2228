"""What a database holds, as numbers that two databases can be compared by: rows and hashes of tables.

Sequences, large objects.

The hash of a table is the sum, over its rows, of two 64-bit hashes of the row's text. A sum does not depend
on the order of rows, and counts equal rows as often as they are there (an exclusive-or would not).
`hashtextextended` is what hash-partitioned tables are routed by, so PostgreSQL may not change it between
versions: upgraded tables would be routed wrongly. The text of a row is made under fixed settings.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

from psycopg import sql

from database_jobs.connections import Connection, Server, major, rows, value

# Whatever changes the text of a value is the same on both sides, however the servers and roles are set.
TEXT_SETTINGS = {
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "extra_float_digits": "3",
    "IntervalStyle": "postgres",
    "lc_monetary": "C",
    "max_parallel_workers_per_gather": "0",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "0",
    "TimeZone": "UTC",
    "xmlbinary": "base64",
    "xmloption": "content",
}
BLOCK_BYTES = 8192
BLOCKS_PER_CHUNK = 8192
LARGE_OBJECTS_PER_CHUNK = 500
LARGE_OBJECT_PART = 8 * 1024 * 1024


@dataclass(frozen=True)
class Table:
    """A relation that holds rows of its own: a table, a partition or a materialised view."""

    schema: str
    name: str
    kind: str
    bytes: int

    @property
    def qualified(self) -> str:
        """The name that people read."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class TableHash:
    """Rows and hash of a table, or of a part of it; parts are added."""

    rows: int
    first: int
    second: int

    def __add__(self, other: "TableHash") -> "TableHash":
        return TableHash(self.rows + other.rows, self.first + other.first, self.second + other.second)

    def text(self) -> str:
        """Return the hash as 32 hexadecimal digits: both sums modulo 2^64."""
        return f"{self.first % 2**64:016x}{self.second % 2**64:016x}"


@dataclass(frozen=True)
class LargeObject:
    """A large object; its hash is of its content."""

    size: int
    hash: str
    owner: str
    grants: str
    comment: str | None


@dataclass
class DatabaseContents:
    """Everything that `read` found."""

    tables: dict[str, TableHash]
    kinds: dict[str, str]
    sequences: dict[str, tuple[int, bool]]
    large_objects: dict[int, LargeObject]
    bytes: int


class Snapshot:
    """Connections to one database that all see the same moment of it, read only.

    Parameters
    ----------
    server
        The database.
    workers
        How many connections work beside the one that holds the snapshot.
    """

    def __init__(self, server: Server, workers: int) -> None:
        self._server = server
        self._stack = ExitStack()
        self._free: SimpleQueue[Connection] = SimpleQueue()
        self.holder = self._open()
        self.identifier: str = value(self.holder, sql.SQL("SELECT pg_export_snapshot()"))
        for _ in range(workers):
            connection = self._open()
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.identifier)))
            self._free.put(connection)

    def _open(self) -> Connection:
        connection = self._server.open()
        self._stack.callback(self._server.close, connection)
        for name, setting in TEXT_SETTINGS.items():
            connection.execute(
                sql.SQL("SET {} = {}").format(sql.SQL(name), sql.SQL("{}").format(_setting(setting)))
            )
        connection.execute(sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        return connection

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection to a thread."""
        connection = self._free.get()
        try:
            yield connection
        finally:
            self._free.put(connection)

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _setting(text: str) -> sql.Composable:
    return sql.SQL(", ").join(sql.Literal(part) for part in text.split(", "))


def tables_of(connection: Connection) -> list[Table]:
    """Return the relations to compare, the largest first. Members of extensions count too.

    They may hold settings.
    """
    return [
        Table(row[0], row[1], row[2], row[3])
        for row in rows(
            connection,
            sql.SQL(
                "SELECT n.nspname, c.relname, c.relkind::text, pg_table_size(c.oid)"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)"
                " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 4 DESC, 1, 2"
            ),
        )
    ]


def chunks(
    connection: Connection, table: Table, blocks_per_chunk: int = BLOCKS_PER_CHUNK
) -> list[tuple[int, int | None]]:
    """Return ranges of blocks `[from, to)` of a table.

    The last has no end. PostgreSQL 14 and newer read ranges only.
    """
    blocks = -(-table.bytes // BLOCK_BYTES)
    if major(connection) < 14 or blocks <= blocks_per_chunk:
        return [(0, None)]
    starts = list(range(0, blocks, blocks_per_chunk))
    return list(zip(starts, [*starts[1:], None], strict=True))


def hash_chunk(connection: Connection, table: Table, start: int, end: int | None) -> TableHash:
    """Hash the rows of a range of blocks."""
    where = [sql.SQL("ctid >= '({},0)'::tid").format(sql.Literal(start))] if start else []
    where += [sql.SQL("ctid < '({},0)'::tid").format(sql.Literal(end))] if end is not None else []
    condition = sql.SQL(" WHERE ") + sql.SQL(" AND ").join(where) if where else sql.SQL("")
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(line, 0)), 0), "
            "coalesce(sum(hashtextextended(line, 1)), 0)"
            ' FROM (SELECT ("row".*)::text COLLATE "C" AS line FROM ONLY {} AS "row"{} OFFSET 0) AS lines'
        ).format(sql.Identifier(table.schema, table.name), condition)
    ).fetchone()
    if row is None:
        raise AssertionError("an aggregate always returns a row")
    return TableHash(int(row[0]), int(row[1]), int(row[2]))


def sequences_of(connection: Connection) -> dict[str, tuple[int, bool]]:
    """Return the position of every sequence: last value, and whether it was handed out."""
    found = {}
    for schema, name in rows(
        connection,
        sql.SQL(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER "
            "BY 1, 2"
        ),
    ):
        row = rows(
            connection, sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        )[0]
        found[f"{schema}.{name}"] = (int(row[0]), bool(row[1]))
    return found


def large_objects_after(connection: Connection, oid: int, limit: int) -> dict[int, LargeObject]:
    """Return the next large objects after an oid."""
    found = {}
    for number, size, digest, owner, grants, comment in rows(
        connection,
        sql.SQL(
            "SELECT oid, length(part), encode(sha256(part), 'hex'), owner, grants, comment FROM ("
            " SELECT oid, lo_get(oid, 0, %(part)s) AS part, pg_get_userbyid(lomowner) AS owner,"
            " (SELECT coalesce(string_agg(entry::text, ',' ORDER BY entry::text), '')"
            "  FROM unnest(coalesce(lomacl, acldefault('L', lomowner))) AS entry) AS grants,"
            " obj_description(oid, 'pg_largeobject') AS comment"
            " FROM pg_largeobject_metadata WHERE oid > %(oid)s ORDER BY oid LIMIT %(limit)s OFFSET 0) "
            "AS object"
        ),
        {"oid": oid, "limit": limit, "part": LARGE_OBJECT_PART},
    ):
        while size and size % LARGE_OBJECT_PART == 0:
            length, part = rows(
                connection,
                sql.SQL("SELECT length(part), encode(sha256(part), 'hex') FROM lo_get(%s, %s, %s) AS part"),
                [number, size, LARGE_OBJECT_PART],
            )[0]
            if not length:
                break
            size, digest = size + length, f"{digest} {part}"
        found[int(number)] = LargeObject(int(size), digest, owner, grants, comment)
    return found


def all_large_objects(connection: Connection) -> dict[int, LargeObject]:
    """Return every large object with the hash of its content."""
    found: dict[int, LargeObject] = {}
    last = 0
    while more := large_objects_after(connection, last, LARGE_OBJECTS_PER_CHUNK):
        found |= more
        last = max(more)
    return found


def read(
    snapshot: Snapshot,
    pool: ThreadPoolExecutor,
    on_bytes: Callable[[int], None],
    *,
    blocks_per_chunk: int = BLOCKS_PER_CHUNK,
) -> DatabaseContents:
    """Read everything of one side, in parallel.

    Parameters
    ----------
    snapshot
        The side; as many queries run at once as it has connections.
    pool
        Threads to run on.
    on_bytes
        Told how many bytes of tables are read, from several threads.
    blocks_per_chunk
        Tables with more blocks are read in parts of so many.
    """
    tables = tables_of(snapshot.holder)
    hashes = {table.qualified: TableHash(0, 0, 0) for table in tables}

    def work(table: Table, start: int, end: int | None) -> tuple[Table, TableHash]:
        with snapshot.connection() as connection:
            part = hash_chunk(connection, table, start, end)
        on_bytes(table.bytes - start * BLOCK_BYTES if end is None else (end - start) * BLOCK_BYTES)
        return table, part

    def large() -> dict[int, LargeObject]:
        with snapshot.connection() as connection:
            return all_large_objects(connection)

    parts: set[Future[tuple[Table, TableHash]]] = {
        pool.submit(work, table, start, end)
        for table in tables
        for start, end in chunks(snapshot.holder, table, blocks_per_chunk)
    }
    objects = pool.submit(large)
    while parts:
        done, parts = wait(parts, return_when=FIRST_COMPLETED)
        for future in done:
            table, part = future.result()
            hashes[table.qualified] += part
    return DatabaseContents(
        tables=hashes,
        kinds={table.qualified: table.kind for table in tables},
        sequences=sequences_of(snapshot.holder),
        large_objects=objects.result(),
        bytes=sum(table.bytes for table in tables),
    )
