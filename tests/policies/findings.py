"""What a tool found, what was accepted and why, and what of it is a fault."""

from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST_REASON = 6
"""Words. Fewer do not tell a reader what is so here and not elsewhere."""


@dataclass(frozen=True, order=True)
class Finding:
    """One rule that one thing does not keep, and what to do about it."""

    place: str
    rule: str
    says: str
    remedy: str


@dataclass(frozen=True, order=True)
class Acceptance:
    """One rule that one thing need not keep, for a reason.

    `needed` is whether the tool finds something there when the acceptance is taken away.
    """

    place: str
    rule: str
    reason: str
    needed: bool


@dataclass(frozen=True)
class Examination:
    """What one tool found in the whole of what it looks at."""

    tool: str
    passed: str
    open: Sequence[Finding]
    acceptances: Sequence[Acceptance]

    @property
    def faults(self) -> list[str]:
        """Everything that has to change, as sentences with the place first."""
        faults = [
            f"{finding.place}: {finding.rule}: {finding.says}\n    {finding.remedy}"
            for finding in sorted(set(self.open))
        ]
        for acceptance in sorted(set(self.acceptances)):
            where = f"{acceptance.place}: {acceptance.rule}"
            if len(acceptance.reason.split()) < SHORTEST_REASON:
                faults.append(
                    f"{where} is accepted because {acceptance.reason!r}: that explains nothing.\n"
                    f"    Say in at least {SHORTEST_REASON} words what is so here."
                )
            if not acceptance.needed:
                faults.append(
                    f"{where} is accepted, and nothing is found there any more.\n"
                    "    Take the acceptance away, so that it cannot hide the next finding."
                )
        return faults

    @property
    def summary(self) -> str:
        """One line: what passed, what is open, how much was accepted and for how many reasons."""
        accepted = set(self.acceptances)
        reasons = {acceptance.reason for acceptance in accepted}
        return (
            f"{self.tool}: {self.passed}, {len(set(self.open))} open, "
            f"{len(accepted)} accepted for {len(reasons)} written reasons"
        )
