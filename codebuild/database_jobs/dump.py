"""Job `dump`: `pg_dump` in directory format with parallel jobs, with what it leaves out, into the run folder.

The dump is also the backup: `manifest.json` names each file with its checksum, `contents.list` is its table
of contents, `cluster.json` holds roles, grants on the database and settings.
"""

import hashlib
import re
import shutil
from collections import defaultdict
from pathlib import Path

from job_support.performance import Figures
from job_support.progress import Progress, now, say
from psycopg import sql
from pydantic import BaseModel

from database_jobs import fence
from database_jobs.client_tools import ClientTools
from database_jobs.connections import Connection, major, rows, value
from database_jobs.context import JobContext, required, threads, watching
from database_jobs.roles import ClusterDescription, Setting, describe, join

FOLDER = "dump"
MANIFEST = f"{FOLDER}/manifest.json"
CLUSTER = f"{FOLDER}/cluster.json"
CONTENTS = f"{FOLDER}/contents.list"
FILES = f"{FOLDER}/files"
TRANSFERS = 4
FINISHED_ITEM = re.compile(r"finished item \d+ TABLE DATA (.+)$")

# Bytes that a dump needs on disk per byte of database: text is larger than the pages, compression makes it
# smaller.
DISK_PER_DATABASE_BYTE = 0.6


class DumpedFile(BaseModel):
    """One file of the dump."""

    name: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """`dump/manifest.json`."""

    version: int = 1
    run_id: str
    dumped_at: str
    instance_id: str
    endpoint: str
    port: int
    database: str
    server_version: int
    client_major: int
    database_bytes: int
    tables: int
    files: list[DumpedFile]


class TableSizes:
    """Bytes of tables that pg_dump says it finished; it tells names without schema."""

    def __init__(self, sizes: list[tuple[str, int]]) -> None:
        self.total = sum(size for _, size in sizes)
        self.finished = 0
        self._sizes: defaultdict[str, list[int]] = defaultdict(list)
        for name, size in sizes:
            self._sizes[name].append(size)

    def finish(self, name: str) -> None:
        """Count a table as finished."""
        if sizes := self._sizes.get(name):
            self.finished += sizes.pop()


def run(context: JobContext) -> Figures:
    """Dump the source and store everything in the run folder.

    Raises
    ------
    JobError
        `DumpFailed`, `ClientToolsTooOld`.
    """
    tools = context.client_tools()
    server = context.source
    directory = context.directory / "dump"
    with server.connect() as connection:
        description = description_before_the_fence(connection, context)
        joined = join(connection, [role.name for role in description.roles])
        if joined:
            say(f"The master user may now act for {', '.join(joined)}: it reads what they own.")
        sizes = TableSizes(table_sizes(connection))
        database_bytes = int(value(connection, sql.SQL("SELECT pg_database_size(current_database())")))
        server_version = connection.info.server_version
        required(
            shutil.disk_usage(context.directory).free > database_bytes * DISK_PER_DATABASE_BYTE,
            "DumpFailed",
            f"The build has {shutil.disk_usage(context.directory).free:,} bytes of disk left, "
            f"the database holds {database_bytes:,}.",
            "Use a larger compute type for the database jobs build.",
        )
        dump_files(context, tools, directory, sizes, connection)
    contents = context.directory / "contents.list"
    tools.run("pg_restore", ["--list", str(directory)], {}, error_name="DumpFailed", output=contents)
    files = store_files(context, directory)
    manifest = Manifest(
        run_id=context.inputs.run_id,
        dumped_at=now(),
        instance_id=server.database.instance_id,
        endpoint=server.database.endpoint,
        port=server.database.port,
        database=server.database.database_name,
        server_version=server_version,
        client_major=tools.major,
        database_bytes=database_bytes,
        tables=len(table_names(contents.read_text())),
        files=files,
    )
    context.folder.upload(contents, CONTENTS, lambda _: None)
    context.folder.write_json(CLUSTER, description.model_dump())
    # Last: a dump with a manifest is a whole one.
    context.folder.write_json(MANIFEST, manifest.model_dump())
    dumped = sum(file.size for file in files)
    say(f"Dumped {manifest.tables} tables, {database_bytes:,} bytes of database into {dumped:,} bytes.")
    return {
        "tables": manifest.tables,
        "files": len(files),
        "database_bytes": database_bytes,
        "dump_bytes": dumped,
        "roles": len(description.roles),
        "client_major": tools.major,
    }


