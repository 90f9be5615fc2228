"""What the demonstration claims."""

from dataclasses import dataclass, field


@dataclass
class Proof:
    """Claims, each with whether it was seen to be true."""

    claims: list[tuple[bool, str]] = field(default_factory=list)

    def claim(self, holds: bool, sentence: str) -> None:
        """Add one claim."""
        self.claims.append((holds, sentence))

    @property
    def complete(self) -> bool:
        """Whether every claim holds."""
        return bool(self.claims) and all(holds for holds, _ in self.claims)
