"""Plan and apply: what the provision runbook asks of Terraform."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from job_support.run_folder import RunFolder

from terraform_jobs.errors import NEW_PLAN, PlanStale, ProvisionFailed
from terraform_jobs.plan_summary import KINDS, count_changes, count_resources, sentence, summarise
from terraform_jobs.settings import Settings
from terraform_jobs.terraform import Scope, Terraform

Figures = dict[str, Any]


def plan(terraform: Terraform, settings: Settings, folder: RunFolder, ssm: Any) -> Figures:
    """Make a plan and keep it in the run folder as binary, JSON, text and summary.

    Returns
    -------
    dict
        Figures of the plan; `changes` is 0 for an empty one.
    """
    generations = read_generations(ssm, settings.generations_parameter)
    with _connected(terraform, settings) as scratch:
        variables = terraform.directory / "generations.auto.tfvars.json"
        variables.write_text(json.dumps({"generations": generations}, indent=2))
        own = terraform.directory / "environments" / f"{settings.environment}.tfvars"
        file = scratch / "plan.tfplan"
        scope = Scope(settings.destroy, settings.targets, settings.replace)
        changed, words = terraform.plan(file, [own] if own.exists() else [], scope)

        document = terraform.show_json(file)
        _refuse_unmatched(document, settings)
        summary = summarise(document, terraform.state())
        summary["changes"] = count_changes(summary, empty=not changed)
        text = scratch / "plan.txt"
        text.write_text(words)

        folder.write_json("plan/plan.json", document)
        folder.upload(text, "plan/plan.txt", content_type="text/plain; charset=utf-8")
        folder.write_json("plan/summary.json", summary)
        folder.upload(file, "plan/plan.tfplan")
    print(sentence(summary), flush=True)  # noqa: T201 - the build's log
    return _figures(summary)


def apply(terraform: Terraform, settings: Settings, folder: RunFolder) -> Figures:
    """Apply exactly the plan that the run folder holds, never another one.

    Returns
    -------
    dict
        Figures of the plan; after a destruction `left` too: how many resources the state still has.

    Raises
    ------
    PlanStale
        The state has moved on since the plan was made. Terraform would refuse it too; here it is known before
        anything is begun, and what moved is named.
    ProvisionFailed
        There is no plan, or Terraform fails.
    """
    with _connected(terraform, settings) as scratch:
        file = scratch / "plan.tfplan"
        summary = folder.read_json("plan/summary.json")
        if summary is None or not folder.download("plan/plan.tfplan", file):
            raise ProvisionFailed(
                f"There is no plan to apply: {folder.url}/plan/plan.tfplan does not exist.",
                "Start the provision state machine, which plans first.",
            )
        _refuse_stale(summary, terraform.state())
        terraform.apply(file)
        left = {"left": count_resources(terraform.state())} if settings.destroy else {}
    return {**_figures(summary), **left}


def _refuse_stale(summary: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Compare the state that a plan was made from with the state as it is."""
    planned = (summary["lineage"], summary["serial"])
    found = (state.get("lineage", ""), state.get("serial", 0))
    if planned == found:
        return
    what = (
        f"was changed since: it has serial {found[1]}, the plan was made from {planned[1]}"
        if planned[0] == found[0]
        else f"is another one (lineage {found[0] or 'none'}, the plan was made from {planned[0] or 'none'})"
    )
    raise PlanStale(f"The plan is stale: the state {what}. Nothing was applied.", NEW_PLAN)


def _refuse_unmatched(document: Mapping[str, Any], settings: Settings) -> None:
    """Refuse addresses that nothing has: Terraform passes over them without a word, and plans nothing.

    What is to be deleted may be gone already; a data source is in a plan only when it is read late.
    """
    addresses = [entry["address"] for entry in document.get("resource_changes", [])]
    unmatched = [f"replace: nothing is called {one}" for one in settings.replace if one not in addresses]
    if not settings.destroy:
        unmatched += [
            f"targets: nothing is called {target}"
            for target in settings.targets
            if not re.search(r"(^|\.)data\.", target)
            and not any(one == target or one.startswith((f"{target}.", f"{target}[")) for one in addresses)
        ]
    if unmatched:
        raise ProvisionFailed(
            f"Addresses of the request do not exist: {'; '.join(unmatched)}. Nothing was applied.",
            "Correct them (plan.txt of an earlier run has all addresses; one of several instances is named "
            "with its key or index), and start the run again.",
        )


def read_generations(ssm: Any, parameter: str) -> Mapping[str, Any]:
    """Return the document of the environment's generations.

    Raises
    ------
    ProvisionFailed
        The parameter is missing or is not a JSON object.
    """
    try:
        text = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        raise ProvisionFailed(
            f"The parameter {parameter} does not exist, so nobody knows which databases the environment has.",
            "Start the provision state machine, which creates it for a new environment.",
        ) from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProvisionFailed(
            f"The parameter {parameter} is not JSON: {error}.",
            "Restore an earlier version of it (aws ssm get-parameter-history).",
        ) from error
    if not isinstance(document, dict):
        raise ProvisionFailed(
            f"The parameter {parameter} is not a JSON object.",
            "Restore an earlier version of it (aws ssm get-parameter-history).",
        )
    return document


def _figures(summary: Mapping[str, Any]) -> Figures:
    """Return what the job's result says about a plan: the numbers, not the addresses."""
    return {name: summary[name] for name in ("changes", *dict.fromkeys(KINDS.values()))}


@contextmanager
def _connected(terraform: Terraform, settings: Settings) -> Iterator[Path]:
    """Connect to the environment's state; yield a directory for files that nobody needs afterwards."""
    with tempfile.TemporaryDirectory(prefix="terraform-") as scratch:
        backend = Path(scratch) / "backend.tfbackend.json"
        backend.write_text(json.dumps(settings.backend))
        terraform.initialise(backend)
        terraform.select_workspace(settings.environment)
        yield Path(scratch)
