"""Load an SQL file of the user's own into the database of an environment.

The file was written for another server: it may create and connect to a database, name owners and roles that
do not exist here, and hold commands that only psql understands. What belongs to the old server is left out
and counted by reason; what cannot be done is refused, with every place at once, before the database is
touched. Everything else runs as the application role in one transaction: all of it is there, or nothing is.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

_OWN_DATABASE = "the environment has a database of its own"
_OWN_ROLES = "roles, owners and rights belong to the old server"
_ONE_TRANSACTION = "the whole file is one transaction"
_PRESENT = "every database has it"
_SETTINGS = "settings of the old server"

# What is left out, and why. Matched against the statement without comments, in single spaces.
_LEFT_OUT: tuple[tuple[str, str], ...] = (
    (r"(CREATE|DROP|ALTER) DATABASE\b", _OWN_DATABASE),
    (r"COMMENT ON DATABASE\b", _OWN_DATABASE),
    (r"(CREATE|DROP|ALTER) (ROLE|GROUP|TABLESPACE)\b", _OWN_ROLES),
    (r"(CREATE|DROP|ALTER) USER (?!MAPPING\b)", _OWN_ROLES),
    (r"ALTER .* OWNER TO [^ ]+$", _OWN_ROLES),
    (r"ALTER DEFAULT PRIVILEGES\b", _OWN_ROLES),
    (r"(GRANT|REVOKE)\b", _OWN_ROLES),
    (r"(SET|RESET) (SESSION AUTHORIZATION|ROLE)\b", _OWN_ROLES),
    (r"(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT)( (WORK|TRANSACTION))?$", _ONE_TRANSACTION),
    (r"CREATE SCHEMA (IF NOT EXISTS )?\"?public\"?\b", _PRESENT),
    (r"DROP SCHEMA (IF EXISTS )?\"?public\"?\b", _PRESENT),
    (r"COMMENT ON (SCHEMA \"?public\"?|EXTENSION)\b", _PRESENT),
    (r"(CREATE|DROP) EXTENSION (IF (NOT )?EXISTS )?plpgsql\b", _PRESENT),
    (r"SET (SESSION )?(transaction_timeout|default_tablespace)\b", _SETTINGS),
    (r"ALTER SYSTEM\b", _SETTINGS),
    (r"(VACUUM|CHECKPOINT)\b", _SETTINGS),
)
_LEFT_OUT_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in _LEFT_OUT)

_META_LEFT_OUT = {
    **dict.fromkeys(("\\c", "\\connect"), _OWN_DATABASE),
    **dict.fromkeys(
        (
            "\\restrict",
            "\\unrestrict",
            "\\echo",
            "\\qecho",
            "\\set",
            "\\timing",
            "\\pset",
            "\\encoding",
            "\\conninfo",
        ),
        "it speaks to psql only",
    ),
}

_COPY = re.compile(r"COPY .* FROM STDIN\b", re.IGNORECASE)
_ROUTINE = re.compile(r"\s*CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<line_comment>--[^\n]*) | (?P<block_comment>/\*) | (?P<escape_string>\b[eE]') | (?P<string>')
      | (?P<name>")
      | (?P<dollar>(?<![\w$])\$(?:[^\W\d]\w*)?\$) | (?P<open>[(\[]) | (?P<close>[)\]]) | (?P<end>;)
      | (?P<meta>\\\S*)
      | \b(?P<word>BEGIN|CASE|END)\b""",
    re.VERBOSE | re.IGNORECASE,
)
# Enough of a statement to see that it creates a routine.
_HEAD_CHARACTERS = 200
_BLOCK_COMMENT_EDGE = re.compile(r"/\*|\*/")
_CLOSINGS = {
    "string": re.compile(r"'"),
    "name": re.compile(r'"'),
    "escape_string": re.compile(r"(?<!\\)(?:\\\\)*'"),
}
_BINARY_SIGNATURES = {
    b"PGDMP": "a custom-format dump",
    b"\x1f\x8b": "compressed",
    b"\x28\xb5\x2f\xfd": "compressed",
}


