"""A schema with one of everything moves by the jobs alone.

Looked at with SQL, not with our own verification.
"""

import hashlib
from typing import Any

import boto3
import psycopg
import pytest
from psycopg import sql

from tests.local.database_jobs.clusters import Cluster
from tests.local.database_jobs.conftest import APPLICATION_ROLE, BUCKET, DATABASE, Migrated, secret_of

# Facts that must be the same on both sides, each asked of the server's own catalogue.
FACTS = {
    "tables and owners": """
        SELECT n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner), c.reloptions, c.relreplident,
               c.relrowsecurity, c.relispopulated
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2""",
    "columns": """
        SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
               attgenerated, attstattarget, attstorage, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped
        AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, condeferrable,
        condeferred FROM pg_constraint ORDER BY 1, 2, 3""",
    "indexes": "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid, "
    "indisclustered FROM pg_index"
    " JOIN pg_class c ON c.oid = indrelid WHERE c.oid >= 16384 AND relkind <> 't' ORDER BY 1",
    "triggers": "SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger"
    " WHERE NOT tgisinternal ORDER BY 1, 2",
    "policies": "SELECT schemaname, tablename, policyname, permissive, roles::text, cmd, qual, "
    "with_check FROM pg_policies"
    " ORDER BY 2, 3",
    "table grants": "SELECT oid::regclass::text, (SELECT array_agg(x::text ORDER BY x::text) FROM "
    "unnest(relacl) x)"
    " FROM pg_class WHERE oid >= 16384 AND relacl IS NOT NULL ORDER BY 1",
    "column grants": "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute"
    " WHERE attrelid >= 16384 AND attacl IS NOT NULL ORDER BY 1, 2",
    "default privileges": "SELECT pg_get_userbyid(defaclrole), defaclnamespace::regnamespace::text, "
    "defaclobjtype,"
    " defaclacl::text FROM pg_default_acl ORDER BY 1, 2, 3",
    "functions": "SELECT oid::regprocedure::text, prosrc, proacl::text, proconfig, prosecdef, "
    "pg_get_userbyid(proowner)"
    " FROM pg_proc WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid "
    "AND deptype = 'e')"
    " ORDER BY 1",
    "publications": "SELECT p.pubname, pg_get_userbyid(pubowner), pubinsert, pubdelete, t.tablename, "
    "t.attnames"
    " FROM pg_publication p LEFT JOIN pg_publication_tables t USING (pubname) ORDER BY 1, 5",
    "extensions": "SELECT extname, extversion, extnamespace::regnamespace::text FROM pg_extension ORDER BY 1",
    "comments": "SELECT classoid::regclass::text, description FROM pg_description WHERE objoid >= 16384"
    " AND description ~ '(row|enough|address|private|old|third|own words)' ORDER BY 1, 2",
    "large objects": "SELECT oid, pg_get_userbyid(lomowner), lomacl::text, sha256(lo_get(oid))"
    " FROM pg_largeobject_metadata ORDER BY 1",
    "database": "SELECT pg_get_userbyid(datdba), datconnlimit, datcollate, shobj_description(oid, "
    "'pg_database')"
    " FROM pg_database WHERE datname = 'know_me'",
    "rows of person": "SELECT md5(string_agg(p::text, '|' ORDER BY number)), count(*) FROM person p",
    "rows of partitions": "SELECT tableoid::regclass::text, count(*), sum(id) FROM event GROUP BY 1 "
    "ORDER BY 1",
    "rows of quoted names": 'SELECT * FROM "Mixed Case"."Table with ""quotes"" and ünïcode" ORDER BY 1',
    "rows without columns": "SELECT count(*) FROM nothing",
    "rows by inheritance": "SELECT tableoid::regclass::text, a FROM parent ORDER BY 1, 2",
    "sequences": "SELECT schemaname, sequencename, last_value, start_value, increment_by, max_value, "
    "cycle, cache_size"
    " FROM pg_sequences ORDER BY 1, 2",
    "untouched sequence": "SELECT last_value, is_called FROM untouched",
    "materialised view": "SELECT * FROM moods ORDER BY 1",
}


@pytest.mark.parametrize("fact", FACTS)
def test_fact_is_the_same_on_both_sides(migrated: Migrated, fact: str) -> None:
    # Given the moved database, when both servers are asked, then they answer the same and not nothing
    answers = []
    for cluster in (migrated.blue, migrated.green):
        with cluster.superuser(DATABASE) as connection:
            connection.execute("SET search_path = public; SET timezone = 'UTC'")
            answers.append(connection.execute(FACTS[fact]).fetchall())  # type: ignore[call-overload]
    assert answers[0] == answers[1]
    assert answers[0]


