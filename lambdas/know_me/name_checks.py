"""What a preflight checks of the names under which tasks read the stores (contracts, section 9)."""

from collections.abc import Iterator

from know_me.application import (
    CURRENT,
    MOST_LABELS,
    container_of,
    current_bucket,
    current_generation,
    definition_of,
    labels_of,
    leads_to,
    reads_bucket_by_name,
    reads_database_by_name,
)
from know_me.checks import Surroundings, either
from know_me.findings import Finding
from know_me.names import media_bucket_parameter


def stores_are_read_by_name(around: Surroundings) -> Iterator[Finding]:
    """The cutover changes what stands behind the names: they must be used, and lead to the active stores."""
    manifest, environment = around.manifest, around.migration.environment
    ecs = around.client("ecs")
    for service in manifest.services:
        found = ecs.describe_services(cluster=service.cluster, services=[service.name])["services"]
        if not found:
            continue  # the check of the services says so
        definition = definition_of(found[0])
        container = container_of(ecs, definition, service.container)
        yield either(
            service.name,
            not (reads_database_by_name(container, manifest) and reads_bucket_by_name(container, manifest)),
            "Its tasks read the stores under the names that stay",
            f"The task definition {definition} has values of a store, or reads none",
            "Release the app from the task definition that Terraform describes",
        )
    secret = manifest.active_database.application_secret_arn
    labels = labels_of(around.client("secretsmanager"), secret)
    yield either(
        secret,
        not leads_to(labels, manifest.active_database),
        f"It leads tasks to the database {manifest.database.active}",
        f"It leads tasks to {current_generation(labels, manifest) or 'no generation'}, "
        f"not to the database {manifest.database.active}",
        f"Move the label {CURRENT} to the version with the label {manifest.active_database.generation} "
        "(aws secretsmanager update-secret-version-stage)",
    )
    bucket = current_bucket(around.client("ssm"), environment)
    yield either(
        media_bucket_parameter(environment),
        bucket != manifest.active_bucket.bucket,
        f"It leads tasks to the bucket {bucket}",
        f"It leads tasks to the bucket {bucket}, not to {manifest.active_bucket.bucket}",
        "Start provision, which writes it",
    )


def a_label_is_free(around: Surroundings) -> Iterator[Finding]:
    """Every generation is a label of the application secret, and a secret has room for twenty."""
    secret = around.source.application_secret_arn
    labels = labels_of(around.client("secretsmanager"), secret)
    yield either(
        secret,
        around.migration.candidate not in labels and len(labels) >= MOST_LABELS,
        f"{len(labels)} of {MOST_LABELS} labels are taken",
        f"All {MOST_LABELS} labels are taken",
        "Take those of databases that no longer exist away (aws secretsmanager update-secret-version-stage)",
    )
