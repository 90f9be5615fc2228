"""Jobs `stop-writers` and `allow-writes`: the old database refuses writes, and can be given back.

What was there is recorded in `fence.json` before it is touched, and given back from there.
"""

import time
from collections import Counter
from collections.abc import Callable

import psycopg
from job_support.errors import JobError
from job_support.performance import Figures
from job_support.progress import now, say
from job_support.run_folder import RunFolder
from psycopg import sql
from pydantic import BaseModel

from database_jobs.connections import Connection, rows, value
from database_jobs.context import JobContext

DOCUMENT = "fence.json"
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_END = 15.0
READ_ONLY = "default_transaction_read_only"


class Fence(BaseModel):
    """What `stop-writers` changed.

    The roles that could log in, and the database's own read-only setting (or none).
    """

    instance_id: str
    database: str
    login_roles: list[str]
    read_only_setting: str | None
    recorded_at: str


def recorded(folder: RunFolder) -> Fence | None:
    """Return the run's fence, None when it has none."""
    document = folder.read_json(DOCUMENT)
    return Fence.model_validate(document) if document is not None else None


def login_roles(connection: Connection) -> list[str]:
    """Return the roles that can log in, without the master, superusers, RDS's own and replication."""
    return [
        row[0]
        for row in rows(
            connection,
            sql.SQL(
                "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND NOT rolreplication"
                " AND rolname !~ '^(pg_|rds)' AND rolname <> current_user ORDER BY 1"
            ),
        )
    ]


def read_only_setting(connection: Connection, database: str) -> str | None:
    """Return the database's own setting of `default_transaction_read_only`."""
    found: str | None = value(
        connection,
        sql.SQL(
            "SELECT split_part(setting, '=', 2) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = "
            "s.setdatabase,"
            " unnest(s.setconfig) AS setting WHERE d.datname = %s AND s.setrole = 0"
            " AND setting LIKE 'default_transaction_read_only=%%'"
        ),
        [database],
    )
    return found


def record(connection: Connection, context: JobContext) -> Fence:
    """Write `fence.json` before anything is touched.

    A repeated job keeps the first record and adds new roles only.
    """
    database = context.source.database
    before = recorded(context.folder)
    roles = login_roles(connection)
    if before is not None and set(roles) <= set(before.login_roles):
        return before
    fence = Fence(
        instance_id=database.instance_id,
        database=database.database_name,
        login_roles=sorted({*roles, *(before.login_roles if before else [])}),
        read_only_setting=(
            before.read_only_setting if before else read_only_setting(connection, database.database_name)
        ),
        recorded_at=before.recorded_at if before else now(),
    )
    context.folder.write_json(DOCUMENT, fence.model_dump())
    return fence


def stop_writers(context: JobContext) -> Figures:
    """Fence the old database and prove that no session is left.

    Raises
    ------
    JobError
        `QuiesceTimedOut` when a session cannot be ended or a prepared transaction is left.
    """
    database = context.source.database.database_name
    with context.source.connect("postgres") as connection:
        fence = record(connection, context)
        for role in fence.login_roles:
            say(f"Role {role} may not log in any more.")
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
                sql.Identifier(database)
            )
        )
        say(f"Database {database} refuses writes from now on.")
        ended = end_sessions(connection, context, database)
        prepared = [
            row[0]
            for row in rows(
                connection,
                sql.SQL("SELECT gid FROM pg_prepared_xacts WHERE database = %s ORDER BY 1"),
                [database],
            )
        ]
    if prepared:
        raise JobError(
            "QuiesceTimedOut",
            f"Prepared transactions are left in {database}: {', '.join(prepared[:20])}.",
            f"Decide each with COMMIT PREPARED '{prepared[0]}' or ROLLBACK PREPARED '{prepared[0]}', "
            f"then start again.",
        )
    with context.source.connect() as connection:
        position = value(connection, sql.SQL("SELECT pg_current_wal_lsn()::text"))
        sequences = {
            row[0]: row[1]
            for row in rows(
                connection,
                sql.SQL(
                    "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences "
                    "ORDER BY 1"
                ),
            )
        }
    return {
        "login_roles": fence.login_roles,
        "sessions_ended": ended,
        "sessions_left": 0,
        "wal_position": position,
        "sequences": len(sequences),
    }


