"""A DB instance and its managed secret, as moto's models with a cluster behind them."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.rds.models import DBInstance, MasterUserSecret

from localaws.rds.cluster import Cluster, new_password
from localaws.rds.engine import DEFAULT_AUTHORITY

if TYPE_CHECKING:
    from localaws.rds.backend import PostgreSQLBackend

DEFAULT_MASTER = "postgres"


class ManagedSecret(MasterUserSecret):  # type: ignore[misc]
    """The secret that RDS manages: random and able to rotate, where moto's is a constant."""

    def _generate_secret_string(self) -> str:
        return json.dumps(
            {"username": self.resource.master_username or DEFAULT_MASTER, "password": new_password()}
        )

    @property
    def password(self) -> str:
        """The current password."""
        value = self.secretsmanager.get_secret_value(self.secret.arn, None, None)["SecretString"]
        return str(json.loads(value)["password"])

    @property
    def secret_status(self) -> str:
        """`creating` and `rotating` end when the password works, not when somebody has looked."""
        return str(self._status)

    def rotate_secret(self) -> None:
        """Change the password in the database and then in the secret, as RDS does."""
        self._status = "rotating"
        fresh = json.loads(self._generate_secret_string())
        self.resource.cluster.set_password(fresh["username"], fresh["password"])
        self.secretsmanager.put_secret_value(
            self.secret.secret_id, json.dumps(fresh), None, None, ["AWSCURRENT"]
        )
        self._status = "active"

    def activate(self) -> None:
        """Report that the password works."""
        self._status = "active"


class PostgreSQLInstance(DBInstance):  # type: ignore[misc]
    """moto's DB instance with a real endpoint and what moto forgets to report.

    Attributes
    ----------
    cluster:
        The PostgreSQL cluster behind it.
    lock:
        Held by whatever changes the cluster; changes of one instance happen one after the other.
    """

    cluster: Cluster

    def __init__(self, backend: "PostgreSQLBackend", **settings: Any) -> None:
        settings.setdefault("license_model", "postgresql-license")
        settings.setdefault("ca_certificate_identifier", DEFAULT_AUTHORITY)
        settings.setdefault("storage_type", "gp2")
        if settings.get("storage_encrypted") and not settings.get("kms_key_id"):
            settings["kms_key_id"] = backend.kms.describe_key("alias/aws/rds").arn
        super().__init__(backend, **settings)
        self.lock = threading.RLock()
        self.dbi_resource_id = backend.new_resource_id()
        self.status = "creating"
        self.pending_modified_values: dict[str, Any] = {}
        self.percent_progress = None
        self.performance_insights_enabled = bool(settings.get("enable_performance_insights"))
        self.performance_insights_retention_period = settings.get("performance_insights_retention_period")
        self.performance_insights_kms_key_id = settings.get("performance_insights_kms_key_id")
        self.default_performance_insights()
        self.database_insights_mode = settings.get("database_insights_mode") or "standard"
        self.network_type = settings.get("network_type") or "IPV4"
        self.dedicated_log_volume = bool(settings.get("dedicated_log_volume"))
        self.engine_lifecycle_support = (
            settings.get("engine_lifecycle_support") or "open-source-rds-extended-support"
        )
        self.customer_owned_ip_enabled = False
        self.activity_stream_status = "stopped"
        self.backup_target = "region"
        self.publicly_accessible: bool = bool(settings.get("publicly_accessible"))

    def default_performance_insights(self) -> None:
        """Fill in what RDS chooses when Performance Insights is on and the request does not say."""
        if self.performance_insights_enabled:
            self.performance_insights_retention_period = self.performance_insights_retention_period or 7
            key = self.performance_insights_kms_key_id or self.backend.kms.describe_key("alias/aws/rds").arn
            self.performance_insights_kms_key_id = key

    @property
    def db_instance_status(self) -> str:
        """The status that the API reports."""
        return str(self.status)

    @property
    def major(self) -> int:
        """Major version of the engine."""
        return int(str(self.engine_version).split(".")[0])

    @property
    def default_db_parameter_group(self) -> str:
        """Name of the group of an instance that names none."""
        return f"default.postgres{self.major}"

    def default_db_parameter_group_details(self) -> tuple[str, str]:
        """Return (family, group); moto takes two numbers of the version, PostgreSQL has one since 10."""
        return f"postgres{self.major}", self.default_db_parameter_group

    @property
    def address(self) -> str:
        """The instance's own loopback address."""
        return self.cluster.address

    @property
    def endpoint(self) -> dict[str, Any] | None:
        """Endpoint; absent while the instance is being created, as on RDS."""
        if self.status == "creating" or not hasattr(self, "cluster"):
            return None
        return {"Address": self.address, "Port": self.port, "HostedZoneId": "Z2R2ITUGPM61AM"}

    @property
    def db_instance_port(self) -> int:
        """RDS reports 0 here outside of clusters."""
        return 0

    @property
    def latest_restorable_time(self) -> datetime | None:
        """No point-in-time recovery here, so there is no such time."""
        return None

    @property
    def certificate_details(self) -> dict[str, Any]:
        """Which authority signed the certificate; ours are valid for a year."""
        return {
            "CAIdentifier": self.ca_certificate_identifier,
            "ValidTill": self.created + timedelta(days=365),
        }

    @property
    def db_parameter_group_status_list(self) -> list[dict[str, str]]:
        """The group and whether PostgreSQL still waits for a restart to take it in."""
        waiting = False
        if self.status == "available" and self.cluster.running:
            waiting = self.backend.parameters_wait(self)
        return [
            {
                "DBParameterGroupName": group.name,
                "ParameterApplyStatus": "pending-reboot" if waiting else "in-sync",
            }
            for group in self.db_parameter_groups()
        ]

    def say(self, message: str, *categories: str) -> None:
        """Record an RDS event of this instance (DescribeEvents)."""
        self.backend.say(self, message, categories)

    def __deepcopy__(self, _memo: dict[int, Any]) -> "PostgreSQLInstance":
        return self


def now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)
