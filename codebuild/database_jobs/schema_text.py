"""The schema as pg_dump writes it, one entry per object.

So that two databases can be compared and differences named.
"""

import re
from dataclasses import dataclass

HEADER = re.compile(
    r"^--\n-- (?:Data for )?Name: (?P<name>.*?); Type: (?P<kind>[A-Z ]+?); Schema: (?P<schema>.*?); "
    r"Owner: (?P<owner>.*?)"
    r"(?:; Tablespace: .*)?\n--\n",
    re.MULTILINE,
)
# pg_dump's settings between entries and its guard against scripts in dumps; neither belongs to an object.
NOISE = re.compile(
    r"^(?:SET default_table(?:space|_access_method) = .*;|\\(?:un)?restrict .*|-- PostgreSQL database "
    r"dump complete|--)$",
    re.MULTILINE,
)
UNORDERED = ("ACL", "DEFAULT ACL")
QUALIFIER = re.compile(r'(?:"[^"]+"|[A-Za-z_][\w$]*)\.')
SPACE_AND_PARENTHESES = re.compile(r"[\s()]+")


@dataclass(frozen=True)
class SchemaObject:
    """One entry of a schema dump."""

    kind: str
    name: str
    owner: str
    text: str


def objects(script: str) -> dict[tuple[str, str], SchemaObject]:
    """Return the entries of `pg_dump --schema-only` by kind and qualified name; equal keys are joined.

    The order of grants is history, not meaning: their lines are sorted.
    """
    found: dict[tuple[str, str], SchemaObject] = {}
    headers = list(HEADER.finditer(script))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        text = script[header.end() : following.start() if following else len(script)]
        lines = [line.rstrip() for line in NOISE.sub("", text).strip().splitlines() if line.strip()]
        kind, schema = header["kind"], header["schema"]
        if kind in UNORDERED:
            lines.sort()
        name = header["name"] if schema == "-" else f"{schema}.{header['name']}"
        key = (kind.lower(), name)
        joined = [found[key].text] if key in found else []
        text = "\n".join([*joined, "\n".join(lines)])
        if joined:
            text = "\n".join(sorted(text.splitlines()))
        found[key] = SchemaObject(kind.lower(), name, header["owner"], text)
    return found


def respelled(one: str, other: str) -> bool:
    """Return whether two texts differ only in what server versions write differently.

    Qualifiers, brackets, space.
    """
    return _fingerprint(one) == _fingerprint(other)


def _fingerprint(text: str) -> str:
    return SPACE_AND_PARENTHESES.sub("", QUALIFIER.sub("", text))


@dataclass(frozen=True)
class SchemaDifference:
    """An object that is not the same on both sides.

    `only_respelled` when only the wording of the server differs.
    """

    kind: str
    name: str
    source: str | None
    candidate: str | None
    only_respelled: bool = False


def compare(source: str, candidate: str, *, same_major: bool) -> list[SchemaDifference]:
    """Compare two schema dumps made by the same pg_dump.

    Servers of different major versions print the same view or expression differently; then (and only then) a
    difference in spelling alone is marked as such.
    """
    ours, theirs = objects(source), objects(candidate)
    differences = []
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if one == other:
            continue
        texts = [f"owner {side.owner}: {side.text}" if side else None for side in (one, other)]
        spelling = bool(
            not same_major and one and other and one.owner == other.owner and respelled(one.text, other.text)
        )
        differences.append(SchemaDifference(key[0], key[1], texts[0], texts[1], spelling))
    return differences
