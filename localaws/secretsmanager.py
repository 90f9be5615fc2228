"""Secrets Manager: staging labels that move as AWS moves them.

True: a label is on one version of a secret; a new version takes its labels from the versions that had them
and no others; UpdateSecretVersionStage refuses a label that is elsewhere unless RemoveFromVersionId names
that version, and leaves AWSCURRENT never without a version; AWSPREVIOUS goes to the version that AWSCURRENT
left; GetSecretValue without a label or version answers that of AWSCURRENT. Not true: the quotas of labels
and versions are not kept, and versions without a label stay for ever. Rotation and replicas are moto's.
"""

from typing import Any

from moto.secretsmanager.exceptions import InvalidParameterException, SecretNotFoundException
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

from localaws.runtime import Runtime

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"


def install(_runtime: Runtime) -> None:
    """Make staging labels real: called once, before the server answers its first request."""
    # moto takes every label from the version that was current; AWS takes those of the new version.
    FakeSecret.reset_default_version = _add_current_version
    SecretsManagerBackend.update_secret_version_stage = _update_version_stage


def _add_current_version(secret: FakeSecret, version: dict[str, Any], version_id: str) -> None:
    """Add a version that has AWSCURRENT, with all its labels."""
    before = secret.default_version_id
    secret.remove_version_stages_from_old_versions([*version["version_stages"], PREVIOUS])
    if before:
        secret.versions[before]["version_stages"].append(PREVIOUS)
    secret.versions[version_id] = version
    secret.set_default_version_id(version_id)


def _update_version_stage(
    backend: SecretsManagerBackend,
    secret_id: str,
    version_stage: str,
    remove_from_version_id: str | None,
    move_to_version_id: str | None,
) -> tuple[str, str]:
    """UpdateSecretVersionStage."""
    if not backend._is_valid_identifier(secret_id):
        raise SecretNotFoundException()
    secret = backend.secrets[secret_id]
    for version in filter(None, (remove_from_version_id, move_to_version_id)):
        if version not in secret.versions:
            raise InvalidParameterException(f"Not a valid version: {version}")
    holder = next(
        (each for each, kept in secret.versions.items() if version_stage in kept["version_stages"]), None
    )
    _check(version_stage, holder, remove_from_version_id, move_to_version_id)
    if holder != move_to_version_id:
        _move(secret, version_stage, holder, move_to_version_id)
    return secret.arn, secret.name


def _check(label: str, holder: str | None, remove: str | None, move: str | None) -> None:
    if remove and remove != holder:
        raise InvalidParameterException(f"Version stage {label} not found in version {remove}")
    if holder and not remove and holder != move:
        raise InvalidParameterException(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached"
            f" to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    if label == CURRENT and not move:
        raise InvalidParameterException("You can't remove the staging label AWSCURRENT, only move it.")


def _move(secret: FakeSecret, label: str, holder: str | None, move: str | None) -> None:
    if holder:
        secret.versions[holder]["version_stages"].remove(label)
    if move:
        secret.versions[move]["version_stages"].append(label)
    if label == CURRENT:
        secret.remove_version_stages_from_old_versions([PREVIOUS])
        if holder:
            secret.versions[holder]["version_stages"].append(PREVIOUS)
        secret.set_default_version_id(move)  # what GetSecretValue answers without a label
