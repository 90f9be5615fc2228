"""RDS for PostgreSQL behaves like RDS: every test here would pass against AWS (slowly)."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from psycopg import sql

from tests.local.waiting import eventually

pytestmark = pytest.mark.local

CLASS = "db.t4g.micro"
MASTER = "keeper"


class Database:
    """One instance and how to reach it."""

    def __init__(self, rds: Any, secrets: Any, bundle: Path, name: str) -> None:
        self.rds, self.secrets, self.bundle, self.name = rds, secrets, bundle, name

    def describe(self) -> dict[str, Any]:
        return self.rds.describe_db_instances(DBInstanceIdentifier=self.name)["DBInstances"][0]

    def until(self, status: str) -> dict[str, Any]:
        eventually(lambda: self.describe()["DBInstanceStatus"] in (status, "failed"))
        described = self.describe()
        assert described["DBInstanceStatus"] == status
        return described

    def credentials(self) -> dict[str, str]:
        secret = self.describe()["MasterUserSecret"]["SecretArn"]
        return json.loads(self.secrets.get_secret_value(SecretId=secret)["SecretString"])

    def connect(self, **changes: Any) -> psycopg.Connection:
        given = self.credentials()
        arguments = {
            "host": self.describe()["Endpoint"]["Address"], "port": 5432, "dbname": "know_me",
            "user": given["username"], "password": given["password"],
            "sslmode": "verify-full", "sslrootcert": str(self.bundle), "autocommit": True,
        }  # fmt: skip
        return psycopg.connect(**{**arguments, **changes})

    def query(self, statement: str) -> Any:
        with self.connect() as connection:
            return connection.execute(sql.SQL(statement)).fetchall()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rds(local_aws: Any) -> Any:
    return local_aws.client("rds")


@pytest.fixture(scope="module")
def database(local_aws: Any, rds: Any) -> Iterator[Database]:
    """One instance for the whole module: a managed password and TLS forced by its parameter group."""
    bundle = Path(local_aws.variables["PGSSLROOTCERT"])
    family = rds.describe_db_engine_versions(Engine="postgres", DefaultOnly=True)["DBEngineVersions"][0]
    rds.create_db_parameter_group(
        DBParameterGroupName="keeper",
        DBParameterGroupFamily=family["DBParameterGroupFamily"],
        Description="of the tests",
    )
    rds.modify_db_parameter_group(
        DBParameterGroupName="keeper",
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    created = rds.create_db_instance(
        DBInstanceIdentifier="keeper",
        Engine="postgres",
        EngineVersion=family["EngineVersion"],
        DBInstanceClass=CLASS,
        AllocatedStorage=20,
        MasterUsername=MASTER,
        ManageMasterUserPassword=True,
        DBName="know_me",
        DBParameterGroupName="keeper",
        EnableCloudwatchLogsExports=["postgresql"],
        Tags=[{"Key": "Name", "Value": "keeper"}],
    )["DBInstance"]
    assert created["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in created
    made = Database(rds, local_aws.client("secretsmanager"), bundle, "keeper")
    made.until("available")
    yield made
    rds.delete_db_instance(DBInstanceIdentifier="keeper", SkipFinalSnapshot=True)
    eventually(lambda: not rds.describe_db_instances()["DBInstances"])


def test_psql_verifies_the_server_fully_with_the_password_from_secrets_manager(database: Database):
    with database.connect() as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (MASTER, "know_me")
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (
            True,
        )
    assert database.describe()["MasterUserSecret"]["SecretStatus"] == "active"


def test_a_connection_without_tls_is_refused_when_the_group_forces_it(database: Database):
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        database.connect(sslmode="disable")


def test_a_wrong_password_is_refused(database: Database):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        database.connect(password="wrong")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE keeper SUPERUSER",
        "CREATE ROLE another SUPERUSER",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "CREATE EXTENSION file_fdw",
        "CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'x', 'y'",
    ],
)
def test_the_master_user_is_no_superuser(database: Database, statement: str):
    with (
        database.connect() as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFile)),
    ):
        connection.execute(statement)


def test_the_master_user_creates_databases_roles_and_listed_extensions(database: Database):
    with database.connect() as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute("CREATE DATABASE spare")
        connection.execute("CREATE EXTENSION pg_stat_statements")  # not trusted by PostgreSQL, on RDS's list
        connection.execute("DROP EXTENSION pg_stat_statements")
        connection.execute("DROP DATABASE spare")
        connection.execute("DROP ROLE app")


def test_nobody_but_rds_enters_its_own_database(database: Database):
    with pytest.raises(psycopg.OperationalError):
        database.connect(dbname="rdsadmin")


def test_a_version_that_is_not_there_is_refused_in_awss_words(rds: Any):
    with pytest.raises(ClientError) as refused:
        rds.create_db_instance(
            DBInstanceIdentifier="never", Engine="postgres", EngineVersion="9.1", DBInstanceClass=CLASS,
            AllocatedStorage=20, MasterUsername=MASTER, MasterUserPassword="12345678",
        )  # fmt: skip
    assert refused.value.response["Error"]["Code"] == "InvalidParameterCombination"
    assert refused.value.response["Error"]["Message"] == "Cannot find version 9.1 for postgres"


def test_a_static_parameter_waits_for_the_reboot_and_a_dynamic_one_does_not(database: Database, rds: Any):
    # When both kinds change
    rds.modify_db_parameter_group(
        DBParameterGroupName="keeper",
        Parameters=[
            {"ParameterName": "max_connections", "ParameterValue": "77", "ApplyMethod": "pending-reboot"},
            {
                "ParameterName": "log_min_duration_statement",
                "ParameterValue": "1234",
                "ApplyMethod": "immediate",
            },
        ],
    )
    # Then the dynamic one counts in new sessions and the instance says that it waits for the other
    eventually(lambda: database.query("SHOW log_min_duration_statement") == [("1234ms",)])
    assert database.describe()["DBParameterGroups"][0]["ParameterApplyStatus"] == "pending-reboot"
    assert database.query("SHOW max_connections") != [("77",)]
    # And after a reboot both count
    rds.reboot_db_instance(DBInstanceIdentifier="keeper")
    described = database.until("available")
    assert described["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    assert database.query("SHOW max_connections") == [("77",)]


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            {"ParameterName": "no_such", "ParameterValue": "1", "ApplyMethod": "immediate"},
            "Could not find parameter",
        ),
        (
            {"ParameterName": "max_connections", "ParameterValue": "9", "ApplyMethod": "immediate"},
            "cannot use immediate apply method for static parameter",
        ),
        (
            {"ParameterName": "work_mem", "ParameterValue": "-5", "ApplyMethod": "immediate"},
            "allowed values are",
        ),
        ({"ParameterName": "fsync", "ParameterValue": "0", "ApplyMethod": "immediate"}, "cannot be modified"),
    ],
)
def test_a_bad_parameter_is_refused(database: Database, rds: Any, parameter: dict[str, str], message: str):
    with pytest.raises(ClientError, match=message):
        rds.modify_db_parameter_group(DBParameterGroupName="keeper", Parameters=[parameter])


def test_user_parameters_can_be_told_from_the_engines_defaults(database: Database, rds: Any):
    pages = rds.get_paginator("describe_db_parameters")
    mine = [
        parameter
        for page in pages.paginate(DBParameterGroupName="keeper", Source="user")
        for parameter in page["Parameters"]
    ]
    everything = [
        parameter
        for page in pages.paginate(DBParameterGroupName="keeper")
        for parameter in page["Parameters"]
    ]
    assert "rds.force_ssl" in {parameter["ParameterName"] for parameter in mine}
    assert len(everything) > 200 > len(mine)


def test_rotation_changes_the_password_in_the_database_and_in_the_secret(database: Database, rds: Any):
    # Given
    before = database.credentials()["password"]
    # When
    rds.modify_db_instance(
        DBInstanceIdentifier="keeper", RotateMasterUserPassword=True, ApplyImmediately=True
    )
    database.until("available")
    # Then
    assert database.credentials()["password"] != before
    assert database.query("SELECT 1") == [(1,)]
    with pytest.raises(psycopg.OperationalError):
        database.connect(password=before)


def test_a_snapshot_holds_what_was_there_and_a_restore_brings_it_back(database: Database, rds: Any):
    # Given rows, a snapshot, and rows that came later
    with database.connect() as connection:
        connection.execute("CREATE TABLE journal AS SELECT generate_series(1, 1000) AS id")
    made = rds.create_db_snapshot(DBInstanceIdentifier="keeper", DBSnapshotIdentifier="first")["DBSnapshot"]
    assert (made["Status"], made["PercentProgress"]) == ("creating", 0)
    rds.get_waiter("db_snapshot_available").wait(
        DBSnapshotIdentifier="first", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    database.until("available")
    with database.connect() as connection:
        connection.execute("DELETE FROM journal WHERE id > 10")
    # When it is copied and the copy restored
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier="first", TargetDBSnapshotIdentifier="second")
    rds.get_waiter("db_snapshot_available").wait(
        DBSnapshotIdentifier="second", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="restored", DBSnapshotIdentifier="second", DBInstanceClass=CLASS
    )
    restored = Database(rds, database.secrets, database.bundle, "restored")
    described = restored.until("available")
    # Then it is another instance with the old contents and the old passwords
    assert described["DbiResourceId"] != database.describe()["DbiResourceId"]
    assert described["Endpoint"]["Address"] != database.describe()["Endpoint"]["Address"]
    given = database.credentials()
    with restored_connection(restored, given) as connection:
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (1000,)
    assert database.query("SELECT count(*) FROM journal") == [(10,)]
    # And the deleted instance leaves its final snapshot
    rds.delete_db_instance(DBInstanceIdentifier="restored", FinalDBSnapshotIdentifier="final")
    assert restored.describe()["DBInstanceStatus"] == "deleting"
    rds.get_waiter("db_instance_deleted").wait(
        DBInstanceIdentifier="restored", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert rds.describe_db_snapshots(DBSnapshotIdentifier="final")["DBSnapshots"][0]["Status"] == "available"
    for name in ("first", "second", "final"):
        rds.delete_db_snapshot(DBSnapshotIdentifier=name)


def restored_connection(restored: Database, given: dict[str, str]) -> psycopg.Connection:
    return psycopg.connect(
        host=restored.describe()["Endpoint"]["Address"], dbname="know_me", user=given["username"],
        password=given["password"], sslmode="verify-full", sslrootcert=str(restored.bundle), autocommit=True,
    )  # fmt: skip


def test_a_stopped_instance_refuses_connections_and_starts_with_its_data(database: Database, rds: Any):
    with database.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    # When stopped
    rds.stop_db_instance(DBInstanceIdentifier="keeper")
    database.until("stopped")
    # Then
    with pytest.raises(psycopg.OperationalError):
        database.connect()
    with pytest.raises(ClientError, match="not in available state"):
        rds.stop_db_instance(DBInstanceIdentifier="keeper")
    # When started
    rds.start_db_instance(DBInstanceIdentifier="keeper")
    database.until("available")
    assert database.query("SELECT id FROM kept") == [(1,)]


def test_a_crashed_server_is_restarted_with_what_was_committed(database: Database, rds: Any, local_aws: Any):
    # Given
    with database.connect() as connection:
        connection.execute("CREATE TABLE survivors AS SELECT 1 AS id")
    (process,) = [each for each in local_aws.status()["processes"] if each["name"] == "rds/keeper"]

    def restarts() -> int:
        events = rds.describe_events(SourceIdentifier="keeper", SourceType="db-instance")["Events"]
        return sum(event["Message"] == "DB instance restarted" for event in events)

    before = restarts()
    # When
    os.kill(process["pid"], signal.SIGKILL)
    # Then
    eventually(lambda: restarts() > before)
    assert database.query("SELECT id FROM survivors") == [(1,)]


def test_modifications_wait_unless_applied_immediately(database: Database, rds: Any):
    # When
    rds.modify_db_instance(
        DBInstanceIdentifier="keeper", DBInstanceClass="db.t4g.small", BackupRetentionPeriod=3
    )
    described = database.until("available")
    # Then the class waits, the retention period does not
    assert described["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.small"}
    assert (described["DBInstanceClass"], described["BackupRetentionPeriod"]) == (CLASS, 3)
    # When
    rds.modify_db_instance(
        DBInstanceIdentifier="keeper", DBInstanceClass="db.t4g.small", ApplyImmediately=True
    )
    described = database.until("available")
    # Then
    assert (described["DBInstanceClass"], described["PendingModifiedValues"]) == ("db.t4g.small", {})


def test_deletion_protection_and_the_final_snapshot_are_insisted_on(database: Database, rds: Any):
    with pytest.raises(ClientError, match="FinalDBSnapshotIdentifier is required"):
        rds.delete_db_instance(DBInstanceIdentifier="keeper")
    rds.modify_db_instance(DBInstanceIdentifier="keeper", DeletionProtection=True)
    database.until("available")
    with pytest.raises(ClientError, match="Cannot delete protected DB Instance"):
        rds.delete_db_instance(DBInstanceIdentifier="keeper", SkipFinalSnapshot=True)
    rds.modify_db_instance(DBInstanceIdentifier="keeper", DeletionProtection=False)
    database.until("available")


def test_the_servers_log_arrives_in_cloudwatch(database: Database, local_aws: Any):
    logs = local_aws.client("logs")
    group = "/aws/rds/instance/keeper/postgresql"
    assert eventually(
        lambda: any(
            "ready to accept connections" in event["message"]
            for event in logs.filter_log_events(logGroupName=group)["events"]
        ),
        20,
    )


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        (
            "restore_db_instance_to_point_in_time",
            {"TargetDBInstanceIdentifier": "x", "SourceDBInstanceIdentifier": "y"},
        ),
        ("create_db_cluster", {"DBClusterIdentifier": "x", "Engine": "aurora-postgresql"}),
        (
            "create_db_instance_read_replica",
            {"DBInstanceIdentifier": "x", "SourceDBInstanceIdentifier": "keeper"},
        ),
    ],
)
def test_what_is_not_implemented_is_refused_at_once(rds: Any, action: str, arguments: dict[str, str]):
    with pytest.raises(ClientError, match="not implemented") as refused:
        getattr(rds, action)(**arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
