"""Plan and apply: what the provision runbook asks of Terraform."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from job_support.run_folder import RunFolder

from terraform_jobs.errors import ProvisionFailed
from terraform_jobs.plan_summary import KINDS, count_changes, sentence, summarise
from terraform_jobs.settings import Settings
from terraform_jobs.terraform import Terraform

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
        changed = terraform.plan(file, [own] if own.exists() else [])

        with ThreadPoolExecutor() as pool:  # each loads the provider, which takes seconds
            as_document = pool.submit(terraform.show_json, file)
            as_text = pool.submit(terraform.show, file)
            state = pool.submit(terraform.state)
        document = as_document.result()
        summary = summarise(document, state.result())
        summary["changes"] = count_changes(summary, empty=not changed)
        text = scratch / "plan.txt"
        text.write_text(as_text.result())

        folder.write_json("plan/plan.json", document)
        folder.upload(text, "plan/plan.txt", content_type="text/plain; charset=utf-8")
        folder.write_json("plan/summary.json", summary)
        folder.upload(file, "plan/plan.tfplan")
    print(sentence(summary), flush=True)  # noqa: T201 - the build's log
    return _figures(summary)


def apply(terraform: Terraform, settings: Settings, folder: RunFolder) -> Figures:
    """Apply exactly the plan that the run folder holds.

    Terraform refuses it when the state has moved on since it was made, or when it is another workspace's.
    """
    with _connected(terraform, settings) as scratch:
        file = scratch / "plan.tfplan"
        summary = folder.read_json("plan/summary.json")
        if summary is None or not folder.download("plan/plan.tfplan", file):
            raise ProvisionFailed(
                f"There is no plan to apply: {folder.url}/plan/plan.tfplan does not exist.",
                "Start the provision state machine, which plans first.",
            )
        terraform.apply(file)
    return _figures(summary)


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
