"""Return: bring an environment back to the stores it had before a run, from wherever the run got to.

What happened is read from what is there (run folder, executions, builds, parameters), never from memory:
`return` may start long after, twice, or after a `return` that failed half way.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from pydantic import BaseModel

from know_me import generations as documents
from know_me.builds import running_builds
from know_me.errors import InvalidRequest
from know_me.executions import execution_status, running_executions
from know_me.generations import Generations, Store
from know_me.lock import LockTable
from know_me.manifest import DatabaseGeneration, Manifest, MediaGeneration
from know_me.run_folder import RunFolder
from know_me.settings import Settings


class Claim(BaseModel):
    """Whether this `return` is the one that brings a run back."""

    claimed: bool
    message: str
    run_id: str
    attempt: int = 0

    @property
    def suffix(self) -> str:
        """What the names of this attempt's child executions end with."""
        return "" if self.attempt <= 1 else f"-{self.attempt}"


def claim(
    table: LockTable, folder: RunFolder, states: Any, settings: Settings, *, run_id: str, execution_arn: str
) -> Claim:
    """Claim a run, if there is something to return and nobody else does it.

    Raises
    ------
    InvalidRequest
        The run is still under way, and did not ask for this itself.
    """
    nothing = Claim(claimed=False, run_id=run_id, message="")
    lock = table.read()
    if lock is None or lock.run_id != run_id:
        held = "nobody holds the lock" if lock is None else f"the run {lock.run_id} holds the lock"
        return nothing.model_copy(update={"message": f"There is nothing to return for {run_id}: {held}."})
    if lock.purpose != "migrate":
        return nothing.model_copy(
            update={"message": f"There is nothing to return for {run_id}: it is a {lock.purpose} run."}
        )
    if (folder.read("outcome.json") or {}).get("outcome") == "migrated":
        table.release(run_id)
        message = f"The run {run_id} had reached its end: the environment stays on the new stores."
        return nothing.model_copy(update={"message": message})
    asked_by_the_run = execution_arn == settings.execution_arn("return", f"{run_id}-return")
    if not asked_by_the_run and execution_status(states, lock.execution_arn) == "RUNNING":
        raise InvalidRequest.listing(
            [f"run_id: the run {run_id} is still under way"],
            f"Stop it (aws stepfunctions stop-execution --execution-arn {lock.execution_arn}); "
            "its return then starts by itself.",
        )
    if lock.returning_by == execution_arn:  # our own claim, when the step is repeated
        return Claim(
            claimed=True, run_id=run_id, attempt=lock.return_attempt, message=f"{run_id} is claimed."
        )
    if lock.returning_by and execution_status(states, lock.returning_by) == "RUNNING":
        message = f"There is nothing left to do for {run_id}: {lock.returning_by} is at it."
        return nothing.model_copy(update={"message": message})
    if not table.claim(lock, execution_arn):
        return nothing.model_copy(update={"message": f"Another return has just claimed {run_id}."})
    return Claim(
        claimed=True, run_id=run_id, attempt=lock.return_attempt + 1, message=f"{run_id} is claimed."
    )


COPIES = (
    ("move-database", "-move-database", "DatabaseJobInterrupted"),
    ("move-media", "-move-media-ahead", "MediaJobInterrupted"),
    ("move-media", "-move-media", "MediaJobInterrupted"),
)
"""State machine, suffix of the execution's name, and the error with which a copy is stopped."""


def stop_what_is_under_way(
    states: Any, codebuild: Any, settings: Settings, run_id: str, cause: str
) -> list[str]:
    """Stop a run's copying and return what is still ending, in words.

    Jobs only read the old stores or fill the new ones: they are stopped. Terraform is waited for: killed half
    way it leaves a locked state and resources that nobody knows.
    """
    waiting = []
    for machine, suffix, error in COPIES:
        copy = settings.execution_arn(machine, f"{run_id}{suffix}")
        if execution_status(states, copy) == "RUNNING":
            states.stop_execution(executionArn=copy, error=error, cause=cause)
            waiting.append(f"the execution {run_id}{suffix}")
    for project, kind in ((settings.database_jobs_build, "database"), (settings.media_jobs_build, "media")):
        for build in running_builds(codebuild, project):
            if build.run_id == run_id:
                codebuild.stop_build(id=build.id)
                waiting.append(f"the {kind} job {build.variables.get('JOB', build.id)}")
    waiting += [
        f"the execution {execution['name']}"
        for execution in running_executions(states, settings.state_machine_arn("provision"))
        if execution["name"].startswith(f"{run_id}-provision-")
    ]
    waiting += [
        f"Terraform's {build.variables.get('ACTION', 'build')}"
        for build in running_builds(codebuild, settings.terraform_build)
        if build.run_id.startswith(f"{run_id}-provision-")
    ]
    return waiting