# duplicate_table, duplicate_object, duplicate_function, duplicate_schema, unique_violation
_EXISTS = ("42P07", "42710", "42723", "42P06", "23505")


class UserDumpError(Exception):
    """The file cannot be loaded; the message says where and why, and what to do."""


@dataclass
class Statement:
    """One SQL statement, and the data that follows it when it is ``COPY … FROM stdin``."""

    line: int
    text: str
    plain: str
    data: Iterator[str] | None = None


@dataclass(frozen=True)
class MetaCommand:
    """A line for psql, for example ``\\connect``."""

    line: int
    text: str


@dataclass
class Loaded:
    """What was done with a file."""

    statements: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def parse(lines: Iterator[str]) -> Iterator[Statement | MetaCommand]:
    """Split a file for psql into statements and meta-commands.

    Follows psql's lexer: strings, quoted names, dollar quotes, nested comments, parentheses and
    ``BEGIN ATOMIC`` bodies do not end a statement, and data after ``COPY … FROM stdin`` reaches to a line
    ``\\.``.

    Parameters
    ----------
    lines
        With their line ends. The data of a `Statement` comes from the same lines: consume it first.
    """
    parser = _Parser()
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        for item in parser.feed(number, line):
            if isinstance(item, Statement) and _COPY.match(item.plain):
                item.data = _copy_data(numbered)
                yield item
                # A caller that did not want the data leaves it to us.
                for _ in item.data:
                    pass
            else:
                yield item
    yield from parser.finish()


