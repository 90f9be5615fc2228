"""Which pushes start a pipeline: https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-filter.html.

A push starts it when one of the `push` filters of the trigger fits: the branch is included and not excluded,
and, when there are filters for paths, at least one changed path is included and not excluded. Without a
trigger every push to the branch of the source action starts it, unless `DetectChanges` is `false` there.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from localaws.codeconnections.pushes import Push

PROVIDER = "CodeStarSourceConnection"

Document = Mapping[str, Any]


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    pieces, depth, position = [], 0, 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**/", position):
            pieces.append("(?:.*/)?")
            position += 3
            continue
        if pattern.startswith("**", position):
            pieces.append(".*")
            position += 2
            continue
        if character == "{":
            depth += 1
        if character == "}":
            depth -= 1
        closing = pattern.find("]", position)
        if character == "[" and closing > 0:
            inside = pattern[position + 1 : closing]
            pieces.append(f"[{'^' + inside[1:] if inside.startswith('!') else inside}]")
            position = closing + 1
            continue
        known = {"*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|" if depth else ","}
        pieces.append(known.get(character, re.escape(character)))
        position += 1
    return re.compile("".join(pieces), re.DOTALL)


def fits(pattern: str, value: str) -> bool:
    """Return whether a branch or a path fits a glob pattern; `*` stays within a folder, `**` does not."""
    return _glob(pattern).fullmatch(value) is not None


def _passes(filters: Document, value: str) -> bool:
    """Return whether a value is included (or nothing has to be) and not excluded: excluding wins."""
    includes, excludes = filters.get("includes") or [], filters.get("excludes") or []
    if any(fits(pattern, value) for pattern in excludes):
        return False
    return not includes or any(fits(pattern, value) for pattern in includes)


def _any_passes(filters: Document, values: Iterable[str]) -> bool:
    return any(_passes(filters, value) for value in values)


def _branch(filters: Document, push: Push, own: str) -> str | None:
    """Return the branch that passes. A repository without branches was pushed to the action's own one."""
    branch = own if push.any_branch else push.branch
    return branch if _passes(filters, branch) else None


def sources(definition: Document) -> Iterator[Document]:
    """Yield the source actions of a pipeline that read through a connection."""
    for stage in definition["stages"]:
        for action in stage["actions"]:
            if action["actionTypeId"]["provider"] == PROVIDER:
                yield action


def started_by(definition: Document, push: Push, heard: Callable[[str], bool]) -> tuple[str, str] | None:
    """Return (source action, branch) when the push starts the pipeline, otherwise None.

    Parameters
    ----------
    heard:
        Whether a push comes through the connection of that ARN: only when it is approved.
    """
    for action in sources(definition):
        configuration = action["configuration"]
        if configuration["FullRepositoryId"] != push.repository or not heard(configuration["ConnectionArn"]):
            continue
        branch = _started(definition, action, push)
        if branch is not None:
            return str(action["name"]), branch
    return None


def _started(definition: Document, action: Document, push: Push) -> str | None:
    own = str(action["configuration"]["BranchName"])
    configurations = [
        trigger["gitConfiguration"]
        for trigger in definition.get("triggers") or []
        if trigger["gitConfiguration"]["sourceActionName"] == action["name"]
    ]
    if not configurations:
        detects = action["configuration"].get("DetectChanges", "true") != "false"
        return _branch({"includes": [own]}, push, own) if detects else None
    for configuration in configurations:
        for wanted in configuration.get("push") or [{"branches": {"includes": [own]}}]:
            branch = _branch(wanted.get("branches") or {}, push, own)
            paths = wanted.get("filePaths")
            if branch is not None and (not paths or _any_passes(paths, push.changed)):
                return branch
    return None
