"""Job `restore`: a dump of the run folder into the candidate, by a master user who is no superuser.

What such a user may not do in the order that pg_restore does it is done here, one step after the other:

1. roles first, and the master user a member of each, so that it may give objects to them;
2. the database is made anew with the encoding and collation of the source, which also makes a repeated job
safe; 3. schemas; owners get CREATE where they need it for the moment of the restore (`ALTER … OWNER TO` asks
for it); 4. tables, data, indexes, constraints …, in parallel; then indexes of partitions are attached, one
after the other; then foreign keys, in parallel; 5. grants, acting for the roles that granted
(`SET SESSION AUTHORIZATION` is for superusers, `SET ROLE` is for members); 6. what needs the grants:
materialised views, publications, event triggers; 7. settings, grants and comment of the database, comments
on extensions, ANALYZE.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from job_support.errors import JobError
from job_support.performance import Figures
from job_support.progress import now, say
from psycopg import sql

from database_jobs import dump, fence
from database_jobs.client_tools import ClientTools
from database_jobs.connections import Connection, rows, value
from database_jobs.context import JobContext, required, threads, watching
from database_jobs.roles import (
    ClusterDescription,
    is_reserved,
    restore_database_properties,
    restore_roles,
)

MARKER = "restore.json"
ENTRY = re.compile(r"^\d+; \d+ \d+ (?P<what>.+)$")
STEPS = {
    "schemas": re.compile("SCHEMA - |COMMENT - SCHEMA "),
    "grants": re.compile("ACL |DEFAULT ACL "),
    "after_grants": re.compile(
        "MATERIALIZED VIEW DATA |(COMMENT - )?EVENT TRIGGER |(COMMENT - )?PUBLICATION "
    ),
    # A partitioned index is valid when all that belong to it are attached and valid. When the last partitions
    # of two sub-partitioned tables are attached at the same moment, neither sees the other's index become
    # valid, and the index above both stays invalid for ever.
    "attachments": re.compile("INDEX ATTACH "),
    # A foreign key may refer to an index that the attachments make valid, a comment to the foreign key.
    "foreign_keys": re.compile("FK CONSTRAINT |COMMENT .+ CONSTRAINT "),
}
"""Step of the restore → how its entries begin; the first that matches counts, all others are `objects`."""

# Made by hand afterwards: only an extension's owner may comment it, and that is not always the master user.
BY_HAND = ("COMMENT - EXTENSION ",)


@dataclass
class Contents:
    """A table of contents, divided by step; the order within each is pg_dump's."""

    schemas: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    foreign_keys: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    after_grants: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, listing: str) -> "Contents":
        """Divide what `pg_restore --list` says."""
        contents = cls()
        for line in listing.splitlines():
            entry = ENTRY.match(line)
            if entry is None or entry["what"].startswith(BY_HAND):
                continue
            what = entry["what"]
            if what.startswith("SCHEMA - public ") and is_reserved(what.rsplit(" ", 1)[1]):
                # Before PostgreSQL 15 `public` belongs to RDS's superuser, who stays its owner.
                continue
            step = next((step for step, begins in STEPS.items() if begins.match(what)), "objects")
            getattr(contents, step).append(line)
        return contents


def run(context: JobContext) -> Figures:
    """Restore the run's dump into the candidate.

    Raises
    ------
    JobError
        `RestoreFailed`, `ClientToolsTooOld`.
    """
    manifest, description = read_manifest(context)
    guard(context, manifest)
    tools = context.client_tools()
    directory = fetch(context, manifest)
    server = context.candidate
    name = server.database.database_name
    with server.connect("postgres") as connection:
        locked, refused = restore_roles(
            connection, description, application_role=server.database.application_role
        )
        fail_on(refused, "roles")
        recreate(connection, description, name, server.database.application_role)
    restore_objects(context, tools, directory, manifest, description)
    with server.connect() as connection:
        refused = restore_database_properties(connection, description, name)
        fail_on(refused, "properties of the database")
        uncommented = comment_extensions(connection, description)
        analyzed = analyze(context, connection)
        size = int(value(connection, sql.SQL("SELECT pg_database_size(current_database())")))
    if locked:
        say(
            f"Made without login (their passwords are not in a dump): {', '.join(locked)}. "
            "ALTER ROLE … LOGIN PASSWORD … gives it back."
        )
    return {
        "tables": manifest.tables,
        "tables_analyzed": analyzed,
        "database_bytes": size,
        "roles": len(description.roles),
        "roles_without_login": locked,
        "extension_comments_left_out": uncommented,
        "client_major": tools.major,
    }


