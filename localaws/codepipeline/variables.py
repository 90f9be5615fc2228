"""Variables in an action's configuration: `#{namespace.key}`.

https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-variables.html.
"""

import re
from collections.abc import Mapping

REFERENCE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([^{}]+)\}")
OF_PIPELINE = ("codepipeline", "variables")
"""Namespaces that every execution has: its id, and the variables it was started with."""

Namespaces = Mapping[str, Mapping[str, str]]


class VariableError(Exception):
    """A reference leads nowhere."""


def references(text: str) -> set[str]:
    """Return the namespaces that a text refers to."""
    return {found[0] for found in REFERENCE.findall(text)}


def resolve(text: str, namespaces: Namespaces) -> str:
    """Return a text with its references replaced.

    Raises
    ------
    VariableError
        A namespace or a key does not exist; names all of them.
    """
    missing = [
        f"#{{{namespace}.{key}}}"
        for namespace, key in REFERENCE.findall(text)
        if key not in namespaces.get(namespace, {})
    ]
    if missing:
        raise VariableError(
            f"An action references variables that do not exist: {', '.join(missing)}. Name the namespace of "
            "the action that has them, and export them there."
        )
    return REFERENCE.sub(lambda found: namespaces[found[1]][found[2]], text)
