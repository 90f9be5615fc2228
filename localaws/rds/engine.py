"""Engine versions and instance classes: what DescribeDBEngineVersions and the orderable options answer.

True: the versions are those whose server binaries are installed, so whatever is offered can be created. Not
true: every class of `CLASSES` is offered; the class changes what is reported, not the memory or the
processors.
"""

from collections.abc import Iterable

from moto.rds.exceptions import InvalidParameterCombination

from localaws.postgresql import Installation, PostgreSQL

ENGINE = "postgres"
LOG_TYPES = ["iam-db-auth-error", "postgresql", "upgrade"]
AUTHORITIES = ["rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"]
DEFAULT_AUTHORITY = AUTHORITIES[0]
SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
CLASSES = tuple(
    [f"db.{family}.{size}" for family in ("t3", "t4g") for size in ("micro", "small", "medium")]
    + [f"db.{family}.{size}" for family in ("t3", "t4g") for size in ("large", "xlarge", "2xlarge")]
    + [
        f"db.{family}.{size}"
        for family in ("m5", "m6g", "m6i", "m7g", "r5", "r6g", "r6i", "r7g")
        for size in SIZES
    ]
)
STORAGE_TYPES = ("gp2", "gp3", "io1", "io2")


def resolve(postgresql: PostgreSQL, version: str | None) -> Installation:
    """Return the installation that a requested version means: a full version, a major, or the newest.

    Raises
    ------
    InvalidParameterCombination
        AWS's words for a version that it does not have.
    """
    installed = postgresql.installed
    for found in installed.values():
        if version in (None, found.version, str(found.major)):
            return found
    raise InvalidParameterCombination(f"Cannot find version {version} for postgres")


def describe(
    postgresql: PostgreSQL, version: str | None, family: str | None, default_only: bool
) -> list[dict[str, object]]:
    """Return DescribeDBEngineVersions' list, filtered as the request asks."""
    installed = postgresql.installed
    oldest_first = sorted(installed.values(), key=lambda found: found.major)
    wanted = oldest_first[-1:] if default_only and not version and not family else oldest_first
    return [
        _describe_one(found, (other for other in oldest_first if other.major > found.major))
        for found in wanted
        if version in (None, found.version, str(found.major)) and family in (None, f"postgres{found.major}")
    ]


def _describe_one(found: Installation, newer: Iterable[Installation]) -> dict[str, object]:
    return {
        "Engine": ENGINE,
        "MajorEngineVersion": str(found.major),
        "EngineVersion": found.version,
        "DBParameterGroupFamily": f"postgres{found.major}",
        "DBEngineDescription": "PostgreSQL",
        "DBEngineVersionDescription": f"PostgreSQL {found.version}-R1",
        "ValidUpgradeTarget": [
            {
                "Engine": ENGINE,
                "EngineVersion": other.version,
                "Description": f"PostgreSQL {other.version}-R1",
                "AutoUpgrade": False,
                "IsMajorVersionUpgrade": True,
            }
            for other in newer
        ],
        "ExportableLogTypes": LOG_TYPES,
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": False,
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": False,
        "SupportsGlobalDatabases": False,
        "SupportsBabelfish": False,
        "SupportsCertificateRotationWithoutRestart": True,
        "SupportedCACertificateIdentifiers": AUTHORITIES,
        "TagList": [],
    }


def orderable(
    postgresql: PostgreSQL, version: str | None, instance_class: str | None, zones: list[str]
) -> list[dict[str, object]]:
    """Return DescribeOrderableDBInstanceOptions' list: every class and storage type of every installed
    version."""
    return [
        {
            "Engine": ENGINE,
            "EngineVersion": found.version,
            "DBInstanceClass": name,
            "LicenseModel": "postgresql-license",
            "AvailabilityZones": [{"Name": zone} for zone in zones],
            "MultiAZCapable": True,
            "ReadReplicaCapable": False,
            "Vpc": True,
            "SupportsStorageEncryption": True,
            "StorageType": storage,
            "SupportsIops": storage != "gp2",
            "SupportsStorageThroughput": storage == "gp3",
            "SupportsEnhancedMonitoring": True,
            "SupportsIAMDatabaseAuthentication": False,
            "SupportsPerformanceInsights": True,
            "MinStorageSize": 20 if storage.startswith("gp") else 100,
            "MaxStorageSize": 65536,
            "SupportedEngineModes": ["provisioned"],
            "SupportsStorageAutoscaling": True,
            "SupportsKerberosAuthentication": False,
            "OutpostCapable": False,
            "SupportedNetworkTypes": ["IPV4"],
        }
        for found in postgresql.installed.values()
        if version in (None, found.version, str(found.major))
        for name in CLASSES
        if instance_class in (None, name)
        for storage in STORAGE_TYPES
    ]