def read_manifest(context: JobContext) -> tuple[dump.Manifest, ClusterDescription]:
    """Return the dump's manifest and the description beside it."""
    document = context.folder.read_json(dump.MANIFEST)
    cluster = context.folder.read_json(dump.CLUSTER)
    required(
        document and cluster,
        "RestoreFailed",
        f"{context.folder.url}/{dump.FOLDER} holds no complete dump.",
        "Run the dump job first.",
    )
    return dump.Manifest.model_validate(document), ClusterDescription.model_validate(cluster)


def guard(context: JobContext, manifest: dump.Manifest) -> None:
    """Refuse to touch a database that holds something: the source, or a candidate that others filled.

    A candidate that this run began to fill before (`restore.json` says so) is made anew.
    """
    database = context.candidate.database
    fenced = fence.recorded(context.folder)
    sources = {manifest.instance_id, fenced.instance_id if fenced else manifest.instance_id}
    required(
        database.instance_id not in sources
        and (database.endpoint, database.port) != (manifest.endpoint, manifest.port),
        "RestoreFailed",
        f"The candidate {database.instance_id} is the instance that was dumped; a restore would destroy it.",
        "Give the generation that is to be filled as the candidate.",
    )
    marker = context.folder.read_json(MARKER)
    if marker and marker["instance_id"] == database.instance_id:
        say("An earlier attempt of this run began to fill the candidate: its database is made anew.")
        return
    with context.candidate.connect("postgres") as connection:
        exists = value(
            connection, sql.SQL("SELECT true FROM pg_database WHERE datname = %s"), [database.database_name]
        )
    if exists:
        with context.candidate.connect() as connection:
            found = user_objects(connection)
        required(
            not found,
            "RestoreFailed",
            f"Database {database.database_name} on {database.instance_id} is not empty: "
            f"{', '.join(found[:10])}.",
            "Restore into an empty generation, or drop what is there yourself.",
        )
    context.folder.write_json(
        MARKER,
        {"instance_id": database.instance_id, "database": database.database_name, "started_at": now()},
    )


def user_objects(connection: Connection) -> list[str]:
    """Return the names of relations and schemas that people made."""
    return [
        row[0]
        for row in rows(
            connection,
            sql.SQL(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
                " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
                " AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"
                " UNION ALL SELECT 'schema ' || quote_ident(nspname) FROM pg_namespace"
                " WHERE nspname !~ '^(pg_|rds)' AND nspname NOT IN ('information_schema', 'public') "
                "ORDER BY 1"
            ),
        )
    ]


def fetch(context: JobContext, manifest: dump.Manifest) -> Path:
    """Download the dump in parallel and check each file's checksum."""
    directory = context.directory / "dump"
    context.progress.start("fetch the dump", sum(file.size for file in manifest.files), "bytes")

    def fetch_one(file: dump.DumpedFile) -> str | None:
        path = directory / file.name
        came = context.folder.download(f"{dump.FILES}/{file.name}", path, context.progress.add)
        return None if came and dump.sha256_of(path) == file.sha256 else file.name

    with threads(dump.TRANSFERS) as pool:
        broken = [name for name in pool.map(fetch_one, manifest.files) if name]
    required(
        not broken,
        "RestoreFailed",
        f"Files of the dump are missing or do not match their checksums: {', '.join(broken[:10])}.",
        "The dump was damaged or replaced in S3: dump again.",
    )
    context.progress.finish()
    return directory


