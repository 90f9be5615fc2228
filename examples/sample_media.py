"""Fill the media bucket with objects of every awkward kind, and the database with rows that refer to them.

The same seed makes the same objects and rows. Most objects have a row, some have none; some rows point to
files that are not there, as in every bucket that has lived for years.
"""

import gzip
import hashlib
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import psycopg

from examples.api.media import MEDIA_PREFIX
from examples.sample_texts import sample_texts

MISSING_FILES = 5
"""How many rows of a load point to files that are not there."""

_THREADS = 16
_LARGEST_BYTES = 4096
_LONGEST_PATH = 255
_ROWS = "COPY know_me_photo (owner, file, content_type, sha256) FROM STDIN"


@dataclass(frozen=True)
class SampleObject:
    """One object: its key, its bytes, and the parameters of PutObject that go with them."""

    key: str
    body: bytes
    parameters: Mapping[str, Any] = field(default_factory=dict)
    has_row: bool = True

    @property
    def content_type(self) -> str:
        """What S3 will answer."""
        return str(self.parameters.get("ContentType", "binary/octet-stream"))


@dataclass(frozen=True)
class LoadedMedia:
    """What was put where."""

    objects: int
    bytes: int
    rows: int
    unreferenced: int


# Every key is awkward in its own way: for URLs, for XML, for CSV manifests, for people.
AWKWARD_KEYS = (
    "été 2019/Zoë à la plage.jpg",
    "accent é.txt",
    "accent e\u0301.txt",
    "写真/猫 🐈.png",
    "правда.txt",
    "a b  c.txt",
    " leading and trailing ",
    "1+1=2.txt",
    "100%.txt",
    "100%25.txt",
    "%2Fnot%2Fa%2Ffolder",
    "folder/",
    "double//slash.txt",
    "/begins with a slash",
    "ampersand & <angle> \"quoted\" 'single'.txt",
    "comma, semicolon; colon: equals=.csv",
    "question?mark#hash.txt",
    "back\\slash|pipe^caret`tick~tilde.txt",
    "brackets [1] {2} (3) $4 @5 !6 *7.txt",
    ".hidden",
    "UPPER.TXT",
    "upper.txt",
    "no extension",
    "long/" + "ä" * 480,
)

# Headers, user metadata, tags and storage classes that must arrive as they are.
_TREATMENTS: tuple[dict[str, Any], ...] = (
    {"ContentType": "text/plain; charset=utf-8", "CacheControl": "private, max-age=60"},
    {
        "ContentType": "application/pdf",
        "ContentDisposition": "attachment; filename*=UTF-8''" + quote("Été.pdf"),
        "ContentLanguage": "fr, en",
    },
    {"ContentType": "image/webp", "Expires": "Wed, 21 Oct 2065 07:28:00 GMT"},
    {"Metadata": {"owner": quote("Zoë"), "camera-model": "X 100; f/2", "empty": ""}},
    {"Tagging": urlencode({"purpose": "avatar + cover", "über": "ja/nein", "empty": ""})},
    {
        "Tagging": urlencode({f"tag {number}": f"= {number} @ _.:/" for number in range(10)}),
        "StorageClass": "STANDARD_IA",
    },
    {"StorageClass": "STANDARD_IA", "ContentType": "video/mp4"},
    {},
)


def sample_objects(count: int, large_bytes: int, seed: int = 1) -> Iterator[SampleObject]:
    """Yield the objects of one load.

    Parameters
    ----------
    count
        How many small objects, besides the awkward ones and the large one.
    large_bytes
        Size of the large object; 0 for none.
    seed
        The same seed makes the same objects.
    """
    source = random.Random(f"media/{seed}")  # noqa: S311 - sample data
    folder = f"{MEDIA_PREFIX}sample-{seed}"
    for index, key in enumerate(AWKWARD_KEYS):
        body = b"" if key.endswith("/") else source.randbytes(source.randint(1, _LARGEST_BYTES))
        yield SampleObject(f"{folder}/{key}", body, _TREATMENTS[index % len(_TREATMENTS)])
    yield SampleObject(f"{folder}/empty.bin", b"", {"Metadata": {"why": "nobody knows"}})
    compressed = gzip.compress(b"compressed by the app " * 40, mtime=0)
    headers = {"ContentEncoding": "gzip", "ContentType": "application/json"}
    yield SampleObject(f"{folder}/data.json", compressed, headers)
    if large_bytes:
        film = {"ContentType": "video/mp4", "Metadata": {"title": quote("Første skritt")}}
        tagged = {**film, "Tagging": urlencode({"kind": "film"})}
        yield SampleObject(f"{folder}/films/first steps.mp4", source.randbytes(large_bytes), tagged)
    words = [word for word in sample_texts()["words"] if word.isalpha()]
    for index in range(count):
        # One in fifty has no row: uploads that nobody finished, photos whose owner is gone.
        has_row = index % 50 != 0
        place = "photos" if has_row else "abandoned"
        key = f"{folder}/{place}/{index % 97:02d}/{source.choice(words)} {index}.jpg"
        treatment = {"ContentType": "image/jpeg"} if index % 4 else _TREATMENTS[index % len(_TREATMENTS)]
        yield SampleObject(key, source.randbytes(source.randint(1, _LARGEST_BYTES)), treatment, has_row)


def load(
    s3: Any, bucket: str, connection_string: str, count: int, large_bytes: int, seed: int = 1
) -> LoadedMedia:
    """Put the objects into the bucket and their rows into the database.

    Some objects are written twice and some are deleted again, so that there are noncurrent versions and
    delete markers.

    Parameters
    ----------
    s3
        boto3 client.
    bucket
        The media bucket.
    connection_string
        Of the application role.
    count, large_bytes, seed
        See `sample_objects`.

    Raises
    ------
    ClientError
        S3 refused an object. No row was written.
    """
    objects = list(sample_objects(count, large_bytes, seed))
    former = [SampleObject(item.key, b"an older version") for item in objects[::40]]
    deleted = [SampleObject(f"{MEDIA_PREFIX}sample-{seed}/deleted/{number}", b"x") for number in range(10)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in (former, objects, deleted):
            for _ in pool.map(lambda item: _put(s3, bucket, item), batch):
                pass
        for _ in pool.map(lambda item: s3.delete_object(Bucket=bucket, Key=item.key), deleted):
            pass
    rows = [
        (item.key.removeprefix(MEDIA_PREFIX), item.content_type, hashlib.sha256(item.body).hexdigest())
        for item in objects
        if item.has_row and len(item.key) <= _LONGEST_PATH
    ]
    missing = [
        (f"sample-{seed}/lost/{number}.jpg", "image/jpeg", hashlib.sha256(b"lost").hexdigest())
        for number in range(MISSING_FILES)
    ]
    with closing(psycopg.connect(connection_string)) as connection:
        _write_rows(connection, [*rows, *missing])
    return LoadedMedia(
        objects=len(objects),
        bytes=sum(len(item.body) for item in objects),
        rows=len(rows) + len(missing),
        unreferenced=len(objects) - len(rows),
    )


def _write_rows(connection: psycopg.Connection[Any], rows: list[tuple[str, str, str]]) -> None:
    owners = sample_texts()["first_names"]
    with connection.transaction(), connection.cursor().copy(_ROWS) as copy:
        for index, row in enumerate(rows):
            copy.write_row((owners[index % len(owners)], *row))


def _put(s3: Any, bucket: str, item: SampleObject) -> None:
    s3.put_object(Bucket=bucket, Key=item.key, Body=item.body, **item.parameters)
