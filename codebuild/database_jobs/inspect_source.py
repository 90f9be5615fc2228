"""Job `inspect`: what in the old database would make a migration fail, or surprise somebody after it.

Each check is a small function; a finding that is not "passed" carries the SQL (or the setting) that puts it
right. Nothing is changed.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from job_support.errors import JobError
from job_support.findings import Finding, failed, passed, skipped, warning
from job_support.performance import Figures
from job_support.progress import readable, say
from psycopg import sql

from database_jobs.client_tools import ClientTools
from database_jobs.connections import Connection, major, rows, value
from database_jobs.context import JobContext
from database_jobs.dump import DISK_PER_DATABASE_BYTE
from database_jobs.roles import describe

OLDEST_MAJOR = 12
LONG_TRANSACTION_SECONDS = 300
MARGIN = 1.2
MANY = 10


@dataclass(frozen=True)
class Inspection:
    """What a check may look at."""

    connection: Connection
    database: str
    application_role: str
    directory: Path


Check = Callable[[Inspection], list[Finding]]


def run(context: JobContext) -> Figures:
    """Run every check and write `findings/source.json`.

    Failed findings do not fail the job: the preflight decides.
    """
    database = context.source.database
    with context.source.connect() as connection:
        inspection = Inspection(
            connection, database.database_name, database.application_role, Path(tempfile.gettempdir())
        )
        found = examine(CHECKS, inspection)
    context.folder.write_json("findings/source.json", [finding.model_dump() for finding in found])
    return tell(found)


def examine(checks: dict[str, Check], inspection: Inspection) -> list[Finding]:
    """Run checks; one that the server does not answer is a skipped finding and does not hide the others."""
    found: list[Finding] = []
    for name, check in checks.items():
        try:
            found += check(inspection)
        except psycopg.Error as error:
            message = error.diag.message_primary or str(error)
            found.append(skipped(name, inspection.database, f"The server did not answer: {message.strip()}"))
    return found


def tell(found: list[Finding]) -> Figures:
    """Print findings for people; return how many there are of each result."""
    for finding in found:
        say(f"{finding.result:8} {finding.check}: {finding.message}")
        if finding.remedy and finding.result in ("failed", "warning"):
            say(f"         remedy: {finding.remedy}")
    results = [finding.result for finding in found]
    return {result: results.count(result) for result in ("passed", "warning", "failed", "skipped")}


def listed(names: list[str]) -> str:
    """Return names for a sentence, the first few of many."""
    more = len(names) - MANY
    return ", ".join(names[:MANY]) + (f" and {more} more" if more > 0 else "")


def names_of(inspection: Inspection, query: str) -> list[str]:
    """Return the first column of a constant query."""
    return [str(row[0]) for row in rows(inspection.connection, sql.SQL(query))]


def none_of(
    check: str, query: str, ok: str, message: str, remedy: str, *, worst: Callable[..., Finding] = failed
) -> Check:
    """Return a check that wants a query to name nothing.

    `{names}` and `{first}` are filled into message and remedy.
    """

    def look(inspection: Inspection) -> list[Finding]:
        found = names_of(inspection, query)
        if not found:
            return [passed(check, inspection.database, ok)]
        words = {
            "names": listed(found),
            "first": found[0],
            "database": inspection.database,
            "count": len(found),
        }
        return [worst(check, inspection.database, message.format(**words), remedy.format(**words))]

    return look


def version(inspection: Inspection) -> list[Finding]:
    """The server is new enough for the tools, and tools exist."""
    number = major(inspection.connection)
    if number < OLDEST_MAJOR:
        return [
            failed(
                "version",
                inspection.database,
                f"PostgreSQL {number} is older than {OLDEST_MAJOR}.",
                f"Upgrade the instance to {OLDEST_MAJOR} or newer first (aws rds modify-db-instance "
                f"--engine-version).",
            )
        ]
    return [passed("version", inspection.database, f"The server is PostgreSQL {number}.")]


def client_tools(inspection: Inspection) -> list[Finding]:
    """The build has client programs as new as the server."""
    number = major(inspection.connection)
    try:
        tools = ClientTools.at_least(number)
    except JobError as error:
        return [failed("client tools", inspection.database, error.cause, error.remedy)]
    return [passed("client tools", inspection.database, f"pg_dump {tools.major} for PostgreSQL {number}.")]


def size(inspection: Inspection) -> list[Finding]:
    """The dump fits on the build's disk."""
    held = int(value(inspection.connection, sql.SQL("SELECT pg_database_size(current_database())")))
    needed = int(held * DISK_PER_DATABASE_BYTE * MARGIN)
    free = shutil.disk_usage(inspection.directory).free
    message = (
        f"The database holds {readable(held, 'bytes')}; the dump may need {readable(needed, 'bytes')}, "
        f"the build has {readable(free, 'bytes')}."
    )
    if free < needed:
        return [
            failed(
                "size", inspection.database, message, "Use a larger compute type for the database jobs build."
            )
        ]
    return [passed("size", inspection.database, message)]


