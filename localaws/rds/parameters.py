"""DB parameters: what a parameter group may hold, and what it does to a cluster.

The catalogue is PostgreSQL's own (`postgres --describe-config`), so names, types and ranges are those of the
installed version; a parameter is static when PostgreSQL says it needs a restart. RDS's own parameters are in
`RDS_PARAMETERS`. True: every PostgreSQL parameter of a group reaches the server. Not true: formulas
(`{DBInstanceClassMemory/32768}`) are kept and reported but not evaluated, since there is no instance class
behind them, and parameters that RDS manages itself are refused.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Parameter:
    """One parameter as DescribeDBParameters shows it."""

    name: str
    static: bool
    kind: str
    default: str | None
    allowed: str | None
    description: str
    modifiable: bool = True

    def describe(self) -> dict[str, object]:
        """Return the API's shape, as engine default."""
        described = {
            "ParameterName": self.name,
            "ParameterValue": self.default,
            "Description": self.description,
            "Source": "engine-default",
            "ApplyType": "static" if self.static else "dynamic",
            "DataType": self.kind,
            "AllowedValues": self.allowed,
            "IsModifiable": self.modifiable,
            "ApplyMethod": "pending-reboot",
        }
        return {key: value for key, value in described.items() if value is not None}


RDS_PARAMETERS = (
    Parameter("rds.force_ssl", False, "boolean", None, "0,1", "Force SSL connections."),
    Parameter("rds.logical_replication", True, "boolean", "0", "0,1", "Enables logical decoding."),
    Parameter(
        "rds.log_retention_period", False, "integer", "4320", "1440-10080", "Minutes that logs are kept."
    ),
    Parameter("rds.restrict_password_commands", True, "boolean", "0", "0,1", "Restricts password commands."),
    Parameter(
        "rds.force_admin_logging_level", False, "string", "disabled", None, "Logs actions of rdsadmin."
    ),
    Parameter("rds.rds_superuser_reserved_connections", True, "integer", "2", "0-8388607", "Reserved slots."),
    Parameter("rds.allowed_extensions", False, "string", None, None, "Extensions that can be created."),
)
"""RDS's own; only force_ssl and logical_replication do something here, the others are kept and reported."""

MANAGED = frozenset(
    [
        "archive_cleanup_command",
        "archive_command",
        "archive_library",
        "archive_mode",
        "archive_timeout",
        "config_file",
        "data_directory",
        "dynamic_shared_memory_type",
        "external_pid_file",
        "fsync",
        "hba_file",
        "ident_file",
        "krb_server_keyfile",
        "listen_addresses",
        "log_directory",
        "log_filename",
        "logging_collector",
        "port",
        "primary_conninfo",
        "restore_command",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_crl_file",
        "ssl_key_file",
        "unix_socket_directories",
        "wal_level",
    ]
)
"""Parameters that RDS sets itself: not modifiable."""

KINDS = {
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "REAL": "float",
    "STRING": "string",
    "ENUMERATION": "list",
}


@cache
def catalogue(binaries: Path) -> Mapping[str, Parameter]:
    """Return every parameter of an installed version, by name."""
    printed = subprocess.run(
        [binaries / "postgres", "--describe-config"], capture_output=True, text=True, check=True
    ).stdout
    found = {parameter.name: parameter for parameter in RDS_PARAMETERS}
    for line in printed.splitlines():
        name, context, _group, kind, default, low, high, text = line.split("\t")[:8]
        if name not in found:
            found[name] = Parameter(
                name,
                context == "postmaster",
                KINDS.get(kind, "string"),
                default or None,
                "0,1" if kind == "BOOLEAN" else f"{low}-{high}" if low and high else None,
                text,
                name not in MANAGED and context != "internal",
            )
    return dict(sorted(found.items()))


def fault_of(parameter: Parameter | None, name: str, value: str, method: str) -> str | None:
    """Return what RDS would refuse about one change, or None.

    Parameters
    ----------
    parameter:
        From the catalogue; None when there is none of this name.
    method:
        `immediate` or `pending-reboot`.
    """
    if parameter is None and "." not in name:
        return f"Could not find parameter with name: {name}"
    if parameter is None:
        return None  # a parameter of an extension: PostgreSQL takes any
    if not parameter.modifiable:
        return f"The parameter {name} cannot be modified."
    if parameter.static and method == "immediate":
        return f"cannot use immediate apply method for static parameter {name}"
    if parameter.allowed and "-" in parameter.allowed and not value.startswith(("{", "GREATEST", "LEAST")):
        return _range_fault(parameter, value)
    return None


def _range_fault(parameter: Parameter, value: str) -> str | None:
    low, high = parameter.allowed.lstrip("-").split("-", 1) if parameter.allowed else ("", "")
    low = f"-{low}" if parameter.allowed and parameter.allowed.startswith("-") else low
    try:
        inside = float(low) <= float(value) <= float(high)
    except ValueError:
        inside = False
    if inside:
        return None
    return f"Invalid parameter value: {value} for: {parameter.name} allowed values are: {parameter.allowed}"


def settings(values: Mapping[str, str], major: int) -> tuple[dict[str, str], bool]:
    """Turn the values of a group into PostgreSQL's settings, and whether TLS is forced (default since 15)."""
    forced = values.get("rds.force_ssl", "1" if major >= 15 else "0") in ("1", "on", "true")
    direct = {
        name: value
        for name, value in values.items()
        if not name.startswith("rds.") and not value.startswith(("{", "GREATEST", "LEAST"))
    }
    if values.get("rds.logical_replication") in ("1", "on", "true"):
        direct["wal_level"] = "logical"
    return direct, forced