def sessions(connection: Connection, database: str) -> list[tuple[int, str, str, str]]:
    """Return the client sessions of the database (pid, role, application, state).

    Without our own and RDS's.
    """
    return [
        (row[0], row[1], row[2], row[3])
        for row in rows(
            connection,
            sql.SQL(
                "SELECT pid, coalesce(usename, '?'), coalesce(nullif(application_name, ''), 'unnamed'),"
                " coalesce(state, 'unknown') FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                " AND coalesce(usename, '') !~ '^(pg_|rds)' ORDER BY pid"
            ),
            [database],
        )
    ]


def end_sessions(
    connection: Connection,
    context: JobContext,
    database: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Wait for sessions to end by themselves, then end the rest; return how many were ended.

    Raises
    ------
    JobError
        `QuiesceTimedOut` naming the sessions that cannot be ended.
    """
    deadline = clock() + context.inputs.grace_seconds
    while (left := sessions(connection, database)) and clock() < deadline:
        who = Counter(f"{role} ({application}, {state})" for _, role, application, state in left)
        names = ", ".join(f"{count} of {name}" for name, count in who.most_common(5))
        say(f"{len(left)} sessions left, {max(0, round(deadline - clock()))} s of grace: {names}")
        sleep(min(SECONDS_BETWEEN_LOOKS, max(0.05, deadline - clock())))
    ended: set[int] = set()
    refusals: list[str] = []
    deadline = clock() + SECONDS_TO_END
    while left := sessions(connection, database):
        refusals = []
        for pid, role, application, _ in left:
            try:
                connection.execute(sql.SQL("SELECT pg_terminate_backend(%s)"), [pid])
            except psycopg.errors.InsufficientPrivilege as error:
                refusals.append(f"{pid} of {role} ({application}): {error.diag.message_primary}")
            else:
                ended.add(pid)
        if clock() >= deadline:
            names = "; ".join(refusals or [f"{pid} of {role} ({name})" for pid, role, name, _ in left])
            raise JobError(
                "QuiesceTimedOut",
                f"{len(left)} sessions on {database} could not be ended: {names}.",
                "Stop these clients (or GRANT pg_signal_backend to the master user) and start the run again.",
            )
        sleep(0.2)
    say(f"No session is left on {database}; {len(ended)} were ended by force.")
    return len(ended)


def allow_writes(context: JobContext) -> Figures:
    """Give the old database back as `fence.json` recorded it; nothing to undo is success."""
    fence = recorded(context.folder)
    if fence is None:
        say("No fence was recorded: nothing to undo.")
        return {"login_roles": []}
    if fence.instance_id != context.source.database.instance_id:
        raise JobError(
            "DatabaseJobFailed",
            f"The fence of this run is on {fence.instance_id}, not on {context.source.database.instance_id}.",
            "Run this job on the database that the run fenced.",
        )
    name = sql.Identifier(fence.database)
    with context.source.connect("postgres") as connection:
        if fence.read_only_setting is None:
            statement = sql.SQL("ALTER DATABASE {} RESET {}").format(name, sql.SQL(READ_ONLY))
        else:
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                name, sql.SQL(READ_ONLY), sql.Literal(fence.read_only_setting)
            )
        connection.execute(statement)
        known = {row[0] for row in rows(connection, sql.SQL("SELECT rolname FROM pg_roles"))}
        for role in fence.login_roles:
            if role in known:
                connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))
                say(f"Role {role} may log in again.")
    say(f"Database {fence.database} accepts writes again.")
    return {"login_roles": [role for role in fence.login_roles if role in known]}