def extensions(inspection: Inspection) -> list[Finding]:
    """Name the extensions (whether the candidate has them is the next inspection's question)."""
    found = names_of(inspection, "SELECT extname || ' ' || extversion FROM pg_extension ORDER BY 1")
    return [passed("extensions", inspection.database, f"Extensions: {listed(found)}.")]


def roles(inspection: Inspection) -> list[Finding]:
    """Roles beside the application's, and what a master user of RDS cannot give them."""
    description = describe(inspection.connection, inspection.database)
    master = inspection.connection.info.user
    others = [role for role in description.roles if role.name not in (master, inspection.application_role)]
    found = []
    special = [role.name for role in others if role.attributes["REPLICATION"] or role.attributes["BYPASSRLS"]]
    if special:
        found.append(
            warning(
                "roles",
                listed(special),
                f"Roles with REPLICATION or BYPASSRLS: {listed(special)}. A master user may not be able "
                f"to give these.",
                f"ALTER ROLE {special[0]} NOREPLICATION NOBYPASSRLS; and use rds_replication on RDS.",
            )
        )
    login = [role.name for role in others if role.login]
    if login:
        found.append(
            warning(
                "roles",
                listed(login),
                f"Besides the application role these may log in: {listed(login)}. Passwords do not "
                f"travel: they are made "
                "without login on the candidate.",
                f"After the migration: ALTER ROLE {login[0]} LOGIN PASSWORD …; store the password in "
                f"Secrets Manager.",
            )
        )
    if not any(role.name == inspection.application_role for role in description.roles):
        found.append(
            failed(
                "roles",
                inspection.application_role,
                f"The application role {inspection.application_role} does not exist.",
                "Run the job prepare-role on this generation, or put the right application_role into "
                "the manifest.",
            )
        )
    return found or [
        passed("roles", inspection.database, "Only the application role and the master user log in.")
    ]


def fence(inspection: Inspection) -> list[Finding]:
    """No earlier run left the database fenced."""
    no_login = value(
        inspection.connection,
        sql.SQL("SELECT true FROM pg_roles WHERE rolname = %s AND NOT rolcanlogin"),
        [inspection.application_role],
    )
    read_only = value(
        inspection.connection,
        sql.SQL(
            "SELECT true FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
            " WHERE d.datname = %s AND s.setrole = 0 AND 'default_transaction_read_only=on' = "
            "ANY(s.setconfig)"
        ),
        [inspection.database],
    )
    if no_login or read_only:
        return [
            failed(
                "fence",
                inspection.database,
                f"The database is fenced ({'no login' if no_login else 'read-only'}): an earlier run "
                f"was not returned.",
                "Start the state machine `return` with the run id of that run.",
            )
        ]
    return [passed("fence", inspection.database, "The database accepts writes.")]


def owners(inspection: Inspection) -> list[Finding]:
    """The master user can read what others own, or can make itself able to."""
    query = (
        "SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = "
        "c.relnamespace"
        " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN "
        "('r','p','v','m','S','f')"
        " AND NOT pg_has_role(current_user, c.relowner, 'USAGE')"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 1"
    )
    strangers = names_of(inspection, query)
    if not strangers:
        return [passed("owners", inspection.database, "The master user may act for every owner.")]
    # What `dump` does then is tried here, and undone.
    refused = []
    for owner in strangers:
        try:
            with inspection.connection.transaction(force_rollback=True):
                inspection.connection.execute(
                    sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner))
                )
        except psycopg.errors.InsufficientPrivilege:
            refused.append(owner)
    if refused:
        return [
            failed(
                "owners",
                listed(refused),
                f"The master user may not act for owners of tables: {listed(refused)}.",
                f"As a user who may: GRANT {refused[0]} TO {inspection.connection.info.user};",
            )
        ]
    return [
        passed(
            "owners", inspection.database, f"The dump makes the master user a member of {listed(strangers)}."
        )
    ]


