"""Dump, restore and verify against what people do by hand: `pg_dump | psql`, and counting rows.

`python -m bench [--rows 400000] [--workers 4]` starts two PostgreSQL clusters, fills one, moves it both ways
and prints a table. The jobs' times are those of whole processes: interpreter, TLS, secrets, S3 (an in-memory
one) and checksums included.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.table import Table

from tests.local.database_jobs.clusters import ADDRESS, MASTER, Authority, Cluster
from tests.local.database_jobs.conftest import BUCKET, DATABASE, Run, application_secret, generation

FILL = """
CREATE TABLE journal (id bigint PRIMARY KEY, author int, at timestamptz, text text, tags text[]);
INSERT INTO journal SELECT n, n % 1000, now() - n * interval '1 s', repeat(md5(n::text), 8), ARRAY[n::text]
FROM generate_series(1, {rows}) AS n;
CREATE INDEX ON journal (author);
CREATE INDEX ON journal (at);
CREATE TABLE photo (id bigint PRIMARY KEY, journal bigint REFERENCES journal, bytes bytea);
INSERT INTO photo SELECT n, n, decode(md5(n::text), 'hex') FROM generate_series(1, {rows}) AS n;
CREATE INDEX ON photo (journal);
CREATE VIEW counted AS SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM photo) AS photos;
"""


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work took."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def piped(blue: Cluster, green: Cluster) -> None:
    """Do what people do by hand."""
    environments = [
        {
            "PATH": os.environ["PATH"],
            "PGHOST": ADDRESS,
            "PGPORT": str(cluster.port),
            "PGUSER": MASTER,
            "PGPASSWORD": cluster.password,
            "PGSSLMODE": "require",
        }
        for cluster in (blue, green)
    ]
    with subprocess.Popen(["pg_dump", DATABASE], env=environments[0], stdout=subprocess.PIPE) as dump:
        arguments = [
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--output=/dev/null",
            "--set=ON_ERROR_STOP=1",
            "by_hand",
        ]
        subprocess.run(arguments, env=environments[1], stdin=dump.stdout, check=True)
    if dump.returncode:
        raise RuntimeError("pg_dump failed")


def counted(blue: Cluster, green: Cluster) -> None:
    """Compare as people do by hand: rows only."""
    counts = []
    for cluster, database in ((blue, DATABASE), (green, "by_hand")):
        with cluster.master(database) as connection:
            counts.append(connection.execute("TABLE counted").fetchone())
    assert counts[0] == counts[1]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="rows in each of two tables")
    parser.add_argument("--workers", type=int, default=4, help="parallel jobs")
    options = parser.parse_args()
    server = ThreadedMotoServer(ip_address=ADDRESS, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    os.environ.update(environment)
    clusters: list[Cluster] = []
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(Path(directory))
        try:
            blue, green = (Cluster(name, authority) for name in ("blue", "green"))
            clusters += [blue, green]
            boto3.client("s3").create_bucket(Bucket=BUCKET)
            secret = application_secret()
            run = Run(
                environment,
                authority,
                generation("blue", blue, DATABASE, secret),
                generation("green", green, DATABASE, secret),
            )
            Run(environment, authority, {}, run.source).job("prepare-role")
            run.job("prepare-role")
            with blue.master(DATABASE) as connection:
                for statement in FILL.format(rows=options.rows).strip().split(";\n"):
                    connection.execute(statement.rstrip(";"))  # type: ignore[call-overload]
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            with green.master("postgres") as connection:
                connection.execute("CREATE DATABASE by_hand")
            workers = f"--workers={options.workers}"
            seconds = {
                "pg_dump | psql": timed(lambda: piped(blue, green)),
                "count(*) of each table": timed(lambda: counted(blue, green)),
                "job dump": timed(lambda: run.job("dump", workers)),
                "job restore": timed(lambda: run.job("restore", workers)),
                "job verify (content, schema, everything)": timed(lambda: run.job("verify", workers)),
            }
        finally:
            for cluster in clusters:
                cluster.stop()
            server.stop()
    size = row[0] / 2**20 if row else 0.0
    table = Table(
        "what",
        "seconds",
        "MiB/s",
        title=f"{size:.0f} MiB, {2 * options.rows:,} rows, {options.workers} workers",
    )
    for name, taken in seconds.items():
        table.add_row(name, f"{taken:.1f}", f"{size / taken:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
