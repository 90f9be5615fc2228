"""RDS for PostgreSQL: every DB instance is a PostgreSQL cluster of its own.

True: versions are those installed on this machine; endpoint, TLS certificate (`verify-full` works), SCRAM
passwords, the managed master secret and its rotation, the master user's limits, parameter groups (dynamic
ones at once, static ones after a reboot, as PostgreSQL itself reports), rds.force_ssl, stop, start, reboot,
delete, snapshots, copies, restores, pending modifications, deletion protection, events, log export to
CloudWatch. A crashed server is restarted.

Not true: instance class, allocated storage, encryption at rest, Multi-AZ, Performance Insights, monitoring
and security groups are reported and change nothing. No automated backups (the retention period is reported)
and no CloudWatch metrics. A maintenance window never comes: pending changes wait for ApplyImmediately.
Event triggers, publications FOR ALL TABLES and BYPASSRLS are refused to the master user, which RDS's
patched server allows. IAM authentication is reported but not possible.

Refused by name: clusters (Aurora, Multi-AZ), read replicas, point-in-time restore, blue/green deployments,
proxies, exports, major version upgrades, engines other than postgres.
"""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.rds import models
from moto.rds.responses import RDSResponse

from localaws.rds import engine
from localaws.rds.backend import PostgreSQLBackend, stop_all
from localaws.rds.instance import ManagedSecret
from localaws.runtime import Runtime

REFUSED = (
    "add_role_to_db_instance",
    "create_blue_green_deployment",
    "create_db_cluster",
    "create_db_instance_read_replica",
    "create_db_proxy",
    "create_db_shard_group",
    "create_global_cluster",
    "describe_db_log_files",
    "promote_read_replica",
    "restore_db_cluster_from_snapshot",
    "restore_db_cluster_to_point_in_time",
    "restore_db_instance_to_point_in_time",
    "start_export_task",
)
"""Actions that moto answers without doing them."""


def install(runtime: Runtime) -> None:
    """Make RDS real: called once, before the server answers its first request."""
    PostgreSQLBackend.runtime = runtime
    models.rds_backends.backend = PostgreSQLBackend
    # DBInstance constructs the secret by this module-level name.
    models.MasterUserSecret = ManagedSecret
    for action in REFUSED:
        setattr(RDSResponse, action, _refuse)
    for implementation in (
        describe_db_engine_versions,
        describe_orderable_db_instance_options,
        describe_db_parameters,
        reset_db_parameter_group,
        describe_pending_maintenance_actions,
        describe_certificates,
    ):
        setattr(RDSResponse, implementation.__name__, implementation)
    runtime.instances["rds"] = _status
    runtime.on_shutdown(stop_all)


def _refuse(_response: RDSResponse) -> ActionResult:
    raise NotImplementedError


def _status() -> list[dict[str, Any]]:
    return [
        {
            "name": instance.db_instance_identifier,
            "status": instance.status,
            "address": f"{instance.address}:{instance.port}",
            "version": instance.engine_version,
        }
        for _, _, backend in models.rds_backends.iter_backends()
        for instance in backend.databases.values()
    ]


def _page(response: RDSResponse, name: str, items: list[dict[str, Any]]) -> ActionResult:
    """Return one page; the marker is the number of items before it."""
    start = int(response.params.get("Marker") or 0)
    end = start + int(response.params.get("MaxRecords") or 100)
    return ActionResult({name: items[start:end], "Marker": str(end) if end < len(items) else None})


def describe_db_engine_versions(response: RDSResponse) -> ActionResult:
    """DescribeDBEngineVersions: what is installed."""
    wanted = response.params.get("Engine")
    versions = (
        engine.describe(
            response.backend.runtime.postgresql,
            response.params.get("EngineVersion"),
            response.params.get("DBParameterGroupFamily"),
            bool(response.params.get("DefaultOnly")),
        )
        if wanted in (None, engine.ENGINE)
        else []
    )
    return _page(response, "DBEngineVersions", versions)


def describe_orderable_db_instance_options(response: RDSResponse) -> ActionResult:
    """DescribeOrderableDBInstanceOptions: every class for every version that is installed."""
    zones = ec2_backends[response.current_account][response.region].describe_availability_zones()
    options = (
        engine.orderable(
            response.backend.runtime.postgresql,
            response.params.get("EngineVersion"),
            response.params.get("DBInstanceClass"),
            [zone.name for zone in zones],
        )
        if response.params.get("Engine") == engine.ENGINE
        else []
    )
    return _page(response, "OrderableDBInstanceOptions", options)


def describe_db_parameters(response: RDSResponse) -> ActionResult:
    """DescribeDBParameters: the group over the engine's defaults, filtered by Source."""
    parameters = response.backend.describe_parameters(
        response.params["DBParameterGroupName"], response.params.get("Source")
    )
    return _page(response, "Parameters", parameters)


def reset_db_parameter_group(response: RDSResponse) -> ActionResult:
    """ResetDBParameterGroup; moto lacks it, Terraform needs it to drop a parameter."""
    named = [each["ParameterName"] for each in response.params.get("Parameters") or []]
    everything = bool(response.params.get("ResetAllParameters")) or not named
    group = response.backend.reset_db_parameter_group(
        response.params["DBParameterGroupName"], None if everything else named
    )
    return ActionResult({"DBParameterGroupName": group.name})


def describe_pending_maintenance_actions(_response: RDSResponse) -> ActionResult:
    """DescribePendingMaintenanceActions: there never is one."""
    return ActionResult({"PendingMaintenanceActions": []})


def describe_certificates(response: RDSResponse) -> ActionResult:
    """DescribeCertificates: the authorities that can be named (one signs for all of them here)."""
    wanted = response.params.get("CertificateIdentifier")
    return ActionResult(
        {
            "Certificates": [
                {"CertificateIdentifier": name, "CertificateType": "CA", "CustomerOverride": False}
                for name in engine.AUTHORITIES
                if wanted in (None, name)
            ]
        }
    )


__all__ = ["install"]
