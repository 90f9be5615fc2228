"""``python -m examples.reconcile``: compare the promises of the API with the rows of a database."""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from examples.api.resources import RESOURCES, Resource, content_hash, representation
from examples.database_access import DatabaseAccessError, connection_string_of_secret
from examples.http_requests import RequestFailedError
from examples.journal import JournalError, read_journal
from examples.reconcile_photos import PhotoReconciliation, reconcile_photos

_BATCH = 5000
_SHOWN = 20


@dataclass
class Reconciliation:
    """How log and database compare.

    `missing`, `different` and `unexplained` are faults: a promise that is not kept, one that is kept with
    another content, and a row of a writer that the log has never heard of.
    """

    acknowledged: int = 0
    kept: int = 0
    unanswered: int = 0
    unanswered_kept: int = 0
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every promise is kept and nothing else is there."""
        return not (self.missing or self.different or self.unexplained)

    def summary(self) -> str:
        """Return one line for a person."""
        verdict = "agree" if self.agrees else "DISAGREE"
        return (
            f"Log and database {verdict}: {self.acknowledged} writes acknowledged, {self.kept} found, "
            f"{len(self.missing)} missing, {len(self.different)} different, "
            f"{len(self.unexplained)} unexplained. Of {self.unanswered} writes without an answer, "
            f"{self.unanswered_kept} were kept."
        )


def reconcile(journal: Iterable[dict[str, Any]], connection: psycopg.Connection[Any]) -> Reconciliation:
    """Compare a log of writes with a database.

    Parameters
    ----------
    journal
        Records of `examples.journal`.
    connection
        To the database that should hold the rows.
    """
    result = Reconciliation()
    promised: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    unanswered: dict[str, set[str]] = defaultdict(set)
    for record in journal:
        if record["outcome"] == "acknowledged":
            promised[record["resource"]][record["reference"]] = record
        else:
            unanswered[record["resource"]].add(record["reference"])
    writers = [record["id"] for record in promised["users"].values()]
    for path, resource in RESOURCES.items():
        result.acknowledged += len(promised[path])
        result.unanswered += len(unanswered[path])
        rows = {
            row["reference"]: row for row in _rows(connection, resource, [*promised[path], *unanswered[path]])
        }
        result.unanswered_kept += len(rows.keys() & unanswered[path])
        for reference, record in promised[path].items():
            name = f"{path} {record['id']} ({reference})"
            if reference not in rows:
                result.missing.append(name)
            elif content_hash(rows[reference]) != record["hash"]:
                result.different.append(name)
            else:
                result.kept += 1
        if "user_id" in resource.columns:
            known = promised[path].keys() | unanswered[path]
            result.unexplained += [
                f"{path} ({name})" for name in _written_by(connection, resource, writers) if name not in known
            ]
    return result


def _rows(
    connection: psycopg.Connection[Any], resource: Resource, references: list[str]
) -> Iterator[dict[str, Any]]:
    query = sql.SQL("SELECT id, {} FROM {} WHERE reference = ANY(%s::uuid[])").format(
        sql.SQL(", ").join(map(sql.Identifier, resource.columns)), sql.Identifier(resource.table)
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        for start in range(0, len(references), _BATCH):
            for row in cursor.execute(query, [references[start : start + _BATCH]]):
                yield representation(row)


def _written_by(connection: psycopg.Connection[Any], resource: Resource, users: list[int]) -> Iterator[str]:
    query = sql.SQL("SELECT reference FROM {} WHERE user_id = ANY(%s)").format(sql.Identifier(resource.table))
    for (reference,) in connection.execute(query, [users]):
        yield str(reference)


def main(arguments: list[str] | None = None) -> int:
    """Compare and print; exit code 0: they agree, 1: they do not, 2: one of them cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.reconcile",
        description="Compare the log of acknowledged writes with a database, row for row.",
    )
    parser.add_argument("--log", type=Path, default=Path("build/writes.jsonl"), help="default: %(default)s")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--secret", help="name or ARN of the Secrets Manager secret of the application role")
    where.add_argument(
        "--dsn-variable", metavar="NAME", help="environment variable with a libpq connection string"
    )
    parser.add_argument(
        "--api", metavar="URL", help="of the load balancer: read every acknowledged photo too, byte for byte"
    )
    options = parser.parse_args(arguments)
    photos = PhotoReconciliation()
    try:
        if options.secret:
            dsn = connection_string_of_secret(options.secret)
        else:
            dsn = os.environ.get(options.dsn_variable) or parser.error(f"{options.dsn_variable} is not set")
        with closing(psycopg.connect(dsn)) as connection:
            result = reconcile(read_journal(options.log), connection)
        if options.api:
            photos = reconcile_photos(read_journal(options.log), options.api)
    except (JournalError, DatabaseAccessError, RequestFailedError, psycopg.Error) as error:
        print(f"Nothing was compared: {str(error).strip()}", file=sys.stderr)
        return 2
    print(result.summary())
    if options.api:
        print(photos.summary())
    faults = {
        "missing": result.missing,
        "different": [*result.different, *photos.different],
        "unexplained": result.unexplained,
        "lost": photos.lost,
    }
    for kind, names in faults.items():
        for name in names[:_SHOWN]:
            print(f"{kind}: {name}")
        if len(names) > _SHOWN:
            print(f"{kind}: and {len(names) - _SHOWN} more")
    return 0 if result.agrees and photos.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
