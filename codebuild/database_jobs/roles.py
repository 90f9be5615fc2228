"""Roles, memberships, settings and database properties: what pg_dump leaves out.

Read as one document and made again.

Passwords are never read: a role that could log in gets a new one. The application role has its secret;
others are made without login, and a person gives them a password.
"""

import re
from typing import Any, Literal

import psycopg
from psycopg import sql
from pydantic import BaseModel, Field

from database_jobs.connections import Connection, major, rows

# rdsadmin, rds_superuser, rds_iam … and pg_read_all_data …: made by RDS and by PostgreSQL, not by us.
RESERVED = re.compile(r"^(pg_|rds)")

ATTRIBUTES = ("INHERIT", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")


class Setting(BaseModel):
    """`ALTER ROLE … IN DATABASE … SET name = value`; role or database absent means every one."""

    role: str | None
    this_database: bool
    name: str
    value: str


class Role(BaseModel):
    """A role of the cluster that people made."""

    name: str
    login: bool
    attributes: dict[str, bool]
    connection_limit: int
    valid_until: str | None
    comment: str | None


class Membership(BaseModel):
    """`GRANT role TO member`."""

    role: str
    member: str
    admin: bool
    inherit: bool
    can_set: bool


class Grant(BaseModel):
    """One entry of the database's access list; no grantee means PUBLIC."""

    grantee: str | None
    grantor: str
    privilege: str
    grantable: bool


class Extension(BaseModel):
    """An extension of the database."""

    name: str
    version: str
    schema_name: str
    comment: str | None


class ClusterDescription(BaseModel):
    """Everything of a database that its dump does not hold."""

    database: str
    owner: str
    encoding: str
    collate: str
    ctype: str
    locale_provider: Literal["libc", "icu", "builtin"]
    locale: str | None
    connection_limit: int
    comment: str | None
    grants: list[Grant]
    extensions: list[Extension]
    settings: list[Setting]
    roles: list[Role]
    memberships: list[Membership]
    creators: list[tuple[str, str]] = Field(
        default=[],
        description="schema and owner of something in it, where the owner may not create there (any more)",
    )


def is_reserved(role: str) -> bool:
    """Return whether RDS or PostgreSQL owns the name."""
    return bool(RESERVED.match(role))


def describe(connection: Connection, database: str) -> ClusterDescription:
    """Read the description of the connected cluster and database.

    Superusers are left out with the reserved names: on RDS only `rdsadmin` is one.
    """
    version = major(connection)
    roles = rows(
        connection,
        sql.SQL(
            "SELECT rolname, rolcanlogin, rolinherit, rolcreatedb, rolcreaterole, rolreplication, "
            "rolbypassrls,"
            " rolconnlimit, to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00',"
            " shobj_description(oid, 'pg_authid')"
            " FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^(pg_|rds)' ORDER BY rolname"
        ),
    )
    superusers = {row[0] for row in rows(connection, sql.SQL("SELECT rolname FROM pg_roles WHERE rolsuper"))}
    properties = _database(connection, database, version)
    return ClusterDescription(
        database=database,
        **properties,
        settings=_settings(connection, database, superusers),
        roles=[
            Role(
                name=row[0],
                login=row[1],
                attributes=dict(zip(ATTRIBUTES, row[2:7], strict=True)),
                connection_limit=row[7],
                valid_until=row[8],
                comment=row[9],
            )
            for row in roles
        ],
        memberships=_memberships(connection, version, superusers),
        extensions=[
            Extension(name=row[0], version=row[1], schema_name=row[2], comment=row[3])
            for row in rows(
                connection,
                sql.SQL(
                    "SELECT extname, extversion, n.nspname, obj_description(e.oid, 'pg_extension')"
                    " FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1"
                ),
            )
        ],
        creators=[
            (row[0], row[1])
            for row in rows(
                connection,
                sql.SQL(
                    "SELECT DISTINCT n.nspname, o.rolname FROM ("
                    " SELECT relnamespace AS namespace, relowner AS owner FROM pg_class WHERE relkind <> 't'"
                    " UNION SELECT pronamespace, proowner FROM pg_proc UNION SELECT typnamespace, "
                    "typowner FROM pg_type"
                    " UNION SELECT oprnamespace, oprowner FROM pg_operator"
                    " UNION SELECT collnamespace, collowner FROM pg_collation"
                    " UNION SELECT stxnamespace, stxowner FROM pg_statistic_ext"
                    " UNION SELECT cfgnamespace, cfgowner FROM pg_ts_config"
                    " UNION SELECT dictnamespace, dictowner FROM pg_ts_dict"
                    ") object JOIN pg_namespace n ON n.oid = object.namespace JOIN pg_roles o ON o.oid "
                    "= object.owner"
                    " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
                    " AND NOT o.rolsuper AND o.rolname !~ '^(pg_|rds)'"
                    " ORDER BY 1, 2"
                ),
            )
        ],
    )


def _database(connection: Connection, database: str, version: int) -> dict[str, Any]:
    provider = (
        "CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END"
        if version >= 15
        else "'libc'"
    )
    locale = "datlocale" if version >= 17 else "daticulocale" if version >= 15 else "NULL"
    names = (
        "owner",
        "encoding",
        "collate",
        "ctype",
        "locale_provider",
        "locale",
        "connection_limit",
        "comment",
    )
    row = rows(
        connection,
        sql.SQL(
            "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, {}, "
            "{}, datconnlimit,"
            " shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        ).format(sql.SQL(provider), sql.SQL(locale)),
        [database],
    )[0]
    grants = rows(
        connection,
        sql.SQL(
            "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END, "
            "pg_get_userbyid(a.grantor),"
            " a.privilege_type, a.is_grantable FROM pg_database d,"
            " aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a"
            " WHERE d.datname = %s ORDER BY 1 NULLS FIRST, 3, 2"
        ),
        [database],
    )
    keys = ("grantee", "grantor", "privilege", "grantable")
    return dict(zip(names, row, strict=True)) | {
        "grants": [dict(zip(keys, grant, strict=True)) for grant in grants]
    }


def _settings(connection: Connection, database: str, superusers: set[str]) -> list[Setting]:
    found = []
    for role, here, setting in rows(
        connection,
        sql.SQL(
            "SELECT r.rolname, s.setdatabase <> 0, unnest(s.setconfig) FROM pg_db_role_setting s"
            " LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase"
            " WHERE (d.datname = %s OR s.setdatabase = 0) ORDER BY 1 NULLS FIRST, 2, 3"
        ),
        [database],
    ):
        name, _, text = setting.partition("=")
        if role is None or not (is_reserved(role) or role in superusers):
            found.append(Setting(role=role, this_database=here, name=name, value=text))
    return found


def _memberships(connection: Connection, version: int, superusers: set[str]) -> list[Membership]:
    # PostgreSQL 16 split membership into ADMIN, INHERIT and SET; before, the member's own INHERIT decided.
    options = "m.inherit_option, m.set_option" if version >= 16 else "u.rolinherit, true"
    found = rows(
        connection,
        sql.SQL(
            "SELECT role, member, bool_or(admin), bool_or(inherits), bool_or(sets) FROM ("
            " SELECT r.rolname, u.rolname, m.admin_option, {} FROM pg_auth_members m"
            " JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member"
            ") AS membership (role, member, admin, inherits, sets) GROUP BY 1, 2 ORDER BY 1, 2"
        ).format(sql.SQL(options)),
    )
    names = ("role", "member", "admin", "inherit", "can_set")
    return [
        Membership(**dict(zip(names, row, strict=True)))
        for row in found
        if not is_reserved(row[1]) and row[1] not in superusers and row[0] not in superusers
    ]


def join(connection: Connection, names: list[str]) -> list[str]:
    """Make the master user a member of roles, so that it may act for them; return those it joined now.

    Ownership can only be given to a role that one can SET, and what a role owns can only be read with its
    privileges (INHERIT). Before PostgreSQL 16 membership means both.
    """
    options = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if major(connection) >= 16 else "")
    outside = [
        row[0]
        for row in rows(
            connection,
            sql.SQL(
                "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND rolname <> current_user AND "
                "NOT rolsuper"
                " AND NOT (pg_has_role(current_user, oid, 'MEMBER') AND pg_has_role(current_user, oid, "
                "'USAGE'))"
                " ORDER BY 1"
            ),
            [names],
        )
    ]
    for name in outside:
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER{}").format(sql.Identifier(name), options))
    return outside


def role_options(role: Role, *, login: bool) -> sql.Composed:
    """Return the options of CREATE ROLE and ALTER ROLE.

    Those that only few may give appear only when they are on.
    """
    words = [sql.SQL("LOGIN" if login else "NOLOGIN")]
    for attribute in ("INHERIT", "CREATEDB", "CREATEROLE"):
        words.append(sql.SQL(("" if role.attributes[attribute] else "NO") + attribute))
    words += [sql.SQL(name) for name in ("REPLICATION", "BYPASSRLS") if role.attributes[name]]
    options = sql.SQL(" ").join(words) + sql.SQL(" CONNECTION LIMIT {}").format(
        sql.Literal(role.connection_limit)
    )
    if role.valid_until is not None:
        options += sql.SQL(" VALID UNTIL {}").format(sql.Literal(role.valid_until))
    return options


def restore_roles(
    connection: Connection, description: ClusterDescription, *, application_role: str
) -> tuple[list[str], list[str]]:
    """Make the roles, memberships and comments of a description; safe to repeat.

    Only the application role may log in: it has a password of its own (job `prepare-role`).

    Returns
    -------
    The roles that could log in on the source and cannot here, and what the server refused, as sentences.
    """
    master = connection.info.user
    known = {row[0] for row in rows(connection, sql.SQL("SELECT rolname FROM pg_roles"))}
    refused: list[str] = []
    for role in description.roles:
        if role.name == master:
            continue
        verb = "ALTER" if role.name in known else "CREATE"
        login = role.login and role.name == application_role
        statement = sql.SQL("{} ROLE {} ").format(sql.SQL(verb), sql.Identifier(role.name))
        _attempt(connection, statement + role_options(role, login=login), f"role {role.name}", refused)
        if role.comment is not None:
            statement = sql.SQL("COMMENT ON ROLE {} IS {}").format(
                sql.Identifier(role.name), sql.Literal(role.comment)
            )
            _attempt(connection, statement, f"comment on role {role.name}", refused)
    names = [role.name for role in description.roles]
    if not refused:
        join(connection, names)
    split = major(connection) >= 16
    for membership in description.memberships:
        if membership.member == master or membership.role == master:
            continue
        options = [sql.SQL("ADMIN OPTION")] if membership.admin and not split else []
        if split:
            options = [
                sql.SQL(f"{word} {'TRUE' if on else 'FALSE'}")
                for word, on in (
                    ("ADMIN", membership.admin),
                    ("INHERIT", membership.inherit),
                    ("SET", membership.can_set),
                )
            ]
        statement = sql.SQL("GRANT {} TO {}").format(
            sql.Identifier(membership.role), sql.Identifier(membership.member)
        )
        if options:
            statement += sql.SQL(" WITH ") + sql.SQL(", ").join(options)
        _attempt(connection, statement, f"membership of {membership.member} in {membership.role}", refused)
    locked = [
        role.name for role in description.roles if role.login and role.name not in (application_role, master)
    ]
    return locked, refused


def restore_database_properties(
    connection: Connection, description: ClusterDescription, database: str
) -> list[str]:
    """Give the database the settings, grants, limit and comment of a description; return what was refused."""
    refused: list[str] = []
    name = sql.Identifier(database)
    for setting in description.settings:
        if setting.this_database and setting.role is None:
            target = sql.SQL("DATABASE {}").format(name)
        else:
            who = sql.Identifier(setting.role) if setting.role else sql.SQL("ALL")
            target = sql.SQL("ROLE {}").format(who)
            if setting.this_database:
                target += sql.SQL(" IN DATABASE {}").format(name)
        statement = sql.SQL("ALTER {} SET {} TO {}").format(
            target, sql.Identifier(*setting.name.split(".")), setting_value(setting)
        )
        _attempt(connection, statement, f"setting {setting.name} of {setting.role or database}", refused)
    _attempt(
        connection,
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
            name, sql.Literal(description.connection_limit)
        ),
        "connection limit",
        refused,
    )
    if description.comment is not None:
        statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(description.comment))
        _attempt(connection, statement, "comment on the database", refused)
    _restore_database_grants(connection, description, name, refused)
    return refused


