"""The report of a run: what an on-call engineer wants to know, as JSON and as one self-contained page."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel, ConfigDict

from know_me.failures import Failure
from know_me.findings import Finding
from know_me.generations import STORES, Generations, unfinished_media
from know_me.media_report import MediaReport, compose_media
from know_me.plan_report import (
    FOREIGN_RULES,
    Approval,
    PlanReport,
    compose_plan,
    difference_in_words,
    plan_in_words,
    what_to_do,
)
from know_me.run_folder import RunFolder
from know_me.timeline import Entry
from know_me.wording import counted, duration, listed, size, stores_in_words

Outcome = Literal[
    "migrated",
    "preflight_passed",
    "provisioned",
    "nothing_to_change",
    "planned",
    "drift_found",
    "destroyed",
    "refused",
    "rejected",
    "approval_timed_out",
    "failed",
    "returned",
    "return_failed",
]
Runbook = Literal["migrate", "provision", "return"]

SENTENCES: dict[str, str] = {
    "migrated": "{environment} runs on {new}; nothing is missing there.",
    "preflight_passed": "{environment} is ready to migrate; nothing was changed.",
    "provisioned": "{environment} is as Terraform describes it.",
    "nothing_to_change": "{environment} was already as Terraform describes it; nothing was changed.",
    "planned": "The plan for {environment} is made; nothing was applied.",
    "drift_found": "{environment} is not as Terraform describes it; nothing was changed.",
    "destroyed": "What Terraform made for {environment} is deleted.",
    "refused": "The plan for {environment} is refused: it would take what holds data. Nothing was applied.",
    "rejected": "The plan for {environment} was rejected; nothing was applied.",
    "approval_timed_out": "Nobody decided about the plan for {environment} in time; nothing was applied.",
    "failed": "The run failed.",
    "returned": "The migration failed; {environment} runs on {old} again.",
    "untouched": "The migration ended before anything was touched; {environment} runs on {same} as before.",
    "return_failed": "The migration failed and could not be taken back: {environment} needs you.",
}

GOOD = frozenset({"migrated", "preflight_passed", "provisioned", "nothing_to_change", "planned", "destroyed"})

JOBS = (
    "terraform-plan",
    "terraform-apply",
    "inspect",
    "before-survey",
    "inspect-candidate",
    "list-files",
    "ahead-compare",
    "ahead-synchronise",
    "stop-writers",
    "prepare-role",
    "dump",
    "restore",
    "verify",
    "final-compare",
    "final-synchronise",
    "final-catch-up",
    "final-cross-check",
    "after-look-back",
    "allow-writes",
)
"""Jobs by the names of their documents: those of the media begin with their phase."""


class ReturnFacts(BaseModel):
    """What `return` knows about the way back; all absent when it failed before it found out."""

    model_config = ConfigDict(extra="ignore")

    touched: bool = True
    cutover_begun: bool = False
    candidate: str | None = None
    candidate_fate: str | None = None
    media_candidate: str | None = None
    media_candidate_fate: str | None = None


class Facts(BaseModel):
    """What the state machine knows and the run folder does not."""

    run_id: str
    environment: str
    runbook: Runbook
    outcome: Outcome
    failure: Failure | None = None
    passed_at: datetime | None = None
    way_back: ReturnFacts | None = None
    approval: Approval | None = None
    warnings: list[str] = []


class Report(BaseModel):
    """`report.json`."""

    run_id: str
    environment: str
    runbook: Runbook
    outcome: Outcome
    sentence: str
    failure: Failure | None
    warnings: list[str]
    started_at: datetime | None
    finished_at: datetime
    downtime_seconds: float | None
    downtime_from: datetime | None
    downtime_to: datetime | None
    generations_before: dict[str, Any] | None
    generations: dict[str, Any] | None
    findings: list[Finding]
    jobs: list[dict[str, Any]]
    verification: dict[str, Any] | None
    media: MediaReport | None
    plan: PlanReport | None
    timeline: list[dict[str, Any]]
    to_do: list[str]
    run_folder: str


def compose(
    facts: Facts,
    folder: RunFolder,
    timeline: list[Entry],
    generations: Generations | None,
    account_id: str,
    now: datetime,
) -> Report:
    """Put together what the state machine, the run folder and the history know."""
    stopped = folder.read("stopped.json")
    stopped_at = datetime.fromisoformat(stopped["stopped_at"]) if stopped else None
    request = folder.read("request.json") or {}
    moved = _moved(request, generations)
    way_back = facts.way_back
    untouched = facts.outcome == "returned" and way_back is not None and not way_back.touched
    preflight = folder.read("preflight.json") or {}
    jobs = [{"name": name, **job} for name in JOBS if (job := folder.read(f"jobs/{name}.json"))]
    media = compose_media(folder, request, facts.environment, account_id)
    plan = compose_plan(folder, facts.approval)
    return Report(
        run_id=facts.run_id,
        environment=facts.environment,
        runbook=facts.runbook,
        outcome=facts.outcome,
        sentence=SENTENCES["untouched" if untouched else facts.outcome].format(
            environment=facts.environment,
            new=_named(moved, "new "),
            old=_named(moved, "old "),
            same=_named(moved),
        ),
        failure=facts.failure,
        warnings=facts.warnings + _warnings(facts),
        started_at=timeline[0].entered_at if timeline else None,
        finished_at=now,
        downtime_seconds=(facts.passed_at - stopped_at).total_seconds()
        if facts.passed_at and stopped_at
        else None,
        downtime_from=stopped_at,
        downtime_to=facts.passed_at if stopped_at else None,
        generations_before=folder.read("generations-before.json"),
        generations=generations.model_dump() if generations else None,
        findings=[Finding.model_validate(item) for item in preflight.get("findings", [])],
        jobs=jobs,
        verification=folder.read("verification.json"),
        media=media,
        plan=plan,
        timeline=[{**entry.model_dump(mode="json"), "seconds": entry.seconds} for entry in timeline],
        to_do=_to_do(facts, folder, media, plan, generations),
        run_folder=folder.address,
    )


def _moved(request: dict[str, Any], generations: Generations | None) -> dict[str, str | None]:
    """Return the active generation of each store that the run was to move; of both when it is not known."""
    if generations is None:
        return {}
    asked = {"database": request.get("candidate"), "media": request.get("media_candidate")}
    return {
        store: generations.of(store).active if asked[store] or not any(asked.values()) else None
        for store in STORES
    }


def _named(moved: dict[str, str | None], adjective: str = "") -> str:
    """Name the stores: `the new database green and the new bucket green`."""
    if not any(moved.values()):
        return f"its {adjective}stores"
    return listed(stores_in_words(database=moved["database"], media=moved["media"], adjective=adjective))


def _warnings(facts: Facts) -> list[str]:
    way_back = facts.way_back
    if way_back is None or not way_back.cutover_begun:
        return []
    kept = listed(stores_in_words(database=way_back.candidate, media=way_back.media_candidate))
    return [
        "The cutover had begun. Had the app already been started on the new side, what it wrote there is "
        f"not on the old one; kept, so that you can look: {kept}."
    ]


def _to_do(
    facts: Facts,
    folder: RunFolder,
    media: MediaReport | None,
    plan: PlanReport | None,
    generations: Generations | None,
) -> list[str]:
    if facts.outcome == "migrated":
        return _to_do_after_migration(folder, media)
    if facts.outcome == "returned" and facts.way_back:
        return _to_do_after_return(facts.way_back, generations)
    if facts.outcome == "drift_found":
        return _to_do_about_drift(facts.environment, plan)
    if facts.outcome == "destroyed":
        return _to_do_after_destruction(facts.environment)
    if facts.outcome == "return_failed":
        wanted = _named(_moved(folder.read("request.json") or {}, generations))
        return [
            "Solve the reason, then start "
            f'know-me-{facts.environment}-return with {{"run_id": "{facts.run_id}"}}: it is safe to repeat.',
            f"The environment stays locked until then; {wanted} is what Terraform is told to use.",
        ]
    return []


def _to_do_about_drift(environment: str, plan: PlanReport | None) -> list[str]:
    provision = f"know-me-{environment}-provision with {{}}"
    changed = (
        "Find out who changed what, then either put it into the configuration, or start "
        f"{provision}, which brings it back as described."
    )
    added = (
        "Find out who added the rules that Terraform does not describe. Take each of them back with the "
        "command that is named with it; or describe it in the configuration, with an `import` block, because "
        "AWS refuses to make it a second time."
    )
    if plan is None or not plan.foreign_rules:
        return [changed]
    # First things first: an apply fails as long as one of them is in the place of a rule that it would make.
    return [added, changed] if plan.differences else [added]


def _to_do_after_destruction(environment: str) -> list[str]:
    return [
        "Kept on purpose, and paid for: the last snapshots of databases whose configuration keeps one, keys "
        "and secrets until their recovery window ends, the artifacts and state buckets, and the document "
        f"/know-me/{environment}/generations, from which the environment could be made again.",
        f"When it does not come back: `cdk destroy know-me-{environment}`, which leaves the two buckets.",
    ]


def _to_do_after_migration(folder: RunFolder, media: MediaReport | None) -> list[str]:
    before, request = folder.read("generations-before.json"), folder.read("request.json") or {}
    items = []
    if before and request.get("candidate"):
        items += [
            f"The old database {before['database']['active']} still exists, refuses writes and costs money: "
            "delete it when nobody needs it any more.",
            "The dump in the run folder is a backup: keep it as long as your rules say.",
        ]
    if media is None:
        return items
    items.append(
        f"The old bucket {media.old_bucket} still exists, refuses writes and costs money: delete it when "
        "nobody needs it any more."
    )
    late = media.look_back.copied_late if media.look_back else []
    if late:
        items.append(
            f"{counted(len(late), 'object')} reached the old bucket so late that only the look-back copied "
            "what was missing: find out what wrote there."
        )
    if media.cross_check and media.cross_check.missing_before:
        items.append(
            f"Rows refer to {counted(media.cross_check.missing_before, 'file')} that the old bucket did not "
            "have either: find out whether they matter."
        )
    return items


def _to_do_after_return(way_back: ReturnFacts, generations: Generations | None) -> list[str]:
    items = []
    if way_back.candidate_fate == "kept":
        items.append(f"The database {way_back.candidate} exists, unused: delete it when the reason is found.")
    if way_back.media_candidate_fate == "kept":
        unfinished = generations is not None and unfinished_media(generations) == way_back.media_candidate
        fate = (
            "keeps what was copied: the next migration goes on with it"
            if unfinished
            else "exists, unused: delete it when the reason is found"
        )
        items.append(f"The bucket {way_back.media_candidate} {fate}.")
    if items:
        again = "; it takes another database" if way_back.candidate_fate == "kept" else ""
        items.append(f"Solve the reason, then start the migration again{again}.")
    return items


def render(report: Report) -> str:
    """Render `report.html`: no script, no link to anything but the run folder."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(
            default=True, default_for_string=True, enabled_extensions=("html", "j2")
        ),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = lambda seconds: "-" if seconds is None else duration(seconds)
    environment.filters["size"] = lambda count: "-" if count is None else size(count)
    environment.filters["number"] = lambda count: "-" if count is None else f"{count:,}"
    environment.filters["time"] = _time
    environment.filters["difference"] = difference_in_words
    environment.filters["what_to_do"] = what_to_do
    environment.globals["FOREIGN_RULES"] = FOREIGN_RULES
    template = environment.get_template("report.html.j2")
    return template.render(report=report, good=report.outcome in GOOD)


