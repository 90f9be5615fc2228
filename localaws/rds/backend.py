"""RDS's control plane for engine `postgres`: requests change real clusters, and answers report them.

Work that takes RDS minutes is done in a thread, so statuses go the same way (creating → available, …) in
seconds.
"""

import random
import shutil
import stat
import string
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from moto.rds.exceptions import (
    DBInstanceAlreadyExists,
    DBInstanceNotFoundError,
    DBParameterGroupNotFoundError,
    DBSnapshotNotFoundFault,
    InvalidParameterCombination,
    InvalidParameterValue,
    RDSClientError,
)
from moto.rds.models import DBParameterGroup, DBSnapshot, RDSBackend, rds_backends
from moto.rds.urls import url_bases, url_paths

from localaws.rds import distribution, engine
from localaws.rds.cluster import Cluster, ClusterError, copy_files, create_roles, new_password, tail
from localaws.rds.instance import ManagedSecret, PostgreSQLInstance, now
from localaws.rds.parameters import catalogue, fault_of, settings
from localaws.runtime import Runtime

RESTART_LIMIT = 3

DEFERRABLE = {
    "db_instance_class": "DBInstanceClass",
    "allocated_storage": "AllocatedStorage",
    "engine_version": "EngineVersion",
    "multi_az": "MultiAZ",
    "storage_type": "StorageType",
    "iops": "Iops",
    "storage_throughput": "StorageThroughput",
    "db_port_number": "Port",
    "new_db_instance_identifier": "DBInstanceIdentifier",
}
"""What ModifyDBInstance leaves for the maintenance window unless ApplyImmediately; shown in
PendingModifiedValues."""

IMMEDIATE = (
    "auto_minor_version_upgrade",
    "backup_retention_period",
    "ca_certificate_identifier",
    "copy_tags_to_snapshot",
    "database_insights_mode",
    "deletion_protection",
    "max_allocated_storage",
    "monitoring_interval",
    "monitoring_role_arn",
    "network_type",
    "performance_insights_kms_key_id",
    "performance_insights_retention_period",
    "preferred_backup_window",
    "preferred_maintenance_window",
    "publicly_accessible",
    "vpc_security_group_ids",
)
"""What it changes at once, whatever ApplyImmediately says."""