def test_roles_move_without_passwords_and_only_the_application_may_log_in(migrated: Migrated) -> None:
    with migrated.green.superuser("postgres") as connection:
        found: dict[str, Any] = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT rolname, rolcanlogin, rolinherit, rolconnlimit, rolvaliduntil::timestamptz AT "
                "TIME ZONE 'UTC'"
                " FROM pg_roles WHERE rolname !~ '^(pg_|rds)'"
            )
        }
        members = connection.execute(
            "SELECT r.rolname, m.rolname, admin_option FROM pg_auth_members a JOIN pg_roles r ON r.oid "
            "= roleid"
            " JOIN pg_roles m ON m.oid = member WHERE m.rolname IN ('reporting', 'know_me') ORDER BY 1, 2"
        ).fetchall()
        settings = connection.execute(
            "SELECT r.rolname, d.datname, setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON "
            "r.oid = setrole"
            " LEFT JOIN pg_database d ON d.oid = setdatabase ORDER BY 1, 2"
        ).fetchall()
    assert found[APPLICATION_ROLE][0] is True
    assert found["reporting"][:3] == (False, True, 3)
    assert str(found["reporting"][3]) == "2031-05-06 07:08:09"
    assert found["Read Only"][:2] == (False, False)
    assert members == [
        ("Read Only", "reporting", False),
        ("pg_read_all_settings", "reporting", False),
        ("reporting", "know_me", True),
    ]
    assert settings == [
        ("reporting", "know_me", ['search_path="$user", "Mixed Case", public']),
        ("reporting", None, ["statement_timeout=5min"]),
        (None, "know_me", ["TimeZone=Europe/Vienna", 'search_path=public, "Mixed Case"']),
    ]
    assert migrated.run.document("jobs/restore.json")["figures"]["roles_without_login"] == ["reporting"]


def test_application_works_on_the_candidate_with_the_password_of_its_secret(migrated: Migrated) -> None:
    # Given the secret that the run filled
    secret = secret_of(migrated.run.candidate)
    assert {key: secret[key] for key in ("username", "dbname", "engine", "port")} == {
        "username": APPLICATION_ROLE,
        "dbname": DATABASE,
        "engine": "postgres",
        "port": migrated.green.port,
    }
    # When the application writes, then identity and serial go on after the last value of the source
    with migrated.green.connect(APPLICATION_ROLE, secret["password"], DATABASE) as connection:
        with connection.transaction(force_rollback=True):
            row = connection.execute(
                "INSERT INTO person (email) VALUES ('new@example.org') RETURNING id, number, lower_name"
            ).fetchone()
            connection.execute("CREATE TABLE later (id int)")
        invoice = connection.execute("SELECT nextval('untouched')").fetchone()
        connection.execute("SELECT setval('untouched', 77, false)")
    assert row == (5010, 501, "nobody")
    assert invoice == (77,)


def test_restored_tables_have_statistics(migrated: Migrated) -> None:
    with migrated.green.superuser(DATABASE) as connection:
        found = connection.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'person'").fetchone()
        tables = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'event'").fetchone()
    assert found is not None and found[0] > 15
    assert tables == (1200.0,)


def test_no_privilege_lent_for_the_restore_is_left(migrated: Migrated) -> None:
    with migrated.green.superuser(DATABASE) as connection:
        found = connection.execute(
            "SELECT has_schema_privilege('reporting', 'public', 'CREATE'),"
            " has_database_privilege('reporting', 'know_me', 'CREATE')"
        ).fetchone()
    assert found == (False, False)


def test_dump_is_a_backup_with_checksums_and_table_of_contents(migrated: Migrated) -> None:
    manifest = migrated.run.document("dump/manifest.json")
    assert manifest["database"] == DATABASE and manifest["instance_id"] == "know-me-test-blue"
    s3 = boto3.client("s3")
    prefix = f"{migrated.run.prefix}/dump/"
    stored = {}
    for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}files/")["Contents"]:
        body = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        stored[entry["Key"].removeprefix(f"{prefix}files/")] = hashlib.sha256(body).hexdigest()
    assert stored == {file["name"]: file["sha256"] for file in manifest["files"]}
    assert "toc.dat" in stored
    contents = s3.get_object(Bucket=BUCKET, Key=f"{prefix}contents.list")["Body"].read().decode()
    assert "TABLE DATA public person know_me" in contents
    roles = {role["name"]: role["login"] for role in migrated.run.document("dump/cluster.json")["roles"]}
    # The dump says how it was before the fence
    assert roles["know_me"] and roles["reporting"]