def collation_version(inspection: Inspection) -> list[Finding]:
    """The collation's version is the one that the indexes were built with."""
    number = major(inspection.connection)
    description = describe(inspection.connection, inspection.database)
    names = f"{description.encoding}, {description.collate}"
    if number >= 15:
        row = rows(
            inspection.connection,
            sql.SQL(
                "SELECT datcollversion, pg_database_collation_actual_version(oid) FROM pg_database "
                "WHERE datname = %s"
            ),
            [inspection.database],
        )[0]
        if row[0] is not None and row[0] != row[1]:
            return [
                warning(
                    "collation",
                    inspection.database,
                    f"The collation's version changed from {row[0]} to {row[1]}: text indexes may be "
                    f"wrong on the source "
                    "(the restore builds them anew).",
                    f"REINDEX DATABASE {inspection.database}; ALTER DATABASE {inspection.database} "
                    "REFRESH COLLATION VERSION;",
                )
            ]
    return [passed("collation", inspection.database, f"Encoding and collation: {names}.")]


def large_objects(inspection: Inspection) -> list[Finding]:
    """Count large objects, and see that the master user may read them."""
    row = rows(
        inspection.connection,
        sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE NOT pg_has_role(current_user, lomowner, 'MEMBER'))"
            " FROM pg_largeobject_metadata"
        ),
    )[0]
    held = int(value(inspection.connection, sql.SQL("SELECT pg_table_size('pg_catalog.pg_largeobject')")))
    text = f"{row[0]} large objects, {readable(held, 'bytes')}."
    return [passed("large objects", inspection.database, text)]


def row_security(inspection: Inspection) -> list[Finding]:
    """No table hides rows from its own owner: the master user reads as the owner."""
    bypass = value(
        inspection.connection,
        sql.SQL("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"),
    )
    forced = names_of(
        inspection,
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = "
        "c.relnamespace"
        " WHERE c.relrowsecurity AND c.relforcerowsecurity AND n.nspname !~ '^pg_' AND n.nspname <> "
        "'information_schema' ORDER BY 1",
    )
    if forced and not bypass:
        return [
            failed(
                "row security",
                listed(forced),
                f"FORCE ROW LEVEL SECURITY hides rows from the dump: {listed(forced)}.",
                f"ALTER TABLE {forced[0]} NO FORCE ROW LEVEL SECURITY; for the time of the migration, "
                "or give the master user BYPASSRLS.",
            )
        ]
    return [passed("row security", inspection.database, "No policy hides rows from the dump.")]


def sessions(inspection: Inspection) -> list[Finding]:
    """Name who is connected: they are ended by the migration."""
    found = names_of(
        inspection,
        "SELECT count(*) || ' of ' || coalesce(usename, '?') FROM pg_stat_activity WHERE datname = "
        "current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend' GROUP BY usename ORDER BY "
        "count(*) DESC",
    )
    return [passed("sessions", inspection.database, f"Sessions: {listed(found) or 'none'}.")]


