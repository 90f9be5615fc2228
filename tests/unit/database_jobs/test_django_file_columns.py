"""The columns of a Django project that hold paths of files."""

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import django_file_columns
import pytest


class FileField:
    """As much of Django's as the helper looks at; an `ImageField` is one."""

    def __init__(self, column: str, storage: Any) -> None:
        self.column = column
        self.storage = storage


class TextField:
    column = "title"


def model(table: str, *fields: Any, proxy: bool = False) -> Any:
    return SimpleNamespace(_meta=SimpleNamespace(db_table=table, proxy=proxy, local_fields=fields))


def bucket(location: str = "") -> Any:
    return SimpleNamespace(bucket_name="media", location=location)


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A Django project in this process: its models."""
    models: list[Any] = []
    pieces = {
        "django": {"setup": lambda: None},
        "django.apps": {"apps": SimpleNamespace(get_models=lambda include_auto_created: models)},
        "django.db": {},
        "django.db.models": {"FileField": FileField},
    }
    for name, attributes in pieces.items():
        module = ModuleType(name)
        module.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    return models


def test_file_columns_are_printed_with_the_folder_of_their_storage(
    project: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given models with files in S3, in a folder or not, a proxy and a file on a disk
    photo = [FileField("file", bucket("media")), TextField(), FileField("thumbnail", bucket("/media/"))]
    project += [
        model("know_me_photo", *photo),
        model("know_me_photo", *photo, proxy=True),
        model("archive.paper", FileField("scan", bucket())),
        model("know_me_cache", FileField("file", SimpleNamespace(location="/var/cache"))),
    ]
    # When the helper runs
    assert django_file_columns.main() == 0
    # Then it prints what the Terraform variable wants, and tells what it left out
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [
        {"table": "archive.paper", "column": "scan", "prefix": ""},
        {"table": "public.know_me_photo", "column": "file", "prefix": "media/"},
        {"table": "public.know_me_photo", "column": "thumbnail", "prefix": "media/"},
    ]
    assert "public.know_me_cache.file is left out" in printed.err


def test_without_django_the_helper_says_where_to_run_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "django", None)
    assert django_file_columns.main() == 1
    assert "the Python that runs the Django project" in capsys.readouterr().err