def recreate(
    connection: Connection, description: ClusterDescription, name: str, application_role: str
) -> None:
    """Drop the candidate's database and make it with the encoding, collation and owner of the source."""
    owner = application_role if is_reserved(description.owner) else description.owner
    known = value(connection, sql.SQL("SELECT true FROM pg_roles WHERE rolname = %s"), [owner])
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    statement = sql.SQL(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}"
    ).format(
        sql.Identifier(name),
        sql.Identifier(owner if known else application_role),
        *(sql.Literal(text) for text in (description.encoding, description.collate, description.ctype)),
    )
    if description.locale_provider != "libc":
        option = "ICU_LOCALE" if description.locale_provider == "icu" else "BUILTIN_LOCALE"
        statement += sql.SQL(" LOCALE_PROVIDER {} {} {}").format(
            sql.SQL(description.locale_provider), sql.SQL(option), sql.Literal(description.locale)
        )
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        raise JobError(
            "RestoreFailed",
            f"Database {name} cannot be made with encoding {description.encoding}, collation "
            f"{description.collate}: "
            f"{error.diag.message_primary or error}.",
            "Choose an engine version whose server knows this collation.",
        ) from error


def restore_objects(
    context: JobContext,
    tools: ClientTools,
    directory: Path,
    manifest: dump.Manifest,
    description: ClusterDescription,
) -> None:
    """Run the steps of the restore that read the archive."""
    listing = context.directory / "listing"
    tools.run("pg_restore", ["--list", str(directory)], {}, error_name="RestoreFailed", output=listing)
    contents = Contents.of(listing.read_text())
    environment = context.candidate.tool_environment(context.directory)

    def pg_restore(step: str, entries: list[str], jobs: int) -> None:
        if not entries:
            return
        say(f"pg_restore: {step} ({len(entries)} entries)")
        chosen = context.directory / "chosen.list"
        chosen.write_text("\n".join(entries) + "\n")
        arguments = [
            "--exit-on-error",
            "--no-password",
            "--no-tablespaces",
            f"--use-list={chosen}",
            f"--jobs={jobs}",
            f"--dbname={environment['PGDATABASE']}",
            str(directory),
        ]
        tools.run("pg_restore", arguments, environment, error_name="RestoreFailed", on_line=say)

    with context.candidate.connect() as connection:
        context.progress.start("restore", manifest.database_bytes, "bytes")
        size = sql.SQL("SELECT pg_database_size(current_database())")
        with watching(lambda: context.progress.set(int(value(connection, size)))):
            pg_restore("schemas", contents.schemas, 1)
            lent = lend_create(connection, description)
            pg_restore("tables, data, indexes and the rest", contents.objects, context.inputs.workers)
            pg_restore("attach the indexes of partitions", contents.attachments, 1)
            pg_restore("foreign keys", contents.foreign_keys, context.inputs.workers)
            take_back_create(connection, lent)
            restore_grants(context, tools, directory, contents.grants, environment)
            pg_restore("materialised views, publications, event triggers", contents.after_grants, 1)
        context.progress.finish()


Loan = tuple[str, str, str]


def lend_create(connection: Connection, description: ClusterDescription) -> list[Loan]:
    """Give owners CREATE on their schema (and the database) where they have it not; return what was given."""
    database = connection.info.dbname
    wishes: list[Loan] = [("SCHEMA", schema, owner) for schema, owner in description.creators]
    wishes += [
        ("DATABASE", database, owner) for owner in sorted({owner for _, owner in description.creators})
    ]
    wishes += [("DATABASE", database, role.name) for role in description.roles]
    lent: list[Loan] = []
    for kind, name, owner in wishes:
        function = sql.SQL(f"has_{kind.lower()}_privilege")
        has = value(
            connection,
            sql.SQL("SELECT {}(%s, oid, 'CREATE') FROM {} WHERE {} = %s").format(function, *CATALOGS[kind]),
            [owner, name],
        )
        if has is False:
            _create_privilege(connection, "GRANT {} TO {}", (kind, name, owner))
            lent.append((kind, name, owner))
    return lent