Fate = Literal["never made", "dropped", "kept"]


class WayBack(BaseModel):
    """What a run changed, and so what has to be put back; `old_bucket` is null when the media stayed."""

    old: DatabaseGeneration | None
    candidate: str | None
    candidate_fate: Fate
    old_bucket: MediaGeneration | None
    media_candidate: str | None
    media_candidate_fate: Fate
    cutover_begun: bool
    provision_needed: bool
    fenced: bool
    media_fenced: bool
    quiesced: bool
    touched: bool
    suffix: str = ""


def point_back(
    folder: RunFolder,
    states: Any,
    settings: Settings,
    run_id: str,
    manifest: Manifest,
    current: Generations,
    write: Callable[[Generations], None],
) -> WayBack:
    """Point the generations of both stores back to what they were, and say what else has to be done.

    A candidate that Terraform has published stays: it is in the state, may hold a copy, and is retired like
    any other; a bucket that was never active stays `unfinished`, and the next run goes on with it. One that
    never got so far is dropped, so that Terraform removes what there is of it.
    """
    fenced = folder.read("fence.json") is not None
    media_fenced = folder.read("media/fence.json") is not None
    quiesced = folder.read("quiesced.json") is not None
    before_document = folder.read("generations-before.json")
    candidates = _candidates(folder)
    if before_document is None or not candidates:  # the run ended before it asked Terraform for anything
        return WayBack(
            old=manifest.active_database,
            candidate=None,
            candidate_fate="never made",
            old_bucket=None,
            media_candidate=None,
            media_candidate_fate="never made",
            cutover_begun=False,
            provision_needed=False,
            fenced=fenced,
            media_fenced=media_fenced,
            quiesced=quiesced,
            touched=fenced or media_fenced or quiesced,
        )
    before = Generations.model_validate(before_document)
    published = {store: name in _published(manifest, store) for store, name in candidates.items()}
    fates: dict[Store, Fate] = {}
    wanted = current
    for store, name in candidates.items():
        wanted = documents.activate(wanted, store, before.of(store).active)
        fates[store] = "kept" if published[store] or name in before.of(store).all else "dropped"
        if fates[store] == "dropped":
            wanted = documents.drop(wanted, store, name)
    if wanted != current:
        write(wanted)

    def asked_terraform(step: str) -> bool:
        return execution_status(states, settings.execution_arn("provision", f"{run_id}-{step}")) is not None

    cutover_begun = asked_terraform("provision-cutover") or any(
        active != before.of(store).active
        for store in candidates
        for active in (current.of(store).active, getattr(manifest, store).active)
    )
    provision_needed = cutover_begun or (
        asked_terraform("provision-candidate") and not all(published.values())
    )
    return WayBack(
        old=manifest.database.generations.get(before.database.active),
        candidate=candidates.get("database"),
        candidate_fate=fates.get("database", "never made"),
        old_bucket=manifest.media.generations.get(before.media.active) if "media" in candidates else None,
        media_candidate=candidates.get("media"),
        media_candidate_fate=fates.get("media", "never made"),
        cutover_begun=cutover_begun,
        provision_needed=provision_needed,
        fenced=fenced,
        media_fenced=media_fenced,
        quiesced=quiesced,
        touched=fenced or media_fenced or quiesced or provision_needed,
    )


def _candidates(folder: RunFolder) -> dict[Store, str]:
    """Return the candidate of each store that the run was to move."""
    request = folder.read("request.json") or {}
    named: tuple[tuple[Store, Any], ...] = (
        ("database", request.get("candidate")),
        ("media", request.get("media_candidate")),
    )
    return {store: name for store, name in named if name}


def _published(manifest: Manifest, store: Store) -> Iterable[str]:
    """Return the generations of a store that Terraform has made."""
    generations: Iterable[str] = getattr(manifest, store).generations
    return generations
