"""The report of a run: what an on-call engineer wants to know, as JSON and as one self-contained page."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel, ConfigDict

from know_me.failures import Failure
from know_me.findings import Finding
from know_me.run_folder import RunFolder
from know_me.timeline import Entry
from know_me.wording import duration, size

Outcome = Literal[
    "migrated", "preflight_passed", "provisioned", "nothing_to_change", "failed", "returned", "return_failed"
]
Runbook = Literal["migrate", "provision", "return"]

SENTENCES: dict[str, str] = {
    "migrated": "{environment} runs on the new database {active}; nothing is missing there.",
    "preflight_passed": "{environment} is ready to migrate; nothing was changed.",
    "provisioned": "{environment} is as Terraform describes it.",
    "nothing_to_change": "{environment} was already as Terraform describes it; nothing was changed.",
    "failed": "The run failed.",
    "returned": "The migration failed; {environment} runs on the old database {active} again.",
    "untouched": "The migration ended before anything was touched; {environment} runs on {active} as before.",
    "return_failed": "The migration failed and could not be taken back: {environment} needs you.",
}

GOOD = frozenset({"migrated", "preflight_passed", "provisioned", "nothing_to_change"})

JOBS = (
    "inspect",
    "inspect-candidate",
    "stop-writers",
    "prepare-role",
    "dump",
    "restore",
    "verify",
    "allow-writes",
)


class ReturnFacts(BaseModel):
    """What `return` knows about the way back; all absent when it failed before it found out."""

    model_config = ConfigDict(extra="ignore")

    touched: bool = True
    cutover_begun: bool = False
    candidate: str | None = None
    candidate_fate: str | None = None


class Facts(BaseModel):
    """What the state machine knows and the run folder does not."""

    run_id: str
    environment: str
    runbook: Runbook
    outcome: Outcome
    failure: Failure | None = None
    passed_at: datetime | None = None
    way_back: ReturnFacts | None = None
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
    plan: dict[str, Any] | None
    timeline: list[dict[str, Any]]
    to_do: list[str]
    run_folder: str


def compose(
    facts: Facts,
    folder: RunFolder,
    timeline: list[Entry],
    generations: dict[str, Any] | None,
    now: datetime,
) -> Report:
    """Put together what the state machine, the run folder and the history know."""
    quiesced = folder.read("quiesced.json")
    stopped_at = datetime.fromisoformat(quiesced["recorded_at"]) if quiesced else None
    active = ((generations or {}).get("database") or {}).get("active", "its database")
    way_back = facts.way_back
    untouched = facts.outcome == "returned" and way_back is not None and not way_back.touched
    preflight = folder.read("preflight.json") or {}
    jobs = [job for name in JOBS if (job := folder.read(f"jobs/{name}.json"))]
    return Report(
        run_id=facts.run_id,
        environment=facts.environment,
        runbook=facts.runbook,
        outcome=facts.outcome,
        sentence=SENTENCES["untouched" if untouched else facts.outcome].format(
            environment=facts.environment, active=active
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
        generations=generations,
        findings=[Finding.model_validate(item) for item in preflight.get("findings", [])],
        jobs=jobs,
        verification=folder.read("verification.json"),
        plan=folder.read("plan/summary.json"),
        timeline=[{**entry.model_dump(mode="json"), "seconds": entry.seconds} for entry in timeline],
        to_do=_to_do(facts, folder, active),
        run_folder=folder.address,
    )


def _warnings(facts: Facts) -> list[str]:
    if facts.way_back is None or not facts.way_back.cutover_begun:
        return []
    return [
        "The cutover had begun. Had the app already been started on the new database, what it wrote there is "
        f"not in the old one; the database {facts.way_back.candidate} is kept so that you can look."
    ]


def _to_do(facts: Facts, folder: RunFolder, active: str) -> list[str]:
    before = folder.read("generations-before.json")
    if facts.outcome == "migrated" and before:
        old = before["database"]["active"]
        return [
            f"The old database {old} still exists, refuses writes and costs money: delete it when nobody "
            "needs it any more.",
            "The dump in the run folder is a backup: keep it as long as your rules say.",
        ]
    if facts.outcome == "returned" and facts.way_back and facts.way_back.candidate_fate == "kept":
        return [
            f"The database {facts.way_back.candidate} exists, unused: delete it when the reason is found.",
            "Solve the reason, then start the migration again; it takes another generation.",
        ]
    if facts.outcome == "return_failed":
        return [
            "Solve the reason, then start "
            f'know-me-{facts.environment}-return with {{"run_id": "{facts.run_id}"}}: it is safe to repeat.',
            f"The environment stays locked until then; {active} is what Terraform is told to use.",
        ]
    return []


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
    environment.filters["size"] = size
    environment.filters["time"] = _time
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
    if report.failure:
        lines += ["", f"{report.failure.error}: {report.failure.cause}"]
    if report.downtime_seconds is not None:
        lines += ["", f"The app was down for {duration(report.downtime_seconds)}."]
    lines += [
        *(["", *report.warnings] if report.warnings else []),
        *(["", *report.to_do] if report.to_do else []),
    ]
    lines += ["", f"Report: {report.run_folder}/report.html"]
    return subject[:100], "\n".join(lines)