CHECKS: dict[str, Check] = {
    "version": version,
    "client tools": client_tools,
    "size": size,
    "fence": fence,
    "extensions": extensions,
    "roles": roles,
    "owners": owners,
    "collation": collation_version,
    "large objects": large_objects,
    "row security": row_security,
    "sessions": sessions,
    "prepared transactions": none_of(
        "prepared transactions",
        "SELECT quote_literal(gid) FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1",
        "No prepared transaction.",
        "Prepared transactions hold locks and would be lost: {names}.",
        "COMMIT PREPARED {first}; or ROLLBACK PREPARED {first};",
    ),
    "replication slots": none_of(
        "replication slots",
        "SELECT quote_literal(slot_name) FROM pg_replication_slots WHERE database = current_database() "
        "ORDER BY 1",
        "No logical replication slot.",
        "Somebody reads changes from this database through logical slots: {names}. They do not move.",
        "Stop the consumer, then SELECT pg_drop_replication_slot({first}); and set it up on the new "
        "database.",
    ),
    "subscriptions": none_of(
        "subscriptions",
        "SELECT quote_ident(subname) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        " WHERE d.datname = current_database() ORDER BY 1",
        "No subscription.",
        "This database receives changes through subscriptions: {names}. They do not move.",
        "DROP SUBSCRIPTION {first}; and create it on the new database after the migration.",
    ),
    "publications": none_of(
        "publications",
        "SELECT quote_ident(pubname) FROM pg_publication ORDER BY 1",
        "No publication.",
        "Publications move, their subscribers do not: {names}.",
        "Point the subscribers of {first} at the new database after the migration.",
        worst=warning,
    ),
    "invalid indexes": none_of(
        "invalid indexes",
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1",
        "Every index is valid.",
        "Invalid indexes (a CREATE INDEX CONCURRENTLY that failed): {names}. pg_dump leaves them out.",
        "REINDEX INDEX CONCURRENTLY {first}; or DROP INDEX {first};",
    ),
    "unlogged tables": none_of(
        "unlogged tables",
        "SELECT oid::regclass::text FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY 1",
        "No unlogged table.",
        "Unlogged tables move with their rows, a snapshot holds them empty: {names}.",
        "ALTER TABLE {first} SET LOGGED; when its rows matter.",
        worst=warning,
    ),
    "event triggers": none_of(
        "event triggers",
        "SELECT quote_ident(evtname) FROM pg_event_trigger ORDER BY 1",
        "No event trigger.",
        "Event triggers: {names}. Whether the candidate allows them is checked there.",
        "DROP EVENT TRIGGER {first}; when it is not needed.",
        worst=warning,
    ),
    "tables without primary key": none_of(
        "tables without primary key",
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        " AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 1",
        "Every table has a primary key.",
        "Tables without a primary key: {names}. No obstacle here; an online copy would need one.",
        "ALTER TABLE {first} ADD PRIMARY KEY (…);",
        worst=warning,
    ),
    "materialised views": none_of(
        "materialised views",
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'm' ORDER BY 1",
        "No materialised view.",
        "Materialised views are refreshed by the restore, which takes time: {names}.",
        "REFRESH MATERIALIZED VIEW {first}; before, so that both sides hold the same.",
        worst=warning,
    ),
    "foreign data": none_of(
        "foreign data",
        "SELECT 'server ' || quote_ident(srvname) FROM pg_foreign_server UNION ALL"
        " SELECT 'table ' || oid::regclass::text FROM pg_class WHERE relkind = 'f' ORDER BY 1",
        "No foreign server or table.",
        "Foreign servers and tables: {names}. Their rows lie elsewhere and are not compared.",
        "See that the new database may reach the same servers.",
        worst=warning,
    ),
    "user mappings": none_of(
        "user mappings",
        "SELECT format('%I on %I', usename, srvname) FROM pg_user_mappings WHERE umoptions IS NULL "
        "ORDER BY 1",
        "Every user mapping can be read.",
        "The master user cannot read these user mappings, so a dump holds them empty: {names}.",
        "Note their options, DROP USER MAPPING, and create them on the new database.",
        worst=warning,
    ),
    "tablespaces": none_of(
        "tablespaces",
        "SELECT quote_ident(spcname) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', "
        "'pg_global') ORDER BY 1",
        "Only the default tablespaces.",
        "Tablespaces: {names}. Everything is restored into the default one (on RDS they are one volume "
        "anyway).",
        "Nothing to do.",
        worst=warning,
    ),
    "long transactions": none_of(
        "long transactions",
        "SELECT format('pid %s of %s since %s', pid, usename, xact_start) FROM pg_stat_activity"
        " WHERE datname = current_database() AND xact_start < now() - interval '300 seconds'"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY xact_start",
        "No transaction runs for more than five minutes.",
        "Transactions that run for more than five minutes: {names}. They are ended after the grace time.",
        "Let them end, or SELECT pg_terminate_backend(…);",
        worst=warning,
    ),
    "other databases": none_of(
        "other databases",
        "SELECT quote_ident(datname) FROM pg_database WHERE NOT datistemplate AND datname NOT IN"
        " (current_database(), 'postgres', 'rdsadmin') ORDER BY 1",
        "The instance holds no other database.",
        "The instance holds other databases, which are not moved: {names}.",
        "Dump and restore them yourself, or DROP DATABASE {first}; when nobody needs it.",
        worst=warning,
    ),
}
