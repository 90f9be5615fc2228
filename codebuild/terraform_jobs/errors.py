"""The errors that a person meets when Terraform cannot do what a run asked, and what to do about it."""

import re

LONGEST_CAUSE = 2000
"""Characters of Terraform's own words that a cause keeps; the rest is in the build's log."""

STALE = re.compile(r"Saved plan is stale|Saved plan does not match the given state", re.IGNORECASE)
"""Terraform's own refusals of a plan that was made from another state."""

NEW_PLAN = "Start the run again: it makes a new plan."

REMEDIES = (
    (
        re.compile(r"Instance cannot be destroyed"),
        "The configuration protects what is named (lifecycle.prevent_destroy). Take back what would replace "
        "or delete it; a store is replaced by the runbook `migrate`.",
    ),
    (
        re.compile(r"deletion protection|BucketNotEmpty|is already scheduled for deletion"),
        "AWS protects what is named. To delete it on purpose, apply deletion_protection = false first (and "
        "look at what it holds); a name that waits for its deletion can be used when that is over.",
    ),
    (
        re.compile(r"Invalid target|Invalid (force-)?replace address"),
        "Correct the addresses in `targets` and `replace` (plan.txt of an earlier run has all addresses), "
        "and start the run again.",
    ),
    (
        re.compile(r"Error acquiring the state lock"),
        "Another Terraform run holds the lock of the state (Lock Info says whose it is). Wait for its end "
        "and start again; when it was killed, release the lock with `terraform force-unlock <ID>`.",
    ),
    (
        re.compile(r"AccessDenied|UnauthorizedOperation|not authorized to perform"),
        "Give the role of the Terraform build the permission that is named, and start the run again.",
    ),
    (
        re.compile(r"Invalid value for variable|No value for required variable|Unsuitable value"),
        "Correct the value in terraform/environments/<environment>.tfvars, in the stack's context or in the "
        "generations parameter, and start the run again.",
    ),
)
"""What Terraform says -> what a person does. The first that matches counts."""

OTHERWISE = "The build's log has Terraform's whole output. Correct the cause and start the run again."


class ProvisionFailed(Exception):  # noqa: N818 - the name is the one that a person meets
    """Terraform, or what it needs, failed.

    Parameters
    ----------
    cause
        What failed, in sentences.
    remedy
        What a person does about it.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy


class PlanStale(ProvisionFailed):
    """The state has changed since the plan was made: it would not do what was looked at."""


def failure_of(action: str, output: str) -> ProvisionFailed:
    """Return the error that describes a failed command.

    Parameters
    ----------
    action
        What was tried, such as "terraform apply".
    output
        What Terraform wrote to standard error, without colours.
    """
    words = plain(output) or "It gave no reason."
    if len(words) > LONGEST_CAUSE:
        words = f"{words[:LONGEST_CAUSE].rstrip()} …"
    if STALE.search(output):
        return PlanStale(
            f"{action} failed: {words} The state of the infrastructure has changed since this plan was made; "
            "nothing was applied.",
            NEW_PLAN,
        )
    remedy = next((remedy for pattern, remedy in REMEDIES if pattern.search(output)), OTHERWISE)
    return ProvisionFailed(f"{action} failed: {words}", remedy)


def plain(output: str) -> str:
    """Return Terraform's diagnostics without their frames: errors only, as running text.

    >>> plain("╷\\n│ Error: No such bucket\\n│ \\n│   with aws_s3_bucket.a,\\n╵\\n")
    'Error: No such bucket with aws_s3_bucket.a,'
    """
    blocks = re.findall(r"╷\n(.*?)╵", output, flags=re.DOTALL)
    errors = [block for block in blocks if re.match(r"│ Error", block)]
    text = "\n".join(errors) if errors else output
    return " ".join(re.sub(r"^│", "", line).strip() for line in text.splitlines() if line.strip("│ ")).strip()
