"""The options of the job that lists the files of rows."""

import json

import pytest
from database_jobs.command_line import parse_inputs

from tests.unit.database_jobs.test_inputs import options

COLUMNS = [{"table": "know_me_photo", "column": "file", "prefix": "media/"}]


def test_table_without_schema_is_looked_for_in_public() -> None:
    inputs = parse_inputs(options("list-files", phase="ahead", file_columns=json.dumps(COLUMNS)))
    assert inputs.file_columns[0].qualified == ("public", "know_me_photo")


def test_every_fault_of_the_columns_is_told_at_once() -> None:
    columns = [{"table": "", "column": "file"}, {"table": "t", "field": "f"}]
    with pytest.raises(ValueError, match="The options are wrong") as refusal:
        parse_inputs(options("list-files", file_columns=json.dumps(columns)))
    for fault in ("phase: ", "file_columns.0.table", "file_columns.1.column", "file_columns.1.field"):
        assert fault in str(refusal.value)
