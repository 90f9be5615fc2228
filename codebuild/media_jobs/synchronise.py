"""The job `synchronise`: compare everything, put right what differs, prove it, cross-check the files."""

import time

from job_support.errors import JobError
from job_support.performance import Figures
from job_support.progress import say

from media_jobs import equality, key_list
from media_jobs.changes import Listener, Timing
from media_jobs.context import JobContext
from media_jobs.errors import named
from media_jobs.listing import listing
from media_jobs.merge import side_by_side
from media_jobs.objects import History, current
from media_jobs.putting_right import PuttingRight
from media_jobs.tally import Tally
from media_jobs.workers import Workers, workers

LAST_ROUND = 3
"""After it nobody copies large objects that are left."""


def run(context: JobContext) -> Figures:
    """Synchronise; ahead of the final copy, prove first that changes are heard from now on."""
    return synchronise(context, heard=prove_listening(context) if context.inputs.phase == "ahead" else None)


def prove_listening(context: JobContext) -> bool:
    """Return whether changes of the old bucket come through.

    What comes before the proof is dropped: the listing that follows sees those changes.
    """
    inputs = context.inputs
    listener = Listener(
        context.s3,
        context.sqs,
        context.source,
        inputs.changes_queue_url or "",
        inputs.run_id,
        keep=lambda _keys: None,
        timing=Timing(silence=0),
    )
    heard = listener.listen()
    say(
        "Changes of the old bucket are heard."
        if heard
        else "WARNING: changes of the old bucket are not heard; everything will be compared again while the "
        "app is stopped."
    )
    return heard


def synchronise(context: JobContext, *, heard: bool | None) -> Figures:
    """Make the candidate equal to the source; write what was found.

    Raises
    ------
    JobError
        `MediaCopyFailed`, `VerificationFailed` or `CrossCheckFailed`, naming the objects; the documents are
        written before.
    """
    started = time.monotonic()
    tally, right = context.tally(), context.putting_right()
    missing = key_list.KeyFile(context.directory / "missing.jsonl.gz")
    with workers() as pool:
        settle_everything(context, pool, right, tally, missing)
        pool.wait()
        compare_sample(context, pool, right, tally)
    context.progress.finish()
    cross_check = {
        "paths": tally.files_present + missing.count + len(tally.gone_meanwhile) + len(tally.newly_missing),
        "present": tally.files_present,
        "missing_before": missing.count + len(tally.gone_meanwhile),
        "newly_missing": sorted(tally.newly_missing),
    }
    context.write("cross-check.json", cross_check)
    both = key_list.with_more(
        missing.close(), tally.gone_meanwhile, context.directory / "all-missing.jsonl.gz"
    )
    name = f"media/{context.inputs.phase}/missing.jsonl.gz"
    context.folder.upload(both, name, content_type="application/gzip")
    conclude(context, tally, changed=None, heard=heard, seconds=time.monotonic() - started)
    refuse_missing(tally.newly_missing)
    return tally.figures() | {name: cross_check[name] for name in ("paths", "present", "missing_before")}


def settle_everything(
    context: JobContext, pool: Workers, right: PuttingRight, tally: Tally, missing: key_list.KeyFile
) -> None:
    """Read both listings and the list of files side by side; have settled what the listings do not settle."""
    inputs = context.inputs
    thorough = inputs.metadata_sample == "all"

    def settle(key: str, source: History, candidate: History, referred: bool) -> None:
        tally.add(right.settle(key, source, candidate, thorough=thorough), referred=referred)
        tally.properties_compared += thorough

    context.progress.start("compare both buckets", context.expected_objects(), "objects")
    files = key_list.fetch(
        context.folder, f"media/{inputs.phase}/files.jsonl.gz", context.directory / "files.jsonl.gz"
    )
    sides = (listing(context.s3, bucket, inputs.versions) for bucket in (context.source, context.candidate))
    with side_by_side(*sides, files) as keys:
        for key, (source, candidate, referred) in keys:
            if referred and current(source) is None:
                missing.add(key)
            if source is None and candidate is None:
                continue
            there = current(source)
            if there and not thorough and settled_by_listing(source, candidate):
                tally.settled(key, there, referred=bool(referred))
            else:
                pool.submit(settle, key, source or (), candidate or (), bool(referred and there))


def settled_by_listing(source: History | None, candidate: History | None) -> bool:
    """Whether both listings say that a key is equal, version by version."""
    if source is None or candidate is None or len(source) != len(candidate):
        return False
    for wanted, there in zip(source, candidate, strict=True):
        if wanted.deleted and there.deleted:
            continue
        if wanted.deleted or there.deleted or wanted.storage_class != there.storage_class:
            return False
        verdict = equality.by_listing(wanted, there)
        if verdict is None or not verdict.equal:
            return False
    return True


def compare_sample(context: JobContext, pool: Workers, right: PuttingRight, tally: Tally) -> None:
    """Compare metadata and tags of the objects that were drawn."""
    keys = list(tally.sample.keys())
    context.progress.start("compare metadata and tags", len(keys), "objects")

    def look(key: str) -> None:
        tally.add(right.look_and_settle(key), again=True)
        context.progress.add(1)

    for key in keys:
        pool.submit(look, key)
    pool.wait()
    tally.properties_compared += len(keys)


def conclude(
    context: JobContext, tally: Tally, *, changed: int | None, heard: bool | None, seconds: float
) -> None:
    """Write `verification.json` and `large-objects.json`; raise when something is not as it should be."""
    inputs = context.inputs
    if inputs.phase == "final":
        tally.refuse_changes()
        if inputs.round >= LAST_ROUND:
            tally.give_up()
    if tally.compared_by["size"]:
        say(
            f"WARNING: {tally.compared_by['size']:,} objects were compared by their size only: "
            "too large to read."
        )
    context.write("verification.json", tally.document(inputs.metadata_sample, changed, heard, seconds))
    context.write_large_objects(tally.large, inputs.phase)
    tally.refuse_failures()
    tally.refuse_differences()


def refuse_missing(keys: list[str]) -> None:
    """Raise `CrossCheckFailed` when files that rows refer to are in the old bucket alone."""
    if keys:
        raise JobError(
            "CrossCheckFailed",
            f"{len(keys):,} files that rows of the database refer to are in the old bucket and not in the "
            f"new one: {named(sorted(keys))}.",
            "Start again: what is copied and equal is not copied again.",
        )
