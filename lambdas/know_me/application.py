"""What stands behind the names under which tasks read the stores (contracts, section 9).

A task definition has no value of a store: it names the environment's application secret and the parameter of
the media bucket, which are read when a task starts. Here values are never read, labels are.
"""

import re
from collections.abc import Mapping
from typing import Any

from know_me.errors import CutoverFailed
from know_me.manifest import DatabaseGeneration, Manifest, MediaGeneration
from know_me.names import media_bucket_parameter

CURRENT = "AWSCURRENT"
"""The staging label of the version that a task reads."""

MOST_LABELS = 20
"""https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""

Container = dict[str, Any]


# ---------------------------------------------------------------- where the names lead


def labels_of(secretsmanager: Any, secret_arn: str) -> dict[str, str]:
    """Return the version that each staging label of a secret is on."""
    described = secretsmanager.describe_secret(SecretId=secret_arn)
    return {
        label: version
        for version, labels in described.get("VersionIdsToStages", {}).items()
        for label in labels
    }


def leads_to(labels: Mapping[str, str], database: DatabaseGeneration) -> bool:
    """Whether a task would read the credentials of a generation."""
    version = labels.get(database.application_secret_label)
    return version is not None and version == labels.get(CURRENT)


def current_generation(labels: Mapping[str, str], manifest: Manifest) -> str | None:
    """Return the generation of the database that a task would use, None when it is none of the manifest's."""
    generations = manifest.database.generations
    return next((name for name, database in generations.items() if leads_to(labels, database)), None)


def current_bucket(ssm: Any, environment: str) -> str:
    """Return the name of the bucket that a task would use."""
    value: str = ssm.get_parameter(Name=media_bucket_parameter(environment))["Parameter"]["Value"]
    return value


# ---------------------------------------------------------------- pointing them elsewhere


def point_database(secretsmanager: Any, database: DatabaseGeneration) -> bool:
    """Let tasks read the credentials of a generation from now on; return whether that was news.

    Raises
    ------
    CutoverFailed
        The generation has no application role yet.
    """
    arn, label = database.application_secret_arn, database.application_secret_label
    labels = labels_of(secretsmanager, arn)
    wanted, current = labels.get(label), labels.get(CURRENT)
    if wanted is None:
        raise CutoverFailed(
            f"The secret {arn} has no version with the label {label}: the database {database.generation} "
            "has no application role.",
            "The job prepare-role makes it: start again.",
        )
    if wanted == current:
        return False
    removed = {"RemoveFromVersionId": current} if current else {}
    secretsmanager.update_secret_version_stage(
        SecretId=arn, VersionStage=CURRENT, MoveToVersionId=wanted, **removed
    )
    return True


def prove_bucket(ssm: Any, environment: str, media: MediaGeneration) -> None:
    """Check that tasks would use the bucket of a generation; Terraform writes its name.

    Raises
    ------
    CutoverFailed
        They would not.
    """
    found = current_bucket(ssm, environment)
    if found != media.bucket:
        raise CutoverFailed(
            f"The parameter {media_bucket_parameter(environment)} names the bucket {found}, "
            f"not {media.bucket} of the generation {media.generation}.",
            "Terraform writes it from the active generation: start again.",
        )


# ---------------------------------------------------------------- what a task definition reads


def reads_database_by_name(container: Container, manifest: Manifest) -> bool:
    """Whether a container reads the database from the application secret, no version of it in particular."""
    databases = manifest.database.generations.values()
    secret = manifest.active_database.application_secret_arn
    sources = [source for source in _sources(container) if source.startswith(f"{secret}:")]
    # arn:…:secret:<name>:<key>:<label>:<version>
    return (
        bool(sources)
        and not any(any(source.split(":")[8:]) for source in sources)
        and not any(_names(container, database.endpoint) for database in databases)
    )


def reads_bucket_by_name(container: Container, manifest: Manifest) -> bool:
    """Whether a container reads the bucket's name from the parameter, and names none itself."""
    parameter = media_bucket_parameter(manifest.environment)
    return any(
        source == parameter or source.endswith(f":parameter{parameter}") for source in _sources(container)
    ) and not any(_names(container, media.bucket) for media in manifest.media.generations.values())


def _sources(container: Container) -> list[str]:
    return [item.get("valueFrom", "") for item in container.get("secrets", [])]


def _names(container: Container, name: str) -> bool:
    whole = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    return any(whole.search(item.get("value", "")) for item in container.get("environment", []))


def definition_of(service: Mapping[str, Any]) -> str:
    """Return the task definition that a service runs: that of its primary task set, when it has task sets."""
    primary = (each for each in service.get("taskSets", []) if each.get("status") == "PRIMARY")
    definition: str = next(primary, service)["taskDefinition"]
    return definition


def container_of(ecs: Any, definition: str, name: str) -> Container:
    """Return a container's definition, nothing when the task definition has none of that name."""
    described = ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    return next((item for item in described["containerDefinitions"] if item["name"] == name), {})