def setting_value(setting: Setting) -> sql.Composable:
    """Return a setting's value as SQL. Lists (search_path …) are stored quoted, element by element.

    And go back so.
    """
    if setting.name.lower() in LISTS:
        elements = re.findall(r'"((?:[^"]|"")*)"|([^,\s]+)', setting.value)
        return (
            sql.SQL(", ").join(sql.Literal(quoted.replace('""', '"') or plain) for quoted, plain in elements)
            if (elements)
            else sql.Literal("")
        )
    return sql.Literal(setting.value)


# Settings whose value is a list of names (GUC_LIST_QUOTE in PostgreSQL's source, as in pg_dump's
# variable_is_guc_list_quote).
LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)


def _restore_database_grants(
    connection: Connection, description: ClusterDescription, name: sql.Identifier, refused: list[str]
) -> None:
    for grantee in (sql.SQL("PUBLIC"), sql.Identifier(description.owner)):
        statement = sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, grantee)
        _attempt(connection, statement, "grants on the database", refused)
    # The owner's own grants first, then those that others passed on.
    for grant in sorted(description.grants, key=lambda grant: grant.grantor != description.owner):
        if grant.grantee is not None and is_reserved(grant.grantee):
            continue
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(grant.privilege),
            name,
            sql.Identifier(grant.grantee) if grant.grantee else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
        )
        _attempt(
            connection,
            statement,
            f"{grant.privilege} on the database to {grant.grantee}",
            refused,
            grant.grantor,
        )


def _attempt(
    connection: Connection,
    statement: sql.Composed,
    what: str,
    refused: list[str],
    acting_for: str | None = None,
) -> None:
    """Execute in a transaction of its own, as another role when told; note a refusal of the server."""
    try:
        with connection.transaction():
            if acting_for is not None and acting_for != connection.info.user:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(acting_for)))
            connection.execute(statement)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
        refused.append(f"{what}: {error.diag.message_primary}")
