"""Job `inspect-candidate`: can this new server take that old database?

What the new server allows its master user is tried (in a transaction that is rolled back) rather than
guessed.
"""

from collections.abc import Callable

import psycopg
from job_support.findings import Finding, failed, passed, skipped, warning
from job_support.performance import Figures
from job_support.progress import readable
from psycopg import sql

from database_jobs.connections import Connection, major, rows, value
from database_jobs.context import JobContext
from database_jobs.inputs import Database
from database_jobs.inspect_source import listed, tell
from database_jobs.restore import MARKER, user_objects
from database_jobs.roles import describe
from database_jobs.verify import older

GIBIBYTE = 1024**3
ROOM = 1.5
PARAMETERS = {
    "max_connections": "as many clients may connect",
    "rds.force_ssl": "clients without TLS are treated the same",
    "TimeZone": "clients read times in the same zone",
    "default_transaction_isolation": "transactions see the same",
    "standard_conforming_strings": "backslashes mean the same",
    "max_prepared_transactions": "two-phase commit works as before",
    "max_locks_per_transaction": "a restore with many tables has locks enough",
    "wal_level": "logical replication works as before",
}


def run(context: JobContext) -> Figures:
    """Run every check and write `findings/candidate.json`; the preflight decides what follows."""
    database = context.candidate.database
    with context.source.connect() as source, context.candidate.connect("postgres") as maintenance:
        exists = value(
            maintenance, sql.SQL("SELECT true FROM pg_database WHERE datname = %s"), [database.database_name]
        )
        found: list[Finding] = []
        for name, check in CHECKS.items():
            found += attempt(name, database, lambda check=check: check(source, maintenance, database))  # type: ignore[misc]
        if exists:
            with context.candidate.connect() as candidate:
                mine = (context.folder.read_json(MARKER) or {}).get("instance_id") == database.instance_id
                found += attempt("empty", database, lambda: empty(candidate, database, mine=mine))
    context.folder.write_json("findings/candidate.json", [finding.model_dump() for finding in found])
    return tell(found)


def attempt(name: str, database: Database, check: Callable[[], list[Finding]]) -> list[Finding]:
    """Return a check's findings; what the server does not answer is a skipped finding."""
    try:
        return check()
    except psycopg.Error as error:
        message = error.diag.message_primary or str(error)
        return [skipped(name, database.instance_id, f"The server did not answer: {message.strip()}")]


