"""The files that rows refer to: each once, in the order of S3 listings, whatever their names."""

import gzip
import json
from collections.abc import Iterator

import boto3
import psycopg
import pytest

from tests.local.database_jobs.clusters import Cluster
from tests.local.database_jobs.conftest import BUCKET, DATABASE, Run

AWKWARD = [
    "photos/a b+c%20d.jpg",
    "photos/line\nbreak\ttab\\N.jpg",
    "photos/e\u0301 decomposed.jpg",
    "photos/\u00e9 composed.jpg",
    "photos/\U0001f4f7.jpg",
    "photos/\ufb01 ligature.jpg",
    'photos/"quoted".jpg',
    "photos/Z.jpg",
    "photos/a.jpg",
    "photos/folder/",
]


@pytest.fixture
def rows(run: Run, blue: Cluster) -> Iterator[psycopg.Connection]:
    """Two tables with columns of paths, one of them with an awkward name."""
    Run(run.environment, run.authority, {}, run.source).job("prepare-role")
    with blue.master(DATABASE) as connection:
        connection.execute(
            "DROP TABLE IF EXISTS photo;"
            'CREATE TABLE photo (id serial, file varchar(200), "Thumb;nail" text, size int)'
        )
        yield connection
        connection.execute("DROP TABLE photo")


def listed(run: Run, *columns: dict[str, str], phase: str = "ahead") -> list[str]:
    run.job("list-files", f"--phase={phase}", f"--file-columns={json.dumps(columns)}")
    key = f"{run.prefix}/media/{phase}/files.jsonl.gz"
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return [json.loads(line) for line in gzip.decompress(body).decode().split("\n")[:-1]]


def test_keys_are_listed_once_each_in_the_order_of_utf8(run: Run, rows: psycopg.Connection) -> None:
    # Given rows whose paths are awkward, some twice, some empty
    for name in (*AWKWARD, "photos/a.jpg", "", None):
        rows.execute('INSERT INTO photo (file, "Thumb;nail") VALUES (%s, %s)', (name, name))
    # When the files of two columns are listed, one with a prefix
    keys = listed(
        run,
        {"table": "public.photo", "column": "file", "prefix": "media/"},
        {"table": "photo", "column": "Thumb;nail", "prefix": "media/"},
        phase="final",
    )
    # Then each is there once, byte for byte, sorted as S3 sorts
    assert keys == sorted({f"media/{name}" for name in AWKWARD}, key=str.encode)


def test_no_columns_make_an_empty_list(run: Run, rows: psycopg.Connection) -> None:
    assert listed(run) == []


def test_every_column_that_cannot_be_listed_is_named_at_once(run: Run, rows: psycopg.Connection) -> None:
    columns = [
        {"table": "public.photo", "column": "gone"},
        {"table": "archive.photo", "column": "file"},
        {"table": "public.photo", "column": "size"},
    ]
    run.job("list-files", "--phase=ahead", f"--file-columns={json.dumps(columns)}", expect=1)
    error = run.document("jobs/list-files.json")["error"]
    assert "public.photo.gone does not exist" in error["cause"]
    assert "archive.photo.file does not exist" in error["cause"]
    assert "public.photo.size is of type integer" in error["cause"]
    assert "media_file_columns" in error["remedy"]