class StateError(RDSClientError):  # type: ignore[misc]
    """The instance is not in a state in which this can be done."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidDBInstanceState", message)


class PostgreSQLBackend(RDSBackend):  # type: ignore[misc]
    """RDS in one region. `runtime` is set once by `install`."""

    runtime: ClassVar[Runtime]
    _url_module = SimpleNamespace(url_bases=url_bases, url_paths=url_paths)

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.directory = self.runtime.directory / "rds" / account_id / region_name
        self._administrator_password = new_password()

    # ------------------------------------------------------------------ creation

    def new_resource_id(self) -> str:
        """Return a DbiResourceId; moto gives every instance the same one."""
        return "db-" + "".join(random.choices(string.ascii_uppercase + "234567", k=26))  # noqa: S311

    def create_db_instance(self, db_kwargs: dict[str, Any]) -> PostgreSQLInstance:
        """Start to create an instance; it becomes `available` when a client could connect."""
        values = dict(db_kwargs.items())
        if not values.get("manage_master_user_password") and not values.get("master_user_password"):
            raise InvalidParameterValue("Invalid master password")
        if values.get("manage_master_user_password") and values.get("master_user_password"):
            raise InvalidParameterCombination(
                "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled."
            )
        if not values.get("master_username"):
            raise InvalidParameterValue(
                "The parameter MasterUsername must be provided and must not be blank."
            )
        if values["master_username"].lower() in ("rdsadmin", "admin", "rds_superuser") or values[
            "master_username"
        ].startswith("pg_"):
            raise InvalidParameterValue(
                f"MasterUsername {values['master_username']} cannot be used as it is a reserved word"
                " used by the engine"
            )
        instance = self._new_instance(values)
        password = values.get("master_user_password")
        self._later(instance, lambda: self._create(instance, password))
        return instance

    def _new_instance(self, values: dict[str, Any]) -> PostgreSQLInstance:
        name = values["db_instance_identifier"]
        self._validate_db_identifier(name)
        if name in self.databases:
            raise DBInstanceAlreadyExists()
        if values.get("engine") != engine.ENGINE or values.get("db_cluster_identifier"):
            raise InvalidParameterValue(
                f"Engine {values.get('engine')} is not implemented here: only DB instances of engine"
                " postgres are"
            )
        if values.get("db_instance_class") not in engine.CLASSES:
            raise InvalidParameterValue(f"Invalid DB Instance class: {values.get('db_instance_class')}")
        installation = engine.resolve(self.runtime.postgresql, values.get("engine_version"))
        values["engine_version"] = installation.version
        instance = PostgreSQLInstance(self, **values)
        group = instance.db_parameter_groups()[0]
        if group.family != f"postgres{installation.major}":
            raise InvalidParameterCombination(
                f"The parameter group {group.name} with DBParameterGroupFamily {group.family} can't"
                " be used for this"
                f" instance. Please use a parameter group with DBParameterGroupFamily"
                f" postgres{installation.major}"
            )
        instance.cluster = self._cluster(instance, installation.directory)
        self.databases[name] = instance
        return instance

    def _cluster(self, instance: PostgreSQLInstance, binaries: Path) -> Cluster:
        self._make_directory()
        variant = self.runtime.directory / "rds" / f"postgresql-{instance.major}"
        return Cluster(
            runtime=self.runtime,
            name=instance.db_instance_identifier,
            directory=self.directory / instance.dbi_resource_id,
            address=self.runtime.addresses.allocate(f"rds/{instance.db_instance_identifier}"),
            port=int(instance.port or 5432),
            binaries=binaries,
            postgres=distribution.build(binaries, variant),
            password=self._administrator_password,
            on_crash=lambda: self._recover(instance),
        )

    def _make_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if user := self.runtime.postgresql.user:
            shutil.chown(self.directory, user)
            closed = [each for each in self.directory.parents if not each.stat().st_mode & stat.S_IXOTH]
            if closed:
                raise RDSClientError(
                    "StorageNotAccessible",
                    f"PostgreSQL runs as {user}, who cannot enter {closed[-1]}: chmod o+x it, or"
                    " start the local AWS"
                    " with another --directory",
                )

    def _create(self, instance: PostgreSQLInstance, password: str | None) -> None:
        cluster = instance.cluster
        cluster.initialise()
        self._configure(instance)
        cluster.start()
        managed = self._managed(instance)
        create_roles(
            cluster,
            instance.master_username,
            managed.password if managed else str(password),
            instance.db_name,
        )
        if managed:
            managed.activate()
        instance.say("DB instance created", "creation")
        self._export_logs(instance)

    @staticmethod
    def _managed(instance: PostgreSQLInstance) -> ManagedSecret | None:
        return instance.master_user_secret if instance.manage_master_user_password else None

    def _configure(self, instance: PostgreSQLInstance) -> None:
        values = self._group_values(instance)
        direct, force_tls = settings(values, instance.major)
        instance.cluster.configure(direct, force_tls=force_tls)

    @staticmethod
    def _group_values(instance: PostgreSQLInstance) -> dict[str, str]:
        return {
            name: str(parameter["ParameterValue"])
            for group in instance.db_parameter_groups()
            for name, parameter in group.parameters.items()
            if parameter.get("ParameterValue") is not None
        }

    def _later(
        self, instance: PostgreSQLInstance, work: Callable[[], object], after: str = "available"
    ) -> None:
        """Do the work in a thread; then the instance has the status `after`, or `failed` when it did not
        work."""

        def job() -> None:
            with instance.lock:
                try:
                    work()
                except Exception as error:
                    instance.status = "failed"
                    instance.say(f"DB instance failed: {error}", "failure")
                    raise
                instance.status = after

        self.runtime.background(f"rds/{instance.db_instance_identifier}", job)

    def _recover(self, instance: PostgreSQLInstance) -> None:
        """Start a crashed server again, as RDS does; give up after a few attempts."""
        with instance.lock:
            if instance.cluster.running or instance.status in ("stopped", "stopping", "deleting"):
                return
            instance.say("DB instance shutdown", "availability")
            for attempt in range(RESTART_LIMIT):
                try:
                    time.sleep(0.5 * attempt)
                    instance.cluster.start()
                except ClusterError as error:
                    self.runtime.log.error("rds/%s: %s", instance.db_instance_identifier, error)
                else:
                    instance.say("DB instance restarted", "availability")
                    return
            instance.status = "failed"
            instance.say("DB instance could not be restarted", "failure")

    # ------------------------------------------------------------------ changes

    def modify_db_instance(
        self, db_instance_identifier: str, db_kwargs: dict[str, Any]
    ) -> PostgreSQLInstance:
        """Change an instance: at once, or pending until the next window, which never comes here."""
        instance = self._instance(db_instance_identifier)
        values = {name: value for name, value in dict(db_kwargs.items()).items() if value is not None}
        if instance.status not in ("available", "storage-optimization", "incompatible-parameters"):
            raise StateError(f"Database instance is not in available state. Current state: {instance.status}")
        self._check_modification(instance, values)
        for name in IMMEDIATE:
            if name in values:
                setattr(instance, name, values[name])
        if values.get("tags"):
            instance.add_tags(values["tags"])
        if "enable_performance_insights" in values:
            instance.performance_insights_enabled = bool(values["enable_performance_insights"])
        if "enable_iam_database_authentication" in values:
            instance.enable_iam_database_authentication = bool(values["enable_iam_database_authentication"])
        instance.default_performance_insights()
        exports = values.get("cloudwatch_logs_export_configuration") or {}
        kept = set(instance.enabled_cloudwatch_logs_exports) - set(exports.get("DisableLogTypes") or [])
        instance.enabled_cloudwatch_logs_exports = sorted(kept | set(exports.get("EnableLogTypes") or []))
        deferred = {
            name: values[name]
            for name in DEFERRABLE
            if name in values and values[name] != getattr(instance, _attribute(name), None)
        }
        immediate = bool(values.get("apply_immediately"))
        instance.pending_modified_values.update({DEFERRABLE[name]: value for name, value in deferred.items()})
        if not immediate:
            deferred = {}
        instance.status = "modifying"
        self._later(instance, lambda: self._modify(instance, values, deferred))
        return instance

    def _check_modification(self, instance: PostgreSQLInstance, values: dict[str, Any]) -> None:
        if "engine_version" in values:
            target = engine.resolve(self.runtime.postgresql, values["engine_version"])
            values["engine_version"] = target.version
            if target.major > instance.major and not values.get("allow_major_version_upgrade"):
                raise InvalidParameterCombination(
                    "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
                )
            if target.major != instance.major:
                raise InvalidParameterCombination(
                    f"Cannot upgrade postgres from {instance.engine_version} to {target.version}"
                )
        if values.get("allocated_storage", instance.allocated_storage) < instance.allocated_storage:
            raise InvalidParameterCombination("Requested storage can't be less than the current storage.")
        group = values.get("db_parameter_group_name")
        if group and group not in self.db_parameter_groups and not instance.is_default_parameter_group(group):
            raise DBParameterGroupNotFoundError(group)
        if values.get("db_instance_class", instance.db_instance_class) not in engine.CLASSES:
            raise InvalidParameterValue(f"Invalid DB Instance class: {values['db_instance_class']}")
        if values.get("master_user_password") and instance.manage_master_user_password:
            raise InvalidParameterCombination(
                "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled."
            )
        if values.get("rotate_master_user_password"):
            if not values.get("apply_immediately"):
                raise InvalidParameterCombination(
                    "You must specify apply immediately when rotating the master user password."
                )
            if not instance.manage_master_user_password:
                raise InvalidParameterCombination("The master user password is not managed by RDS.")
        if "new_db_instance_identifier" in values and values["new_db_instance_identifier"] in self.databases:
            raise DBInstanceAlreadyExists()

    def _modify(self, instance: PostgreSQLInstance, values: dict[str, Any], deferred: dict[str, Any]) -> None:
        cluster = instance.cluster
        restart = False
        for name, value in deferred.items():
            if name == "new_db_instance_identifier":
                del self.databases[instance.db_instance_identifier]
                instance.db_instance_identifier = value
                self.databases[value] = instance
            else:
                setattr(instance, _attribute(name), value)
            restart |= name in ("db_instance_class", "db_port_number")
            instance.pending_modified_values.pop(DEFERRABLE[name], None)
        if "db_parameter_group_name" in values:
            instance.db_parameter_group_name = values["db_parameter_group_name"]
            self._configure(instance)
            cluster.reload()
        if restart:
            cluster.port = int(instance.port)
            self._configure(instance)
            cluster.stop()
            cluster.start()
        self._change_password(instance, values)
        self._export_logs(instance)

    def _change_password(self, instance: PostgreSQLInstance, values: dict[str, Any]) -> None:
        if password := values.get("master_user_password"):
            instance.cluster.set_password(instance.master_username, password)
            instance.say("Reset master credentials", "configuration change")
        if values.get("manage_master_user_password") is True and not instance.manage_master_user_password:
            instance.master_user_secret = ManagedSecret(instance, values.get("master_user_secret_kms_key_id"))
            instance.manage_master_user_password = True
            instance.cluster.set_password(instance.master_username, instance.master_user_secret.password)
            instance.master_user_secret.activate()
        elif values.get("manage_master_user_password") is False and instance.manage_master_user_password:
            instance.master_user_secret.delete_secret()
            instance.manage_master_user_password = False
            instance.master_user_secret = None
        elif values.get("rotate_master_user_password"):
            instance.master_user_secret.rotate_secret()

    def stop_db_instance(
        self, db_instance_identifier: str, db_snapshot_identifier: str | None = None
    ) -> PostgreSQLInstance:
        """Shut the server down; the data stays."""
        instance = self._instance(db_instance_identifier)
        if instance.status != "available":
            raise StateError(f"Instance {db_instance_identifier} is not in available state.")
        if db_snapshot_identifier:
            self.create_db_snapshot(db_instance_identifier, db_snapshot_identifier)
        instance.status = "stopping"
        self._later(instance, instance.cluster.stop, after="stopped")
        return instance

    def start_db_instance(self, db_instance_identifier: str) -> PostgreSQLInstance:
        """Start a stopped server."""
        instance = self._instance(db_instance_identifier)
        if instance.status != "stopped":
            raise StateError(f"Instance {db_instance_identifier} is not stopped, it cannot be started.")
        instance.status = "starting"
        self._later(instance, lambda: self._restart(instance))
        return instance

    def reboot_db_instance(self, db_instance_identifier: str) -> PostgreSQLInstance:
        """Restart the server; pending static parameters count afterwards."""
        instance = self._instance(db_instance_identifier)
        if instance.status not in ("available", "incompatible-parameters"):
            raise StateError(f"Instance {db_instance_identifier} is not in available state.")
        instance.status = "rebooting"
        self._later(instance, lambda: self._restart(instance))
        return instance

    def _restart(self, instance: PostgreSQLInstance) -> None:
        instance.cluster.stop()
        self._configure(instance)
        instance.cluster.start()
        instance.say("DB instance restarted", "availability")

    def delete_db_instance(
        self,
        db_instance_identifier: str,
        final_db_snapshot_identifier: str | None = None,
        skip_final_snapshot: bool | None = False,
        delete_automated_backups: bool | None = True,
        **_: Any,
    ) -> PostgreSQLInstance:
        """Start to delete an instance; it is listed as `deleting` until its files are gone."""
        del delete_automated_backups  # none are taken
        instance = self._instance(db_instance_identifier)
        if instance.deletion_protection:
            raise InvalidParameterCombination(
                "Cannot delete protected DB Instance, please disable deletion protection and try again."
            )
        if skip_final_snapshot and final_db_snapshot_identifier:
            raise InvalidParameterCombination(
                "FinalDBSnapshotIdentifier can not be specified when deleting with SkipFinalSnapshot."
            )
        if not skip_final_snapshot and not final_db_snapshot_identifier:
            raise InvalidParameterCombination(
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
            )
        if instance.status == "deleting":
            raise StateError(f"Instance {db_instance_identifier} is already being deleted.")
        snapshot = None
        if final_db_snapshot_identifier:
            snapshot = self._new_snapshot(instance, final_db_snapshot_identifier)
        instance.status = "deleting"
        self._later(instance, lambda: self._delete(instance, snapshot), after="deleted")
        return instance

    def _delete(self, instance: PostgreSQLInstance, snapshot: DBSnapshot | None) -> None:
        if snapshot:
            self._take(instance, snapshot)
        instance.cluster.remove()
        self.runtime.addresses.release(f"rds/{instance.cluster.name}")
        if managed := self._managed(instance):
            managed.delete_secret()
        self.databases.pop(instance.db_instance_identifier, None)

    # ------------------------------------------------------------------ snapshots

    def create_db_snapshot(
        self,
        db_instance_identifier: str,
        db_snapshot_identifier: str,
        snapshot_type: str = "manual",
        tags: list[dict[str, str]] | None = None,
        **_: Any,
    ) -> DBSnapshot:
        """Start to copy the cluster; the snapshot is `creating` until the copy is complete."""
        instance = self._instance(db_instance_identifier)
        if instance.status not in ("available", "stopped", "modifying", "stopping"):
            raise StateError(
                f"Cannot create a snapshot because the database instance {db_instance_identifier}"
                " is not currently in the available state."
            )
        snapshot = self._new_snapshot(instance, db_snapshot_identifier, snapshot_type, tags)
        before, instance.status = instance.status, "backing-up"
        if before in ("modifying", "stopping"):
            instance.status = before
        self._later(
            instance,
            lambda: self._take(instance, snapshot),
            after={"modifying": "available", "stopping": "stopped"}.get(before, before),
        )
        return snapshot

    def _new_snapshot(
        self,
        instance: PostgreSQLInstance,
        name: str,
        kind: str = "manual",
        tags: list[dict[str, str]] | None = None,
    ) -> DBSnapshot:
        snapshot = super().create_db_snapshot(instance.db_instance_identifier, name, kind, tags)
        snapshot.status, snapshot.percent_progress = "creating", 0
        return snapshot

    def _take(self, instance: PostgreSQLInstance, snapshot: DBSnapshot) -> None:
        try:
            instance.cluster.backup(self._files(snapshot))
        except Exception:
            snapshot.status = "failed"
            raise
        snapshot.status, snapshot.percent_progress = "available", 100

    def _files(self, snapshot: DBSnapshot) -> Path:
        return self.directory / f"snapshot-{snapshot.db_snapshot_identifier}"

    def copy_db_snapshot(
        self, source_db_snapshot_identifier: str, target_db_snapshot_identifier: str, **options: Any
    ) -> DBSnapshot:
        """Copy a snapshot and its files."""
        source = self.get_db_snapshot(source_db_snapshot_identifier)
        self._check_available(source)
        target = super().copy_db_snapshot(
            source.db_snapshot_identifier, target_db_snapshot_identifier, **options
        )
        target.status, target.percent_progress = "creating", 0

        def copy() -> None:
            copy_files(self._files(source), self._files(target))
            target.status, target.percent_progress = "available", 100

        self.runtime.background(f"rds/{target.db_snapshot_identifier}", copy)
        return target

    def delete_db_snapshot(self, db_snapshot_identifier: str) -> DBSnapshot:
        """Delete a snapshot and its files."""
        snapshot = super().delete_db_snapshot(db_snapshot_identifier)
        shutil.rmtree(self._files(snapshot), ignore_errors=True)
        snapshot.status = "deleted"
        return snapshot

    @staticmethod
    def _check_available(snapshot: DBSnapshot) -> None:
        if snapshot.status != "available":
            raise RDSClientError(
                "InvalidDBSnapshotState",
                f"The snapshot {snapshot.db_snapshot_identifier} is not in the available state.",
            )

    def restore_db_instance_from_db_snapshot(
        self, from_snapshot_id: str, overrides: dict[str, Any]
    ) -> PostgreSQLInstance:
        """Start to make an instance from a snapshot: its data, its roles and its passwords."""
        name = from_snapshot_id.rsplit(":", 1)[-1]
        if name not in self.database_snapshots:
            raise DBSnapshotNotFoundFault(name)
        snapshot = self.database_snapshots[name]
        self._check_available(snapshot)
        source = snapshot.database
        values = {
            "engine": source.engine,
            "engine_version": snapshot.engine_version,
            "db_instance_class": source.db_instance_class,
            "allocated_storage": snapshot.allocated_storage,
            "storage_type": source.storage_type,
            "storage_encrypted": snapshot.encrypted,
            "kms_key_id": snapshot.kms_key_id,
            "master_username": snapshot.master_username,
            "db_name": source.db_name,
            "port": snapshot.port,
            "backup_retention_period": source.backup_retention_period,
            **{key: value for key, value in dict(overrides.items()).items() if value is not None},
        }
        if values["allocated_storage"] < snapshot.allocated_storage:
            raise InvalidParameterValue(
                "The allocated storage size can't be less than the source snapshot or backup size."
            )
        values.pop("db_snapshot_identifier", None)
        instance = self._new_instance(values)
        self._later(instance, lambda: self._restore(instance, self._files(snapshot)))
        return instance

    def _restore(self, instance: PostgreSQLInstance, files: Path) -> None:
        instance.cluster.restore(files)
        self._configure(instance)
        instance.cluster.start()
        if managed := self._managed(instance):
            instance.cluster.set_password(instance.master_username, managed.password)
            managed.activate()
        instance.say("Restored from snapshot", "restoration")
        self._export_logs(instance)

    # ------------------------------------------------------------------ parameters

    def modify_db_parameter_group(
        self, db_parameter_group_name: str, db_parameter_group_parameters: Iterable[dict[str, Any]]
    ) -> DBParameterGroup:
        """Check the parameters, store them and let every instance of the group take in the dynamic ones."""
        if db_parameter_group_name not in self.db_parameter_groups:
            raise DBParameterGroupNotFoundError(db_parameter_group_name)
        group = self.db_parameter_groups[db_parameter_group_name]
        if group.name.startswith("default."):
            raise RDSClientError(
                "InvalidDBParameterGroupState", f"Cannot modify default parameter group {group.name}"
            )
        known = self._catalogue(group)
        changes = list(db_parameter_group_parameters)
        faults = [
            fault
            for change in changes
            if (
                fault := fault_of(
                    known.get(change["ParameterName"]),
                    change["ParameterName"],
                    str(change.get("ParameterValue", "")),
                    str(change.get("ApplyMethod", "immediate")),
                )
            )
        ]
        if faults:
            raise InvalidParameterValue("; ".join(faults))
        for change in changes:
            parameter = known.get(change["ParameterName"])
            described = parameter.describe() if parameter else {"ApplyType": "dynamic", "IsModifiable": True}
            group.parameters[change["ParameterName"]] = {**described, **change, "Source": "user"}
        self.apply_group(group)
        return group

    def reset_db_parameter_group(self, name: str, names: list[str] | None) -> DBParameterGroup:
        """Return parameters, or all of them, to the engine's defaults."""
        if name not in self.db_parameter_groups:
            raise DBParameterGroupNotFoundError(name)
        group = self.db_parameter_groups[name]
        for parameter in list(group.parameters) if names is None else names:
            group.parameters.pop(parameter, None)
        self.apply_group(group)
        return group

    def apply_group(self, group: DBParameterGroup) -> None:
        """Write the group into every running instance that uses it, and have PostgreSQL read it."""
        for instance in self.databases.values():
            uses = group.name in (each.name for each in instance.db_parameter_groups())
            if uses and instance.cluster.running and instance.status != "creating":
                with instance.lock:
                    self._configure(instance)
                    instance.cluster.reload()

    def parameters_wait(self, instance: PostgreSQLInstance) -> bool:
        """Whether PostgreSQL waits for a restart to take in a changed parameter."""
        return instance.cluster.pending_restart()

    def describe_parameters(self, name: str, source: str | None) -> list[dict[str, Any]]:
        """Return the parameters of a group: those set by the user over the engine's defaults."""
        if name not in self.db_parameter_groups and name.startswith("default.postgres"):
            self._default_group(name)
        if name not in self.db_parameter_groups:
            raise DBParameterGroupNotFoundError(name)
        group = self.db_parameter_groups[name]
        described = {key: parameter.describe() for key, parameter in self._catalogue(group).items()}
        described.update(group.parameters)
        return [each for each in described.values() if source in (None, each["Source"])]

    def _default_group(self, name: str) -> None:
        self.db_parameter_groups[name] = DBParameterGroup(
            self,
            name,
            f"Default parameter group for {name.removeprefix('default.')}",
            name.removeprefix("default."),
        )

    def _catalogue(self, group: DBParameterGroup) -> Any:
        major = str(group.family).removeprefix("postgres")
        return catalogue(engine.resolve(self.runtime.postgresql, major).directory)

    # ------------------------------------------------------------------ small things

    def _instance(self, name: str) -> PostgreSQLInstance:
        identifier = name.rsplit(":", 1)[-1]
        if identifier not in self.databases:
            raise DBInstanceNotFoundError(identifier)
        instance: PostgreSQLInstance = self.databases[identifier]
        return instance

    def say(self, instance: PostgreSQLInstance, message: str, categories: tuple[str, ...]) -> None:
        """Record what DescribeEvents lists."""
        self.events.append(
            SimpleNamespace(
                source_identifier=instance.db_instance_identifier,
                source_type="db-instance",
                message=message,
                event_categories=list(categories),
                source_arn=instance.db_instance_arn,
                date=now(),
            )
        )

    def _export_logs(self, instance: PostgreSQLInstance) -> None:
        """Start the thread that copies the server's log to CloudWatch, when the instance asks for it."""
        if "postgresql" in instance.enabled_cloudwatch_logs_exports and not getattr(
            instance, "exporting", False
        ):
            instance.exporting = True
            self.runtime.background(f"rds/{instance.db_instance_identifier}/logs", self._copy_log, instance)

    def _copy_log(self, instance: PostgreSQLInstance) -> None:
        logs = self.runtime.client("logs", region=self.region_name)
        group = f"/aws/rds/instance/{instance.db_instance_identifier}/postgresql"
        stream, offset = f"{instance.db_instance_identifier}.0", 0
        for create, arguments in (
            (logs.create_log_group, {"logGroupName": group}),
            (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                create(**arguments)
            except logs.exceptions.ResourceAlreadyExistsException:
                self.runtime.log.debug("%s exists", group)
        while "postgresql" in instance.enabled_cloudwatch_logs_exports and instance.status != "deleted":
            if instance.cluster.log.exists():
                lines, offset = tail(instance.cluster.log, offset)
                stamp = int(time.time() * 1000)
                for start in range(0, len(lines), 1000):
                    logs.put_log_events(
                        logGroupName=group,
                        logStreamName=stream,
                        logEvents=[
                            {"timestamp": stamp, "message": line or " "}
                            for line in lines[start : start + 1000]
                        ],
                    )
            time.sleep(1)
        instance.exporting = False


def _attribute(name: str) -> str:
    return {"db_port_number": "port", "new_db_instance_identifier": "db_instance_identifier"}.get(name, name)


def stop_all() -> None:
    """Shut every server down; called when the local AWS stops."""
    for _, _, backend in list(rds_backends.iter_backends()):
        for instance in list(backend.databases.values()):
            instance.cluster.stop()