def _time(moment: datetime | str | None) -> str:
    if moment is None:
        return "-"
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return parsed.strftime("%Y-%m-%d %H:%M:%S UTC")


def message(report: Report) -> tuple[str, str]:
    """Return subject (SNS takes 100 ASCII characters) and text of the notification."""
    subject = f"Know Me {report.environment}: {report.outcome.replace('_', ' ')}"
    lines = [report.sentence]
    if (
        report.plan
        and report.runbook == "provision"
        and (words := plan_in_words(report.plan, report.outcome))
    ):
        lines += ["", *words]
    if report.failure:
        lines += ["", f"{report.failure.error}: {report.failure.cause}"]
    if report.media and report.media.objects is not None and report.outcome == "migrated":
        amount = f"{counted(report.media.objects, 'object')} ({size(report.media.bytes or 0)})"
        lines += ["", f"The new bucket {report.media.new_bucket} has {amount}."]
    if report.downtime_seconds is not None:
        lines += ["", f"The app was down for {duration(report.downtime_seconds)}."]
    lines += [
        *(["", *report.warnings] if report.warnings else []),
        *(["", *report.to_do] if report.to_do else []),
    ]
    lines += ["", f"Report: {report.run_folder}/report.html"]
    return subject[:100], "\n".join(lines)