def version(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """A newer major version is allowed, an older one is not."""
    old, new = major(source), major(candidate)
    if new < old:
        return [
            failed(
                "version",
                database.instance_id,
                f"The candidate is PostgreSQL {new}, older than the source's {old}: a dump cannot go back.",
                f"Start with engine_version {old} or newer.",
            )
        ]
    text = f"From PostgreSQL {old} to {new}."
    return [passed("version", database.instance_id, text)]


def extensions(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """Every extension is available, at the version of the source or newer.

    And its master user may make it.
    """
    available = {
        row[0]: row[1:]
        for row in rows(
            candidate,
            sql.SQL(
                "SELECT a.name, a.default_version, bool_or(v.trusted) FROM pg_available_extensions a"
                " JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = "
                "a.default_version GROUP BY 1, 2"
            ),
        )
    }
    # On RDS, members of rds_superuser may make every extension that RDS offers.
    unlimited = value(
        candidate,
        sql.SQL(
            "SELECT rolsuper OR EXISTS (SELECT FROM pg_roles s WHERE s.rolname = 'rds_superuser'"
            " AND pg_has_role(current_user, s.oid, 'MEMBER')) FROM pg_roles WHERE rolname = current_user"
        ),
    )
    found = []
    for name, wanted in rows(source, sql.SQL("SELECT extname, extversion FROM pg_extension ORDER BY 1")):
        offered = available.get(name)
        if offered is None:
            message, remedy = (
                "is not available",
                f"DROP EXTENSION {name}; on the source, or choose another engine version.",
            )
        elif older(offered[0], wanted):
            message = f"is available as {offered[0]} only, the source has {wanted}"
            remedy = "Choose a newer engine_version."
        elif not offered[1] and not unlimited and name != "plpgsql":
            message = "may be made by superusers only"
            remedy = f"DROP EXTENSION {name}; on the source, or use a master user who may make it."
        else:
            continue
        found.append(failed("extensions", name, f"Extension {name} {message} on the candidate.", remedy))
    return found or [passed("extensions", database.instance_id, "Every extension is available.")]


def collation(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """The candidate knows the source's collation; its version may be newer, since indexes are built anew."""
    description = describe(source, source.info.dbname)
    if description.locale_provider != "libc":
        return [
            passed(
                "collation",
                database.instance_id,
                f"Provider {description.locale_provider} comes with PostgreSQL.",
            )
        ]
    known = value(
        candidate,
        sql.SQL(
            "SELECT true FROM pg_collation WHERE lower(replace(collcollate, '-', '')) = "
            "lower(replace(%s, '-', ''))"
            " UNION SELECT true FROM pg_database WHERE lower(replace(datcollate, '-', '')) = "
            "lower(replace(%s, '-', ''))"
        ),
        [description.collate, description.collate],
    )
    text = f"{description.encoding}, {description.collate}, {description.ctype}"
    if known:
        return [passed("collation", database.instance_id, f"The candidate knows {text}.")]
    return [
        failed(
            "collation",
            database.instance_id,
            f"The candidate does not know the source's collation {text}.",
            "Choose an engine version that offers it, or rebuild the source with one that both know.",
        )
    ]


def empty(candidate: Connection, database: Database, *, mine: bool) -> list[Finding]:
    """The candidate's database holds nothing, or what an earlier attempt of this run put there."""
    held = user_objects(candidate)
    if held and not mine:
        return [
            failed(
                "empty",
                database.database_name,
                f"The candidate's database is not empty: {listed(held)}.",
                "Choose another candidate generation, or drop what is there.",
            )
        ]
    return [passed("empty", database.database_name, "The candidate's database is empty.")]


def parameters(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """Name parameters that clients would notice."""
    # What a database or a role sets for itself moves with it.
    query = sql.SQL(
        "SELECT name, reset_val FROM pg_settings WHERE name = ANY(%s)"
        " AND source NOT IN ('database', 'user', 'database user')"
    )
    old: dict[str, str] = dict(rows(source, query, [list(PARAMETERS)]))
    new: dict[str, str] = dict(rows(candidate, query, [list(PARAMETERS)]))
    found = [
        warning(
            "parameters",
            name,
            f"{name} is {old[name]} on the source and {new.get(name)} on the candidate.",
            f"Set {name} in the parameter group when it matters that {why}.",
        )
        for name, why in PARAMETERS.items()
        if name in old and old[name] != new.get(name)
    ]
    return found or [
        passed("parameters", database.instance_id, "Parameters that clients notice are the same.")
    ]


def room(source: Connection, _: Connection, database: Database) -> list[Finding]:
    """The candidate's storage holds the database, its indexes and the log of the restore."""
    held = int(value(source, sql.SQL("SELECT pg_database_size(current_database())")))
    if database.allocated_storage is None:
        text = f"The database holds {readable(held, 'bytes')}; nobody said how much the candidate can hold."
        return [skipped("room", database.instance_id, text)]
    storage = database.allocated_storage * GIBIBYTE
    text = f"The database holds {readable(held, 'bytes')}, the candidate has {readable(storage, 'bytes')}."
    if storage < held * ROOM:
        needed = -(-int(held * ROOM) // GIBIBYTE)
        return [
            failed(
                "room", database.instance_id, text, f"Start with allocated_storage {needed} (GiB) or more."
            )
        ]
    return [passed("room", database.instance_id, text)]


def roles(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """The master user may make roles and give them the attributes of the source's."""
    allowed = rows(
        candidate,
        sql.SQL(
            "SELECT rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolsuper FROM pg_roles"
            " WHERE rolname = current_user"
        ),
    )[0]
    found = []
    for allowance, attribute, name in (
        (allowed[0], "CREATEROLE", "roles"),
        (allowed[1], "CREATEDB", "databases"),
    ):
        if not (allowance or allowed[4]):
            found.append(
                failed(
                    "roles",
                    candidate.info.user,
                    f"The master user may not make {name}.",
                    f"As a user who may: ALTER ROLE {candidate.info.user} {attribute};",
                )
            )
    newer = major(candidate) >= 16
    for role in describe(source, source.info.dbname).roles:
        for attribute, has in (("BYPASSRLS", allowed[2]), ("REPLICATION", allowed[3])):
            if (
                role.name != source.info.user
                and role.attributes[attribute]
                and not (allowed[4] or (newer and has))
            ):
                found.append(
                    failed(
                        "roles",
                        role.name,
                        f"Role {role.name} has {attribute}, which the candidate's master user may not give.",
                        f"ALTER ROLE {role.name} NO{attribute}; on the source.",
                    )
                )
    existing = [
        row[0]
        for row in rows(
            candidate,
            sql.SQL(
                "SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^(pg_|rds)' AND "
                "rolname <> ALL(%s)"
            ),
            [[candidate.info.user, database.application_role]],
        )
    ]
    if existing:
        found.append(
            warning(
                "roles", listed(existing), f"Roles exist on the candidate already: {listed(existing)}.", None
            )
        )
    return found or [passed("roles", database.instance_id, "The master user may make every role.")]


def event_triggers(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """The candidate's master user may make event triggers, when the source has any."""
    names = [row[0] for row in rows(source, sql.SQL("SELECT evtname FROM pg_event_trigger ORDER BY 1"))]
    if not names:
        return [passed("event triggers", database.instance_id, "The source has no event trigger.")]
    try:
        with candidate.transaction(force_rollback=True):
            candidate.execute(
                "CREATE FUNCTION pg_temp.know_me_probe() RETURNS event_trigger LANGUAGE plpgsql AS "
                "'BEGIN END'"
            )
            candidate.execute(
                "CREATE EVENT TRIGGER know_me_probe ON ddl_command_end EXECUTE FUNCTION "
                "pg_temp.know_me_probe()"
            )
    except psycopg.errors.InsufficientPrivilege as error:
        return [
            failed(
                "event triggers",
                listed(names),
                f"The candidate's master user may not make event triggers: {error.diag.message_primary}.",
                f"DROP EVENT TRIGGER {names[0]}; on the source, or use a master user who may make them.",
            )
        ]
    return [passed("event triggers", database.instance_id, "The master user may make event triggers.")]


def publications(source: Connection, candidate: Connection, database: Database) -> list[Finding]:
    """The candidate's master user may publish all tables, when the source does."""
    names = [
        row[0]
        for row in rows(source, sql.SQL("SELECT pubname FROM pg_publication WHERE puballtables ORDER BY 1"))
    ]
    if not names:
        return [passed("publications", database.instance_id, "No publication needs more than ownership.")]
    try:
        with candidate.transaction(force_rollback=True):
            candidate.execute("CREATE PUBLICATION know_me_probe FOR ALL TABLES")
    except psycopg.errors.InsufficientPrivilege as error:
        return [
            failed(
                "publications",
                listed(names),
                f"The candidate's master user may not publish all tables: {error.diag.message_primary}.",
                f"DROP PUBLICATION {names[0]}; on the source, or publish tables by name.",
            )
        ]
    return [passed("publications", database.instance_id, "The master user may publish all tables.")]


CHECKS: dict[str, Callable[[Connection, Connection, Database], list[Finding]]] = {
    "version": version,
    "extensions": extensions,
    "collation": collation,
    "parameters": parameters,
    "room": room,
    "roles": roles,
    "event triggers": event_triggers,
    "publications": publications,
}
