"""The sample objects are awkward in every way that a bucket can be."""

import unicodedata
from collections import Counter

from examples.sample_media import SampleObject, sample_objects


def objects(count: int = 200, large: int = 100) -> list[SampleObject]:
    return list(sample_objects(count, large))


def test_the_same_seed_makes_the_same_objects() -> None:
    assert objects() == objects()
    assert objects() != list(sample_objects(200, 100, seed=2))


def test_keys_are_unique_and_fit_into_s3() -> None:
    keys = [item.key for item in objects()]
    assert len(set(keys)) == len(keys)
    assert max(len(key.encode()) for key in keys) in range(900, 1025)
    # Two keys that look the same and are not.
    assert len({unicodedata.normalize("NFC", key) for key in keys}) == len(keys) - 1


def test_every_awkward_kind_is_there() -> None:
    made = objects()
    keys = "".join(item.key for item in made)
    assert all(mark in keys for mark in " +%&<>\"',;:=?#\\|{}[]é写🐈")
    assert any(item.key.endswith("/") and not item.body for item in made)
    assert any(not item.body and not item.key.endswith("/") for item in made)
    names = Counter(name for item in made for name in item.parameters)
    assert {
        "ContentType",
        "CacheControl",
        "ContentDisposition",
        "ContentEncoding",
        "ContentLanguage",
        "Expires",
        "Metadata",
        "Tagging",
        "StorageClass",
    } <= names.keys()


def test_most_objects_have_a_row_and_some_have_none() -> None:
    made = objects()
    without = sum(not item.has_row for item in made)
    assert 0 < without < len(made) / 10


def test_one_object_is_large_when_asked_for() -> None:
    assert max(len(item.body) for item in objects(large=50_000)) == 50_000
    assert len(objects(large=0)) == len(objects()) - 1
