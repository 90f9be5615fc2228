"""The job `list-files`: the key of every file that a row refers to, once each, in the order of S3."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from job_support.errors import JobError
from job_support.performance import Figures
from job_support.progress import say
from psycopg import sql

from database_jobs.connections import Connection, rows
from database_jobs.context import JobContext
from database_jobs.inputs import FileColumn

# Types whose values are paths as they stand; anything else would be a guess.
TEXT_TYPES = ("character varying", "text", "character")


def run(context: JobContext) -> Figures:
    """Write `media/<phase>/files.jsonl.gz`: one JSON string per line.

    Raises
    ------
    JobError
        `DatabaseJobFailed` naming every column that is not there or holds no text.
    """
    columns = context.inputs.file_columns
    path = context.directory / "files.jsonl.gz"
    with context.source.connect(autocommit=False) as connection:
        refuse_unknown(connection, columns)
        files = write_lines(path, keys(connection, columns) if columns else ())
    context.folder.upload(
        path, f"media/{context.inputs.phase}/files.jsonl.gz", content_type="application/gzip"
    )
    say(f"{files:,} files in {len(columns)} columns.")
    return {"files": files, "columns": len(columns)}


def refuse_unknown(connection: Connection, columns: Iterable[FileColumn]) -> None:
    """Raise one `JobError` that names every column that cannot be listed."""
    wrong = []
    for column in columns:
        found = rows(
            connection,
            sql.SQL(
                "SELECT format_type(a.atttypid, NULL) FROM pg_attribute a"
                " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s"
                " AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped"
            ),
            (*column.qualified, column.column),
        )
        name = f"{'.'.join(column.qualified)}.{column.column}"
        if not found:
            wrong.append(f"{name} does not exist")
        elif found[0][0] not in TEXT_TYPES:
            wrong.append(f"{name} is of type {found[0][0]}, not text")
    if wrong:
        raise JobError(
            "DatabaseJobFailed",
            f"The files that rows refer to cannot be listed: {'; '.join(wrong)}.",
            "Correct the Terraform variable media_file_columns (codebuild/django_file_columns.py prints it) "
            "and run provision.",
        )


def query(columns: Iterable[FileColumn]) -> sql.Composed:
    """Return the query of all keys: sorted as bytes, as S3 does, and each once.

    The server sorts, on its own disk when it must: nothing is held here.
    """
    selections = [
        sql.SQL("SELECT {prefix} || {column}::text AS key FROM {table} WHERE {column} <> ''").format(
            prefix=sql.Literal(column.prefix),
            column=sql.Identifier(column.column),
            table=sql.Identifier(*column.qualified),
        )
        for column in columns
    ]
    return sql.SQL(
        'COPY (SELECT DISTINCT key COLLATE "C" AS key FROM ({}) AS every ORDER BY 1) TO STDOUT'
    ).format(sql.SQL(" UNION ALL ").join(selections))


def keys(connection: Connection, columns: Iterable[FileColumn]) -> Iterator[str]:
    """Yield the keys as the server sends them."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL client_encoding = 'UTF8'")
        with cursor.copy(query(columns)) as copy:
            copy.set_types(["text"])
            for (key,) in copy.rows():
                yield key


def write_lines(path: Path, found: Iterable[str]) -> int:
    """Write one JSON string per line, compressed; return how many."""
    with gzip.open(path, "wt", encoding="utf-8", newline="\n") as lines:
        return sum(1 for key in found if lines.write(json.dumps(key, ensure_ascii=False) + "\n"))
