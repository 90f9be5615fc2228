"""Context of the CDK app: what an operator may set, every fault in one message."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

ENVIRONMENT_PATTERN = re.compile(r"[a-z](?:-?[a-z0-9]){1,15}")
"""2 to 16 small letters, digits and single hyphens, a letter first (contracts)."""

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTIONS = {
    1: "ONE_DAY",
    3: "THREE_DAYS",
    5: "FIVE_DAYS",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    120: "FOUR_MONTHS",
    150: "FIVE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
    400: "THIRTEEN_MONTHS",
    545: "EIGHTEEN_MONTHS",
    731: "TWO_YEARS",
    1096: "THREE_YEARS",
    1827: "FIVE_YEARS",
    2192: "SIX_YEARS",
    2557: "SEVEN_YEARS",
    2922: "EIGHT_YEARS",
    3288: "NINE_YEARS",
    3653: "TEN_YEARS",
}
"""Days for which CloudWatch Logs can keep a group, and what CDK calls them."""

PASSED_BY_THE_STACK = ("environment", "artifacts_bucket", "notification_topic_arn", "database_jobs_source")
"""Terraform variables that the stack knows itself."""

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
LARGEST_SINGLE_COPY_BYTES = 5 * 1024**3
"""What S3 copies in one request."""

LONGEST_APPROVAL_SECONDS = 7 * 86400
"""How long a run may wait for a decision; the state of the world is another one after that."""

_OWN_KEY = re.compile(r"[a-z][a-z_]*")
"""What a key of ours looks like; CDK's own have colons, slashes or hyphens."""


class SettingsError(Exception):
    """The context has faults; the message lists them all."""


def _environment(value: str) -> str:
    if len(value) > 16 or not ENVIRONMENT_PATTERN.fullmatch(value):
        raise ValueError("must be 2 to 16 small letters, digits and single hyphens, a letter first")
    return value


def _retention(days: int) -> int:
    if days not in RETENTIONS:
        raise ValueError(f"must be a retention of CloudWatch Logs: {', '.join(map(str, RETENTIONS))}")
    return days


def _json_object(value: Any) -> Any:
    """Accept an object, or its JSON: `cdk -c` passes strings."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"must be a JSON object: {error}") from None


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
_RATE = re.compile(r"rate\((?:1 (?:minute|hour|day)|(?:[2-9]|[1-9][0-9]+) (?:minutes|hours|days))\)")
_CRON = re.compile(r"cron\([0-9*,/-]+ [0-9*,/-]+ [0-9*?,/LW-]+ [0-9A-Z*,/-]+ [0-9A-Z*?,/#-]+ [0-9*,/-]+\)")


def _schedule(expression: str) -> str:
    if expression and not _RATE.fullmatch(expression) and not _CRON.fullmatch(expression):
        raise ValueError(
            "must be a schedule of EventBridge, such as cron(0 5 * * ? *) or rate(12 hours), or empty"
        )
    if expression.startswith("cron("):
        fields = expression[5:-1].split(" ")
        if (fields[2] == "?") == (fields[4] == "?"):
            raise ValueError("must have ? for the day of the month or for the day of the week, not for both")
    return expression


def _terraform_variables(variables: dict[str, Any]) -> dict[str, Any]:
    faults = [f"{name} is set by the stack" for name in variables if name in PASSED_BY_THE_STACK]
    faults += [f"{name} is not a name" for name in variables if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    if "generations" in variables:
        faults.append("generations is set by the runbooks")
    if faults:
        raise ValueError("; ".join(faults))
    return variables


JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]


ApprovalMode = Literal["always", "changes", "destructive", "never"]


class Settings(BaseModel):
    """What an operator may set with `-c <name>=<value>` or in `cdk.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: Annotated[str, AfterValidator(_environment)] = "staging"
    python_runtime: Annotated[str, Field(pattern=r"^3\.(9|1[0-9])$")] = "3.13"
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    terraform_variables: Annotated[JsonObject, AfterValidator(_terraform_variables)] = {}
    terraform_backend: JsonObject = {}
    log_retention_days: Annotated[int, AfterValidator(_retention)] = 90
    single_copy_limit_bytes: Annotated[int, Field(ge=1, le=LARGEST_SINGLE_COPY_BYTES)] = (
        LARGEST_SINGLE_COPY_BYTES
    )
    approval: ApprovalMode | None = None
    approval_timeout_seconds: Annotated[int, Field(ge=60, le=LONGEST_APPROVAL_SECONDS)] = 86400
    drift_schedule: Annotated[str, AfterValidator(_schedule)] = "cron(0 5 * * ? *)"

    @property
    def approval_mode(self) -> ApprovalMode:
        """Which plans a person is asked about: every change of production, otherwise what destroys."""
        return self.approval or ("changes" if self.environment == "production" else "destructive")


def parse_settings(context: Mapping[str, Any]) -> Settings:
    """Read the settings out of a CDK context.

    Raises
    ------
    SettingsError
        One or more values are wrong, or a key looks like ours and is none.
    """
    own = {key: value for key, value in context.items() if _OWN_KEY.fullmatch(key)}
    try:
        return Settings.model_validate(own)
    except ValidationError as error:
        raise SettingsError(_listing(error)) from None


def _listing(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            message = f"there is no such setting; there are {', '.join(Settings.model_fields)}"
        else:
            message = fault["msg"].removeprefix("Value error, ")
        faults.append(f"  {name}: {message}")
    return "The context has faults (cdk.json, or -c name=value):\n" + "\n".join(faults)