def description_before_the_fence(connection: Connection, context: JobContext) -> ClusterDescription:
    """Describe the cluster as it was before `stop-writers` of this run changed it."""
    description = describe(connection, context.source.database.database_name)
    before = fence.recorded(context.folder)
    return description if before is None else unfenced(description, before)


def unfenced(description: ClusterDescription, before: fence.Fence) -> ClusterDescription:
    """Return the description with the fence taken away."""
    document = description.model_copy(deep=True)
    for role in document.roles:
        role.login = role.login or role.name in before.login_roles
    document.settings = [
        setting
        for setting in document.settings
        if not (setting.role is None and setting.this_database and setting.name == fence.READ_ONLY)
    ]
    if before.read_only_setting is not None:
        document.settings.append(
            Setting(role=None, this_database=True, name=fence.READ_ONLY, value=before.read_only_setting)
        )
    return document


def table_sizes(connection: Connection) -> list[tuple[str, int]]:
    """Return the tables that have data of their own, with their bytes."""
    return [
        (row[0], row[1])
        for row in rows(
            connection,
            sql.SQL(
                "SELECT c.relname, pg_table_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = "
                "c.relnamespace"
                " WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
            ),
        )
    ]


def copying_bytes(connection: Connection) -> int:
    """Return the bytes that the COPY commands of our own sessions moved so far (PostgreSQL 14 and newer
    tell).
    """
    if major(connection) < 14:
        return 0
    return int(
        value(
            connection,
            sql.SQL(
                "SELECT coalesce(sum(bytes_processed), 0) FROM pg_stat_progress_copy WHERE datname = "
                "current_database()"
            ),
        )
    )


def dump_files(
    context: JobContext, tools: ClientTools, directory: Path, sizes: TableSizes, connection: Connection
) -> None:
    """Run pg_dump; progress is the bytes of finished tables and what the running COPY commands have read."""
    progress: Progress = context.progress
    progress.start("dump", sizes.total, "bytes")

    def on_line(line: str) -> None:
        if found := FINISHED_ITEM.search(line):
            sizes.finish(found[1])
        elif "warning:" in line:
            say(line)

    arguments = [
        "--format=directory",
        f"--jobs={context.inputs.workers}",
        "--no-password",
        "--verbose",
        "--no-tablespaces",
        "--no-subscriptions",
        f"--file={directory}",
    ]
    environment = context.source.tool_environment(context.directory)
    with watching(lambda: progress.set(sizes.finished + copying_bytes(connection))):
        tools.run("pg_dump", arguments, environment, error_name="DumpFailed", on_line=on_line)
    progress.finish()


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def store_files(context: JobContext, directory: Path) -> list[DumpedFile]:
    """Upload the dump's files in parallel; return them with their checksums."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    context.progress.start("store the dump", sum(path.stat().st_size for path in paths), "bytes")

    def store(path: Path) -> DumpedFile:
        name = path.relative_to(directory).as_posix()
        context.folder.upload(path, f"{FILES}/{name}", context.progress.add)
        return DumpedFile(name=name, size=path.stat().st_size, sha256=sha256_of(path))

    with threads(TRANSFERS) as pool:
        files = list(pool.map(store, paths))
    context.progress.finish()
    return files


def table_names(contents: str) -> list[str]:
    """Return `schema name` of the tables whose data a table of contents lists."""
    return re.findall(r"^\d+; \d+ \d+ TABLE DATA (.+) \S+$", contents, re.MULTILINE)
