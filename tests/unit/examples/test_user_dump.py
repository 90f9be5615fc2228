"""Splitting and filtering an SQL file that was written for psql on another server."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.user_dump import MetaCommand, Statement, UserDumpError, check, parse, reason_to_leave_out


def texts(script: str) -> list[str]:
    return [item.text for item in parse(iter(script.splitlines(keepends=True)))]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 'a;b'",
        "SELECT 'it''s; fine'",
        "SELECT E'a\\';b'",
        "SELECT E'a\\\\'",
        'SELECT ";" FROM "a;""b"',
        "DO $$ BEGIN PERFORM 1; END $$",
        "CREATE FUNCTION f() RETURNS int AS $body$ SELECT ';$$;' $body$ LANGUAGE sql",
        "SELECT 1 /* a; /* nested; */ b; */ + 1",
        "SELECT 1 -- a; b\n + 1",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        "SELECT '\n;\n'",
        "SELECT a[1]",
    ],
)
def test_a_semicolon_inside_does_not_end_a_statement(statement: str) -> None:
    assert texts(f"{statement};\nSELECT 2;\n") == [statement, "SELECT 2"]


def test_copy_data_is_not_read_as_commands() -> None:
    script = "COPY t (a) FROM stdin;\n\\c\n'\n;\n\\.\nSELECT 1;\n"
    items = parse(iter(script.splitlines(keepends=True)))
    copy = next(items)
    assert isinstance(copy, Statement)
    assert copy.data is not None
    assert list(copy.data) == ["\\c\n", "'\n", ";\n"]
    assert [item.text for item in items] == ["SELECT 1"]


def test_statements_and_commands_know_their_line() -> None:
    script = "-- one\n\n/* three */ SELECT\n4;\n\\connect other\nSELECT 6"
    items = list(parse(iter(script.splitlines(keepends=True))))
    assert [(type(item), item.line) for item in items] == [(Statement, 3), (MetaCommand, 5), (Statement, 6)]


@pytest.mark.parametrize(
    "line",
    [
        "DROP DATABASE IF EXISTS chinook;",
        "create database chinook;",
        "\\c chinook;",
        "\\connect -reuse-previous=on \"dbname='x'\"",
        "\\restrict abc",
        "ALTER TABLE public.album OWNER TO postgres;",
        "GRANT ALL ON TABLE a TO b;",
        "CREATE ROLE someone LOGIN;",
        "COMMENT ON EXTENSION hstore IS 'x';",
        "SET transaction_timeout = 0;",
        "BEGIN;",
        "commit;",
    ],
)
def test_what_belongs_to_the_old_server_is_left_out(line: str) -> None:
    (item,) = parse(iter([line]))
    assert reason_to_leave_out(item) is not None


@pytest.mark.parametrize(
    "line",
    [
        "CREATE TABLE database (owner text);",
        "SET statement_timeout = 0;",
        "ALTER TABLE a ADD COLUMN owner text;",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER s;",
        "CREATE SCHEMA publications;",
        "INSERT INTO t VALUES ('GRANT');",
        "CREATE EXTENSION hstore;",
    ],
)
def test_everything_else_is_run(line: str) -> None:
    (item,) = parse(iter([line]))
    assert reason_to_leave_out(item) is None


def test_every_command_that_only_psql_can_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    path.write_text("\\i other.sql\nSELECT 1;\nSELECT 'x' \\gexec\n\\! rm -rf /\n\\c ok\n")
    with pytest.raises(UserDumpError) as caught:
        check(path)
    message = str(caught.value)
    assert all(part in message for part in ("line 1: \\i", "line 3: \\gexec", "line 4: \\!"))
    assert "line 5" not in message


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"PGDMP\x01", "pg_restore"), (b"SELECT '\xff';", "UTF-8"), (b"SELECT 'a", "closed")],
)
def test_what_is_not_sql_text_is_refused(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.sql"
    path.write_bytes(content)
    with pytest.raises(UserDumpError, match=word):
        check(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserDumpError, match="cannot be read"):
        check(tmp_path / "none.sql")


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"])), min_size=1, max_size=5))
def test_any_text_in_quotes_survives(values: list[str]) -> None:
    # Given statements whose strings hold anything
    statements = ["SELECT '" + value.replace("'", "''") + "'" for value in values]
    # Then each comes back as it was
    assert texts(";\n".join(statements) + ";\n") == statements
