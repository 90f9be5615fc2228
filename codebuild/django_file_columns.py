"""Print the columns that hold paths of files, as the Terraform variable `media_file_columns` wants them.

Run it where the Django project can be imported:

    DJANGO_SETTINGS_MODULE=know_me.settings python django_file_columns.py

Every `FileField` (and so every `ImageField`) of every model counts, once per table. The prefix is the folder
of the field's storage in the bucket (`location` of django-storages' S3 storage). A storage that is not in S3,
such as a `FileSystemStorage`, has no folder there: its columns are left out and told on standard error.
"""

import importlib
import json
import sys
from collections.abc import Iterable
from typing import Any


def prefix_of(storage: Any) -> str | None:
    """Return what S3 keys have before the stored path; None when the storage is not a bucket."""
    # `default_storage` and others are lazy objects: attributes reach the real one.
    if not hasattr(storage, "bucket_name"):
        return None
    location = str(getattr(storage, "location", "") or "").strip("/")
    return f"{location}/" if location else ""


def file_columns(models: Iterable[Any], file_field: type[Any]) -> tuple[list[dict[str, str]], list[str]]:
    """Return the columns, sorted and once each, and the names of those that are not in S3.

    Parameters
    ----------
    models
        Django's model classes; proxies and models without a table of ours are passed over.
    file_field
        `django.db.models.FileField`.
    """
    columns: dict[tuple[str, str], str] = {}
    elsewhere: set[str] = set()
    for model in models:
        if model._meta.proxy:
            continue
        for field in model._meta.local_fields:
            if not isinstance(field, file_field):
                continue
            table: str = model._meta.db_table
            table = table if "." in table else f"public.{table}"
            prefix = prefix_of(field.storage)
            if prefix is None:
                elsewhere.add(f"{table}.{field.column}")
            else:
                columns[table, field.column] = prefix
    found = [
        {"table": table, "column": column, "prefix": prefix}
        for (table, column), prefix in sorted(columns.items())
    ]
    return found, sorted(elsewhere)


def main() -> int:
    """Print the JSON document; return the exit code."""
    try:
        django, apps, models = (
            importlib.import_module(f"django{part}") for part in ("", ".apps", ".db.models")
        )
    except ImportError as error:
        sys.stderr.write(f"{error}. Run this with the Python that runs the Django project.\n")
        return 1
    django.setup()
    found = apps.apps.get_models(include_auto_created=True)
    columns, elsewhere = file_columns(found, models.FileField)
    for name in elsewhere:
        sys.stderr.write(f"{name} is left out: its storage has no bucket.\n")
    sys.stdout.write(json.dumps(columns, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
