"""Findings: the results of checks, each with what to do about it."""

from typing import Literal

from pydantic import BaseModel

Result = Literal["passed", "warning", "failed", "skipped"]


class Finding(BaseModel):
    """One result of a check."""

    check: str
    result: Result
    subject: str
    message: str
    remedy: str | None = None


def passed(check: str, subject: str, message: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check=check, result="passed", subject=subject, message=message)


def warning(check: str, subject: str, message: str, remedy: str | None) -> Finding:
    """Return a finding that a person should know and that stops nothing."""
    return Finding(check=check, result="warning", subject=subject, message=message, remedy=remedy)


def failed(check: str, subject: str, message: str, remedy: str) -> Finding:
    """Return a finding that must be put right first."""
    return Finding(check=check, result="failed", subject=subject, message=message, remedy=remedy)


def skipped(check: str, subject: str, message: str) -> Finding:
    """Return a finding that could not be made."""
    return Finding(check=check, result="skipped", subject=subject, message=message)
