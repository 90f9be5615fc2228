"""What an action is given, what it gives back, and how an action type is described."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localaws.codepipeline.records import ActionRun, Execution, Revision
from localaws.codepipeline.store import Artifact, Store


class Abandoned(Exception):  # noqa: N818 - not an error: somebody said so
    """The action was abandoned, or the server stops."""


@dataclass(frozen=True)
class Result:
    """What an action that succeeded gives back.

    Attributes
    ----------
    artifacts:
        That it wrote, each declared as an output.
    variables:
        Key → value, for the action's namespace.
    revision:
        Of a source action.
    """

    artifacts: tuple[Artifact, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    revision: Revision | None = None


class Work:
    """One run of an action.

    Parameters
    ----------
    execution, run:
        Whose it is; the action reports on the run what becomes known while it works.
    clients:
        Service → boto3 client with credentials of the action's role.
    store:
        The artifact store.
    pause:
        Waits some seconds; returns whether the action has to end.
    """

    def __init__(
        self,
        execution: Execution,
        run: ActionRun,
        clients: Callable[[str], Any],
        store: Store,
        pause: Callable[[float], bool],
    ) -> None:
        self.execution = execution
        self.run = run
        self.client = clients
        self.store = store
        self._pause = pause

    @property
    def configuration(self) -> Mapping[str, str]:
        """The configuration, its variables resolved."""
        return self.run.configuration

    @property
    def inputs(self) -> tuple[Artifact, ...]:
        """The input artifacts, in the order they are declared."""
        return self.run.inputs

    def input(self, name: str) -> Artifact | None:
        """Return an input artifact by its name."""
        return next((artifact for artifact in self.inputs if artifact.name == name), None)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output artifacts."""
        return tuple(artifact["name"] for artifact in self.run.declaration["outputArtifacts"])

    def pause(self, seconds: float) -> None:
        """Wait before the next look at what the action waits for.

        Raises
        ------
        Abandoned
            The action has to end.
        """
        if self._pause(seconds):
            raise Abandoned


@dataclass(frozen=True)
class ActionType:
    """A kind of action.

    Attributes
    ----------
    category, provider:
        Of the action type id; the owner is AWS and the version 1.
    run:
        Does the work.
    required, optional:
        Keys of the configuration; optional ones are regular expressions.
    inputs, outputs:
        How many artifacts it takes and gives.
    check:
        Returns the faults of a configuration that has all required keys and no unknown one.
    """

    category: str
    provider: str
    run: Callable[[Work], Result]
    required: frozenset[str]
    optional: tuple[str, ...]
    inputs: range
    outputs: range
    check: Callable[[Mapping[str, str]], list[str]] = lambda _: []

    @property
    def key(self) -> tuple[str, str]:
        """Category and provider."""
        return self.category, self.provider

    def faults(self, declaration: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with an action of this type."""
        configuration = declaration.get("configuration") or {}
        missing = self.required - configuration.keys()
        unknown = {
            name
            for name in configuration.keys() - self.required
            if not any(re.fullmatch(pattern, name) for pattern in self.optional)
        }
        faults = [f"configuration {name} is missing" for name in sorted(missing)]
        faults += [
            f"configuration {name} is not known here (known: "
            f"{', '.join(sorted(self.required) + list(self.optional))})"
            for name in sorted(unknown)
        ]
        for what, allowed in (("inputArtifacts", self.inputs), ("outputArtifacts", self.outputs)):
            number = len(declaration.get(what) or [])
            if number not in allowed:
                faults.append(f"{number} {what}; there may be {allowed.start} to {allowed.stop - 1}")
        return faults or self.check(configuration)