CATALOGS = {
    "SCHEMA": (sql.SQL("pg_namespace"), sql.SQL("nspname")),
    "DATABASE": (sql.SQL("pg_database"), sql.SQL("datname")),
}


def take_back_create(connection: Connection, lent: list[Loan]) -> None:
    """Take back what `lend_create` gave."""
    for loan in lent:
        _create_privilege(connection, "REVOKE {} FROM {}", loan)


def _create_privilege(connection: Connection, form: str, loan: Loan) -> None:
    kind, name, owner = loan
    what = sql.SQL("CREATE ON {} {}").format(sql.SQL(kind), sql.Identifier(name))
    connection.execute(sql.SQL(form).format(what, sql.Identifier(owner)))


def restore_grants(
    context: JobContext, tools: ClientTools, directory: Path, entries: list[str], environment: dict[str, str]
) -> None:
    """Execute the dump's grants in one transaction.

    Acting for other grantors as a member instead of a superuser.
    """
    if not entries:
        return
    chosen, script = context.directory / "grants.list", context.directory / "grants.sql"
    chosen.write_text("\n".join(entries) + "\n")
    tools.run(
        "pg_restore",
        [f"--use-list={chosen}", f"--file={script}", str(directory)],
        {},
        error_name="RestoreFailed",
    )
    script.write_text(as_member(script.read_text()))
    say(f"psql: grants ({len(entries)} entries)")
    arguments = ["--no-psqlrc", "--no-password", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    tools.run(
        "psql",
        [*arguments, "--output=/dev/null", f"--file={script}"],
        environment,
        error_name="RestoreFailed",
        on_line=say,
    )


def as_member(script: str) -> str:
    """Replace pg_dump's `SET SESSION AUTHORIZATION` around grants of other grantors by `SET ROLE`."""
    script = re.sub(r"^SET SESSION AUTHORIZATION (.+;)$", r"SET ROLE \1", script, flags=re.MULTILINE)
    return re.sub(r"^RESET SESSION AUTHORIZATION;$", "RESET ROLE;", script, flags=re.MULTILINE)


def comment_extensions(connection: Connection, description: ClusterDescription) -> list[str]:
    """Give extensions the comments of the source where they differ; return those that the server refused."""
    left_out = []
    for extension in description.extensions:
        here = value(
            connection,
            sql.SQL(
                "SELECT coalesce(obj_description(oid, 'pg_extension'), '') FROM pg_extension WHERE "
                "extname = %s"
            ),
            [extension.name],
        )
        if here is None or here == (extension.comment or ""):
            continue
        try:
            connection.execute(
                sql.SQL("COMMENT ON EXTENSION {} IS {}").format(
                    sql.Identifier(extension.name), sql.Literal(extension.comment)
                )
            )
        except psycopg.errors.InsufficientPrivilege:
            left_out.append(extension.name)
    return left_out


def analyze(context: JobContext, connection: Connection) -> int:
    """ANALYZE every table, the largest first, in parallel; return how many."""
    tables = rows(
        connection,
        sql.SQL(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> "
            "'information_schema'"
            " ORDER BY pg_table_size(c.oid) DESC"
        ),
    )
    context.progress.start("analyze", len(tables), "tables")
    connections = [context.candidate.open() for _ in range(min(context.inputs.workers, max(1, len(tables))))]

    def work(worker: int) -> None:
        for schema, table in tables[worker :: len(connections)]:
            connections[worker].execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table)))
            context.progress.add(1)

    try:
        with threads(len(connections)) as pool:
            list(pool.map(work, range(len(connections))))
    finally:
        for opened in connections:
            context.candidate.close(opened)
    context.progress.finish()
    return len(tables)


def fail_on(refused: list[str], what: str) -> None:
    """Raise when the server refused something that must be equal."""
    required(
        not refused,
        "RestoreFailed",
        f"The candidate's server refused {what}: {'; '.join(refused[:20])}.",
        "The preflight names what this server does not allow and how to do without.",
    )
