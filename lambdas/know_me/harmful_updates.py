"""Updates in place that harm what holds data though the resource stays (contracts, section 11): a table."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class InPlace(BaseModel):
    """An update that keeps the resource and harms it.

    Attributes
    ----------
    attribute
        What is updated.
    reason
        What would come of it, in words.
    harms
        Whether the value before and the value after are such an update.
    refused
        Whether it is not made at all; otherwise a person is asked about it.
    remedy
        What to do instead; None for the way that the guard names for the resource.
    """

    model_config = ConfigDict(frozen=True)

    attribute: str
    reason: str
    harms: Callable[[Any, Any], bool]
    refused: bool = False
    remedy: str | None = None

    def applies(
        self, before: Mapping[str, Any], after: Mapping[str, Any], unknown: Mapping[str, Any]
    ) -> bool:
        """Whether a change is such an update; a value that is known only afterwards is taken for harmful.

        Parameters
        ----------
        before, after
            The resource's attributes.
        unknown
            Attribute → true where its value is known only after the apply.
        """
        if unknown.get(self.attribute) is True:
            return self.refused
        old, new = before.get(self.attribute), after.get(self.attribute)
        return old != new and self.harms(old, new)


def _any_change(before: Any, _after: Any) -> bool:
    return before is not None


def _switched_off(before: Any, after: Any) -> bool:
    return bool(before) and not after


def _switched_on(before: Any, after: Any) -> bool:
    return bool(after) and not before


def _lowered(before: Any, after: Any) -> bool:
    return isinstance(before, int | float) and (after is None or after < before)


def _kept_shorter(before: Any, after: Any) -> bool:
    """Whether logs are kept for fewer days; 0 is for ever."""
    return bool(after) and (before == 0 or (isinstance(before, int) and after < before))


def _other_major(before: Any, after: Any) -> bool:
    return bool(before) and bool(after) and str(before).split(".")[0] != str(after).split(".")[0]


IN_PLACE: Mapping[str, tuple[InPlace, ...]] = {
    "aws_db_instance": (
        InPlace(
            attribute="identifier",
            reason="the database would get another name, and the app would not find it any more",
            harms=_any_change,
            refused=True,
        ),
        InPlace(
            attribute="db_subnet_group_name",
            reason="the database would move to other subnets, where it cannot be reached meanwhile",
            harms=_any_change,
            refused=True,
        ),
        InPlace(
            attribute="engine_version",
            reason="the database would be upgraded to another major version in place, with no way back",
            harms=_other_major,
            refused=True,
        ),
        InPlace(
            attribute="deletion_protection",
            reason="the database could be deleted afterwards (deletion_protection)",
            harms=_switched_off,
        ),
        InPlace(
            attribute="backup_retention_period",
            reason="backups that are older would be deleted (backup_retention_period)",
            harms=_lowered,
        ),
        InPlace(
            attribute="skip_final_snapshot",
            reason="the database would be deleted without a last snapshot (skip_final_snapshot)",
            harms=_switched_on,
        ),
        InPlace(
            attribute="delete_automated_backups",
            reason="its backups would be deleted with the database (delete_automated_backups)",
            harms=_switched_on,
        ),
    ),
    "aws_s3_bucket": (
        InPlace(
            attribute="force_destroy",
            reason="the bucket could be deleted with everything in it (force_destroy)",
            harms=_switched_on,
        ),
    ),
    "aws_kms_key": (
        InPlace(
            attribute="is_enabled",
            reason="nothing that is encrypted with the key could be read any more",
            harms=_switched_off,
            refused=True,
            remedy="Leave the key enabled.",
        ),
        InPlace(
            attribute="enable_key_rotation",
            reason="the key would not be rotated any more (enable_key_rotation)",
            harms=_switched_off,
        ),
        InPlace(
            attribute="deletion_window_in_days",
            reason="a deletion could be taken back for fewer days (deletion_window_in_days)",
            harms=_lowered,
        ),
    ),
    "aws_secretsmanager_secret": (
        InPlace(
            attribute="recovery_window_in_days",
            reason="a deletion could be taken back for fewer days (recovery_window_in_days)",
            harms=_lowered,
        ),
    ),
    "aws_cloudwatch_log_group": (
        InPlace(
            attribute="retention_in_days",
            reason="logs that are older would be deleted (retention_in_days)",
            harms=_kept_shorter,
        ),
    ),
    "aws_dynamodb_table": (
        InPlace(
            attribute="deletion_protection_enabled",
            reason="the table could be deleted afterwards (deletion_protection_enabled)",
            harms=_switched_off,
        ),
    ),
    "aws_route53_zone": (
        InPlace(
            attribute="force_destroy",
            reason="the zone could be deleted with its records (force_destroy)",
            harms=_switched_on,
        ),
    ),
    "aws_ecr_repository": (
        InPlace(
            attribute="force_delete",
            reason="the repository could be deleted with its images (force_delete)",
            harms=_switched_on,
        ),
    ),
}
"""Type → updates that are refused or destructive though the resource stays."""