def test_verification_document_names_every_table(migrated: Migrated) -> None:
    document = migrated.run.document("verification.json")
    tables = {table["name"]: table for table in document["tables"]}
    assert document["verdict"] == "equal" and document["differences"] == []
    assert tables["public.person"]["rows"] == 490
    assert tables["public.nothing"]["rows"] == 2
    assert document["rows"] == sum(table["rows"] for table in tables.values())
    assert {check["result"] for check in document["checks"]} == {"passed", "warning"}


def test_every_job_records_its_result_and_progress(migrated: Migrated) -> None:
    for job in ("inspect", "inspect-candidate", "prepare-role", "stop-writers", "dump", "restore", "verify"):
        result = migrated.run.document(f"jobs/{job}.json")
        assert (result["job"], result["status"], result["error"]) == (job, "succeeded", None)
        assert result["run_id"] == migrated.run.run_id and result["seconds"] > 0
    progress = migrated.run.document("jobs/dump.progress.json")
    assert progress["done"] == progress["total"] > 0
    assert set(progress) == {"job", "phase", "done", "total", "unit", "at"}


def test_no_secret_is_printed_logged_or_stored(migrated: Migrated) -> None:
    # Given the passwords of this run
    values = [secret_of(migrated.run.candidate)["password"], migrated.blue.password, migrated.green.password]
    # When everything that the run leaves behind is searched; the servers log every statement
    s3 = boto3.client("s3")
    places = {"printed": migrated.output, "blue's log": migrated.blue.log, "green's log": migrated.green.log}
    for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=migrated.run.prefix)["Contents"]:
        places[entry["Key"]] = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read().decode("latin-1")
    assert "SCRAM-SHA-256" in places["green's log"]
    # Then none is found
    assert [name for name, text in places.items() for value in values if value in text] == []


def test_fenced_source_still_refuses_writers_after_the_run(migrated: Migrated) -> None:
    secret = secret_of(migrated.run.source)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        migrated.blue.connect(APPLICATION_ROLE, secret["password"], DATABASE)
    with migrated.blue.master(DATABASE) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE nobody_writes (id int)")


def test_restore_repeated_over_a_half_restored_candidate_makes_it_anew(migrated: Migrated) -> None:
    # Given a candidate that an attempt of this run left half done
    with migrated.green.superuser(DATABASE) as connection:
        connection.execute(
            "DROP TABLE booking; CREATE TABLE half_done (id int); DROP MATERIALIZED VIEW moods"
        )
    # When the job is repeated
    output = migrated.run.job("restore")
    # Then the candidate is whole
    assert "made anew" in output
    migrated.run.job("verify")


def test_two_databases_of_one_run_are_never_confused(migrated: Migrated) -> None:
    # Given a manifest that says the candidate is the instance that was dumped
    run = migrated.run
    wrong = type(run)(run.environment, run.authority, run.source, run.source, run_id=run.run_id)
    # When it is restored, then it refuses, and the old database is as it was
    output = wrong.job("restore", expect=1)
    assert "would destroy it" in output
    with migrated.blue.superuser(DATABASE) as connection:
        assert connection.execute(sql.SQL("SELECT count(*) FROM person")).fetchone() == (490,)
    assert wrong.document("jobs/restore.json")["error"]["name"] == "RestoreFailed"


def test_stored_dump_that_was_damaged_is_refused(migrated: Migrated) -> None:
    # Given a dump with one file changed in S3
    run = migrated.run
    name = next(
        file["name"] for file in run.document("dump/manifest.json")["files"] if file["name"].endswith(".gz")
    )
    key = f"{run.prefix}/dump/files/{name}"
    s3 = boto3.client("s3")
    before = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=key, Body=before[:-1] + bytes([before[-1] ^ 1]))
    # When it is restored, then the file is named and the candidate untouched
    output = run.job("restore", expect=1)
    s3.put_object(Bucket=BUCKET, Key=key, Body=before)
    assert f"missing or do not match their checksums: {name}" in output
    run.job("verify")


def test_candidate_filled_by_somebody_else_is_refused(
    migrated: Migrated, green: Cluster, aws: dict[str, str]
) -> None:
    # Given another run that did not fill this candidate, with the same dump
    run = migrated.run
    other = type(run)(aws, run.authority, run.source, run.candidate)
    s3 = boto3.client("s3")
    for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{run.prefix}/dump/")["Contents"]:
        target = entry["Key"].replace(run.prefix, other.prefix)
        s3.copy_object(Bucket=BUCKET, Key=target, CopySource={"Bucket": BUCKET, "Key": entry["Key"]})
    # When it restores, then it is refused
    assert "is not empty" in other.job("restore", expect=1)
