"""Job `verify`: two databases hold the same, or the run does not cut over.

Both sides are read in parallel, each from one exported snapshot: the schema as pg_dump writes it, rows and
content of every table, sequences, large objects, roles, settings and extensions. What the candidate may have
otherwise is told as a check with a warning; everything else that differs is a difference.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from job_support.errors import JobError
from job_support.findings import Finding, failed, passed, warning
from job_support.performance import Figures
from job_support.progress import say
from pydantic import BaseModel

from database_jobs.client_tools import ClientTools
from database_jobs.connections import Server, major
from database_jobs.contents import DatabaseContents, Snapshot, read, tables_of
from database_jobs.context import JobContext, threads
from database_jobs.dump import unfenced
from database_jobs.fence import recorded
from database_jobs.roles import ClusterDescription, describe, is_reserved
from database_jobs.schema_text import compare

DOCUMENT = "verification.json"
DIFFERENCES_IN_CAUSE = 20
LONGEST_VALUE = 4000


class Difference(BaseModel):
    """One thing that is not the same."""

    kind: str
    name: str
    source: Any
    candidate: Any


class Side(BaseModel):
    """What was read of one database."""

    model_config = {"arbitrary_types_allowed": True}

    description: ClusterDescription
    contents: DatabaseContents
    schema_text: str
    major: int


def run(context: JobContext) -> Figures:
    """Compare source and candidate, write `verification.json`.

    Raises
    ------
    JobError
        `VerificationFailed` naming up to 20 differences.
    """
    started = time.monotonic()
    tools = context.client_tools()
    workers = max(2, context.inputs.workers)
    with (
        Snapshot(context.source, workers // 2) as source_snapshot,
        Snapshot(context.candidate, workers // 2) as candidate_snapshot,
        # Two more for pg_dump, which waits for the server and not for us.
        threads(2 * (workers // 2) + 2) as pool,
    ):
        context.progress.start("verify", 2 * max(1, _bytes(source_snapshot)), "bytes")
        try:
            schemas = [
                pool.submit(_schema, context, tools, server, snapshot)
                for server, snapshot in (
                    (context.source, source_snapshot),
                    (context.candidate, candidate_snapshot),
                )
            ]
            contents = _both(pool, source_snapshot, candidate_snapshot, context)
            sides = [
                Side(
                    description=describe(snapshot.holder, server.database.database_name),
                    contents=held,
                    schema_text=text.result(),
                    major=major(snapshot.holder),
                )
                for server, snapshot, held, text in zip(
                    (context.source, context.candidate),
                    (source_snapshot, candidate_snapshot),
                    contents,
                    schemas,
                    strict=True,
                )
            ]
        except BaseException:
            # Threads wait for pg_dump and for the servers: let them go.
            tools.end_all()
            context.source.cancel_all()
            context.candidate.cancel_all()
            raise
    context.progress.finish()
    source, candidate = sides
    fence = recorded(context.folder)
    if fence is not None:
        source.description = unfenced(source.description, fence)
    masters = {context.source.master, context.candidate.master}
    application_role = context.candidate.database.application_role
    differences, checks = judge(source, candidate, masters=masters, application_role=application_role)
    total = sum(table.rows for table in source.contents.tables.values())
    seconds = round(time.monotonic() - started, 3)
    document = {
        "verdict": "different" if differences else "equal",
        "differences": [difference.model_dump() for difference in differences],
        "tables": [
            {"name": name, "rows": table.rows, "hash": table.text()}
            for name, table in sorted(source.contents.tables.items())
        ],
        "rows": total,
        "bytes": source.contents.bytes,
        "seconds": seconds,
        "checks": [check.model_dump() for check in checks],
    }
    context.folder.write_json(DOCUMENT, document)
    for check in checks:
        say(f"{check.result}: {check.check}: {check.message}")
    if differences:
        raise JobError("VerificationFailed", cause_of(differences), REMEDY)
    return {
        "verdict": "equal",
        "tables": len(source.contents.tables),
        "rows": total,
        "bytes": source.contents.bytes,
        "large_objects": len(source.contents.large_objects),
        "sequences": len(source.contents.sequences),
    }


REMEDY = (
    "Nothing was switched: the environment stays on the old database. verification.json in the run "
    "folder lists every "
    "difference; find out what wrote to either side, then start the run again."
)


def cause_of(differences: list[Difference]) -> str:
    """Return the cause in plain words, naming kind and name of up to 20 differences."""
    named = ", ".join(
        f"{difference.kind} {difference.name}" for difference in differences[:DIFFERENCES_IN_CAUSE]
    )
    hidden = len(differences) - DIFFERENCES_IN_CAUSE
    more = f" and {hidden} more" if hidden > 0 else ""
    return f"Source and candidate differ in {len(differences)} places: {named}{more}."


def _bytes(snapshot: Snapshot) -> int:
    return sum(table.bytes for table in tables_of(snapshot.holder))


def _schema(context: JobContext, tools: ClientTools, server: Server, snapshot: Snapshot) -> str:
    output = context.directory / f"schema-{server.database.generation}.sql"
    arguments = [
        "--schema-only",
        "--no-password",
        "--no-tablespaces",
        "--no-subscriptions",
        f"--snapshot={snapshot.identifier}",
    ]
    environment = server.tool_environment(context.directory)
    tools.run("pg_dump", arguments, environment, error_name="VerificationFailed", output=output)
    return output.read_text()


def _both(
    pool: ThreadPoolExecutor, source: Snapshot, candidate: Snapshot, context: JobContext
) -> tuple[DatabaseContents, DatabaseContents]:
    # Both sides share the pool; each has its own connections, so neither can starve the other for long.
    with threads(2) as sides:
        futures: list[Future[DatabaseContents]] = [
            sides.submit(read, snapshot, pool, context.progress.add) for snapshot in (source, candidate)
        ]
        first, second = (future.result() for future in futures)
    return first, second


def judge(
    source: Side, candidate: Side, *, masters: set[str], application_role: str
) -> tuple[list[Difference], list[Finding]]:
    """Compare what was read; return the differences and one check per kind of thing."""
    differences: list[Difference] = []
    checks: list[Finding] = []
    for name, found in (
        ("schema", schema_differences(source, candidate, checks)),
        ("table contents", table_differences(source.contents, candidate.contents, checks)),
        ("sequences", keyed("sequence", source.contents.sequences, candidate.contents.sequences)),
        (
            "large objects",
            keyed("large object", source.contents.large_objects, candidate.contents.large_objects),
        ),
        (
            "roles",
            role_differences(source.description, candidate.description, masters, application_role, checks),
        ),
        ("database", database_differences(source.description, candidate.description, masters)),
        ("extensions", extension_differences(source.description, candidate.description, checks)),
    ):
        here = list(found)
        differences += here
        checks.append(
            failed(name, name, f"{len(here)} differ", REMEDY)
            if here
            else passed(name, name, "the same on both sides")
        )
    return differences, checks


def keyed(kind: str, source: dict[Any, Any], candidate: dict[Any, Any]) -> Iterator[Difference]:
    """Compare two dictionaries; what one side lacks is None there."""
    for name in sorted(source.keys() | candidate.keys()):
        one, other = source.get(name), candidate.get(name)
        if one != other:
            yield Difference(kind=kind, name=str(name), source=_plain(one), candidate=_plain(other))


def _plain(thing: Any) -> Any:
    if thing is None or isinstance(thing, str | int | float | bool):
        return thing
    if isinstance(thing, BaseModel):
        return thing.model_dump()
    return str(thing)


def schema_differences(source: Side, candidate: Side, checks: list[Finding]) -> Iterator[Difference]:
    """Compare schema texts; what a newer server only spells differently is a warning."""
    for found in compare(
        source.schema_text, candidate.schema_text, same_major=source.major == candidate.major
    ):
        if found.only_respelled:
            checks.append(
                warning(
                    "schema",
                    f"{found.kind} {found.name}",
                    "the servers print it differently; without brackets, qualifiers and space it is the same",
                    None,
                )
            )
        elif found.kind == "comment" and found.name.startswith("EXTENSION "):
            checks.append(warning("schema", found.name, "the extension's comment differs", None))
        else:
            yield Difference(
                kind=found.kind,
                name=found.name,
                source=found.source and found.source[:LONGEST_VALUE],
                candidate=found.candidate and found.candidate[:LONGEST_VALUE],
            )


def table_differences(
    source: DatabaseContents, candidate: DatabaseContents, checks: list[Finding]
) -> Iterator[Difference]:
    """Compare rows and hashes of every table.

    A materialised view holds derived data: the restore computes it anew from tables that are compared
    themselves, so one that was stale on the source may hold other rows. That is told, and does not fail.
    """
    for name in sorted(source.tables.keys() | candidate.tables.keys()):
        one, other = source.tables.get(name), candidate.tables.get(name)
        if one is not None and other is not None and source.kinds[name] == candidate.kinds[name] == "m":
            if one != other:
                checks.append(
                    warning(
                        "table contents",
                        name,
                        f"the materialised view was refreshed: {one.rows} rows on the source, "
                        f"{other.rows} on the candidate",
                        None,
                    )
                )
        elif one is None or other is None:
            yield Difference(
                kind="table",
                name=name,
                source=one and f"{one.rows} rows",
                candidate=other and f"{other.rows} rows",
            )
        elif one.rows != other.rows:
            yield Difference(kind="row count", name=name, source=one.rows, candidate=other.rows)
        elif one != other:
            yield Difference(kind="row content", name=name, source=one.text(), candidate=other.text())


def role_differences(
    source: ClusterDescription,
    candidate: ClusterDescription,
    masters: set[str],
    application_role: str,
    checks: list[Finding],
) -> Iterator[Difference]:
    """Compare roles and memberships. The master user is each instance's own.

    A role that only the candidate has is told.
    """
    ours = {role.name: role for role in source.roles if role.name not in masters}
    theirs = {role.name: role for role in candidate.roles if role.name not in masters}
    for name, role in ours.items():
        other = theirs.get(name)
        if other is None:
            yield Difference(kind="role", name=name, source=role.model_dump(), candidate=None)
            continue
        expected = role.model_copy(update={"login": role.login if name == application_role else other.login})
        if expected != other:
            yield Difference(
                kind="role", name=name, source=expected.model_dump(), candidate=other.model_dump()
            )
        if role.login and not other.login and name != application_role:
            checks.append(
                warning(
                    "roles",
                    name,
                    "could log in on the source and has no password on the candidate",
                    f"ALTER ROLE {name} LOGIN PASSWORD …; store the password in Secrets Manager",
                )
            )
    for name in theirs.keys() - ours.keys():
        checks.append(
            warning("roles", name, "exists on the candidate only", f"DROP ROLE {name}; if nobody needs it")
        )
    members = [
        {
            f"{membership.member} in {membership.role}": membership
            for membership in side.memberships
            if membership.member not in masters
            and membership.role not in masters
            and membership.member in ours
        }
        for side in (source, candidate)
    ]
    yield from keyed("membership", *members)


def database_differences(
    source: ClusterDescription, candidate: ClusterDescription, masters: set[str]
) -> Iterator[Difference]:
    """Compare the database's own properties, settings and grants."""
    for field in (
        "encoding",
        "collate",
        "ctype",
        "locale_provider",
        "locale",
        "connection_limit",
        "comment",
        "owner",
    ):
        one, other = getattr(source, field), getattr(candidate, field)
        if field == "owner" and is_reserved(str(one)):
            continue
        if one != other:
            yield Difference(kind=f"database {field}", name=source.database, source=one, candidate=other)
    settings = [
        {
            f"{setting.name} of {setting.role or ('the database' if setting.this_database else 'all roles')}"
            f"{' in the database' if setting.role and setting.this_database else ''}": setting.value
            for setting in side.settings
            if setting.role not in masters
        }
        for side in (source, candidate)
    ]
    yield from keyed("setting", *settings)
    grants = [
        {
            f"{grant.privilege} on the database to {grant.grantee or 'PUBLIC'}": grant.grantable
            for grant in side.grants
            if not (grant.grantee and (is_reserved(grant.grantee) or grant.grantee in masters))
        }
        for side in (source, candidate)
    ]
    yield from keyed("grant", *grants)


def extension_differences(
    source: ClusterDescription, candidate: ClusterDescription, checks: list[Finding]
) -> Iterator[Difference]:
    """Compare extensions: the same schema, the same version or a newer one."""
    ours = {extension.name: extension for extension in source.extensions}
    theirs = {extension.name: extension for extension in candidate.extensions}
    for name, one in sorted(ours.items()):
        other = theirs.get(name)
        if other is None or one.schema_name != other.schema_name or older(other.version, one.version):
            yield Difference(
                kind="extension",
                name=name,
                source=one.model_dump(),
                candidate=other.model_dump() if other else None,
            )
        elif one.version != other.version:
            checks.append(
                warning(
                    "extensions",
                    name,
                    f"version {other.version} on the candidate, {one.version} on the source",
                    None,
                )
            )
    for name in sorted(theirs.keys() - ours.keys()):
        yield Difference(kind="extension", name=name, source=None, candidate=theirs[name].model_dump())


def older(version: str, than: str) -> bool:
    """Return whether an extension's version is older than another (numbers compare as numbers)."""
    return _parts(version) < _parts(than)


def _parts(version: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in version.replace("-", ".").split(".")
    ]
