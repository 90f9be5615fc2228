"""Findings: results of preflight checks, and what follows from them."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from know_me.errors import PreflightFailed

Result = Literal["passed", "warning", "failed", "skipped"]


class Finding(BaseModel):
    """One result of a check, with the remedy in words."""

    model_config = ConfigDict(frozen=True)

    check: str
    result: Result
    subject: str
    message: str
    remedy: str | None = None


class Verdict(BaseModel):
    """All findings of a run and what they come to."""

    verdict: Literal["passed", "failed"]
    findings: list[Finding]

    @property
    def failed(self) -> list[Finding]:
        """The findings that stop a run."""
        return [finding for finding in self.findings if finding.result == "failed"]


def judge(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict: one failed finding is enough to fail."""
    everything = list(findings)
    failed = any(finding.result == "failed" for finding in everything)
    return Verdict(verdict="failed" if failed else "passed", findings=everything)


def refuse_failed(verdict: Verdict) -> None:
    """Stop a run whose preflight failed.

    Raises
    ------
    PreflightFailed
        Naming each failed finding and its remedy.
    """
    if verdict.verdict == "passed":
        return
    failed = verdict.failed
    lines = [
        f"{finding.check} ({finding.subject}): {finding.message.rstrip('.')}."
        + (f" {finding.remedy.rstrip('.')}." if finding.remedy else "")
        for finding in failed
    ]
    count = "One check" if len(failed) == 1 else f"{len(failed)} checks"
    raise PreflightFailed(f"{count} failed. {' '.join(lines)}", "Then start the migration again.")