def _copy_data(numbered: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in numbered:
        if line.rstrip("\r\n") == "\\.":
            return
        yield line


class _Parser:
    """The state between two lines."""

    def __init__(self) -> None:
        self._reset(0)
        self._comment_depth = 0
        self._closing: re.Pattern[str] | None = None

    def _reset(self, line: int) -> None:
        self._line = line
        self._text: list[str] = []
        self._plain: list[str] = []
        self._begun = False
        self._head = ""
        self._brackets = 0
        self._bodies = 0

    def feed(self, number: int, line: str) -> Iterator[Statement | MetaCommand]:
        position = 0
        while position < len(line):
            if self._comment_depth:
                position = self._skip_comment(line, position)
            elif self._closing:
                position = self._skip_quoted(line, position)
            else:
                token = _TOKEN.search(line, position)
                before = line[position : token.start() if token else len(line)]
                if before.strip() and not self._is_begun():
                    self._line = number
                self._keep(before)
                if token is None:
                    break
                position = token.end()
                if token.lastgroup == "meta":
                    yield MetaCommand(number, line[token.start() :].strip())
                    break
                if token.lastgroup == "end" and self._brackets <= 0 and not self._bodies:
                    if self._is_begun():
                        yield self._statement()
                    self._reset(number)
                else:
                    self._take(token, number)

    def finish(self) -> Iterator[Statement]:
        """Yield the last statement when its semicolon is missing, as psql runs it too."""
        if self._closing or self._comment_depth:
            raise UserDumpError(f"A quote or comment in the statement of line {self._line} is never closed.")
        if self._is_begun():
            yield self._statement()

    def _is_begun(self) -> bool:
        return self._begun

    def _statement(self) -> Statement:
        return Statement(self._line, "".join(self._text).strip(), " ".join("".join(self._plain).split()))

    def _keep(self, text: str) -> None:
        self._text.append(text)
        self._plain.append(text)
        self._begun = self._begun or bool(text.strip())
        if len(self._head) < _HEAD_CHARACTERS:
            self._head += text

    def _take(self, token: re.Match[str], number: int) -> None:
        kind, text = token.lastgroup, token.group()
        if kind == "line_comment":
            self._text.append(text)
            return
        if kind == "block_comment":
            self._text.append(text)
            self._comment_depth = 1
            return
        if not self._is_begun():
            self._line = number
        self._keep(text)
        if kind == "dollar":
            self._closing = re.compile(re.escape(text))
        elif kind in _CLOSINGS:
            self._closing = _CLOSINGS[kind]
        elif kind == "open":
            self._brackets += 1
        elif kind == "close":
            self._brackets -= 1
        elif kind == "word" and _ROUTINE.match(self._head):
            inner = 1 if self._bodies else 0
            self._bodies += {"BEGIN": 1, "CASE": inner, "END": -inner}[text.upper()]

    def _skip_comment(self, line: str, position: int) -> int:
        edge = _BLOCK_COMMENT_EDGE.search(line, position)
        end = edge.end() if edge else len(line)
        if edge:
            self._comment_depth += 1 if edge.group() == "/*" else -1
        self._text.append(line[position:end])
        return end

    def _skip_quoted(self, line: str, position: int) -> int:
        closing = self._closing.search(line, position) if self._closing else None
        end = closing.end() if closing else len(line)
        if closing:
            self._closing = None
        self._keep(line[position:end])
        return end


def reason_to_leave_out(item: Statement | MetaCommand) -> str | None:
    """Return why an item of the file is left out, or None when it is run."""
    if isinstance(item, MetaCommand):
        return _META_LEFT_OUT.get(item.text.split()[0].rstrip(";"))
    return next((reason for pattern, reason in _LEFT_OUT_PATTERNS if pattern.match(item.plain)), None)


def check(path: Path) -> None:
    """Read the whole file once, and refuse it when it cannot be loaded.

    Raises
    ------
    UserDumpError
        The file is not readable, is not SQL text, or holds psql commands that cannot be left out.
    """
    try:
        with path.open("rb") as file:
            start = file.read(5)
    except OSError as error:
        raise UserDumpError(f"{path} cannot be read: {error.strerror}.") from error
    for signature, kind in _BINARY_SIGNATURES.items():
        if start.startswith(signature):
            raise UserDumpError(
                f"{path} is {kind}, not SQL text. Make it text: pg_restore --file, or gunzip."
            )
    refused = [
        f"  line {item.line}: {item.text}"
        for item in _items(path)
        if isinstance(item, MetaCommand) and reason_to_leave_out(item) is None
    ]
    if refused:
        raise UserDumpError(
            f"{path} has commands that only psql can run; take them out:\n" + "\n".join(refused)
        )


def load(path: Path, connection: psycopg.Connection[Any]) -> Loaded:
    """Run the file in one transaction.

    Raises
    ------
    UserDumpError
        The database refused a statement; the message names its line. Nothing is left of the file.
    """
    check(path)
    loaded = Loaded()
    with connection.transaction():
        for item in _items(path):
            reason = reason_to_leave_out(item)
            if reason is not None:
                loaded.left_out[reason] += 1
            elif isinstance(item, Statement):
                _run(item, connection)
                loaded.statements += 1
        # The file may have changed the settings of this session, pg_dump always empties the search path.
        connection.execute("RESET ALL")
    return loaded


def _items(path: Path) -> Iterator[Statement | MetaCommand]:
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield from parse(iter(file))
    except UnicodeDecodeError as error:
        raise UserDumpError(f"{path} is not UTF-8 ({error}). Convert it: iconv --to-code=UTF-8.") from error


def _run(statement: Statement, connection: psycopg.Connection[Any]) -> None:
    try:
        if statement.data is None:
            connection.execute(statement.text.encode())
            return
        with connection.cursor().copy(statement.text.encode()) as copy:
            for line in statement.data:
                copy.write(line)
    except psycopg.Error as error:
        exists = error.sqlstate in _EXISTS
        remedy = " It is there already: start with --fresh for an empty environment." if exists else ""
        raise UserDumpError(
            f"The database refused the statement in line {statement.line}: {str(error).strip()}.{remedy} "
            f"Nothing of the file was kept. The statement begins: {statement.plain[:120]}"
        ) from error
