"""A pipeline: its declaration, its executions, and the entrances of its stages."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from localaws.codepipeline.records import Execution

Document = dict[str, Any]


@dataclass
class Gate:
    """The entrance of a stage: at most one execution is inside, others wait in the order they came.

    Attributes
    ----------
    enabled, reason, changed_by, changed_at:
        The transition into the stage.
    inside:
        The execution that the stage works for; of the mode PARALLEL none is kept here.
    waiting:
        Executions before the entrance, first come first.
    latest:
        The execution that entered last.
    """

    enabled: bool = True
    reason: str = ""
    changed_by: str = ""
    changed_at: float | None = None
    inside: Execution | None = None
    waiting: list[Execution] = field(default_factory=list)
    latest: Execution | None = None

    def open_for(self, execution: Execution) -> bool:
        """Return whether an execution that waits may enter now."""
        if not self.enabled:
            return False
        if execution.mode == "PARALLEL":
            return True
        return self.inside is None and self.waiting[0] is execution


class Pipeline:
    """A pipeline and what happens to it.

    Parameters
    ----------
    arn:
        Its ARN.
    definition:
        As GetPipeline shows it; version 1.
    tags:
        Key → value.

    Attributes
    ----------
    condition:
        Guards everything here and in the executions, and wakes those that wait at a gate.
    """

    def __init__(self, arn: str, definition: Document, tags: dict[str, str]) -> None:
        self.arn = arn
        self.definition = {**definition, "version": 1}
        self.versions: dict[int, Document] = {1: self.definition}
        self.tags = tags
        self.created = self.updated = time.time()
        self.executions: dict[str, Execution] = {}
        self.tokens: dict[str, str] = {}
        self.condition = threading.Condition(threading.RLock())
        self._gates: dict[str, Gate] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.definition["name"])

    @property
    def region(self) -> str:
        """The region it is in."""
        return self.arn.split(":")[3]

    def gate(self, stage: str) -> Gate:
        """Return the entrance of a stage."""
        return self._gates.setdefault(stage, Gate())

    def update(self, definition: Document) -> None:
        """Replace the declaration; executions that run keep theirs."""
        with self.condition:
            version = self.definition["version"] + 1
            self.definition = {**definition, "version": version}
            self.versions[version] = self.definition
            self.updated = time.time()

    def copy(self) -> Document:
        """Return a copy of the declaration, for an execution to keep."""
        copied: Document = json.loads(json.dumps(self.definition))
        return copied

    def stage_names(self) -> tuple[str, ...]:
        """Return the names of the stages in order."""
        return tuple(stage["name"] for stage in self.definition["stages"])
