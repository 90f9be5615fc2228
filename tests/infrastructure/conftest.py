"""The synthesised template, made once for all tests, without network and without credentials."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from orchestrator.layer import LayerContents
from orchestrator.settings import parse_settings
from orchestrator.stack import OrchestratorProperties, OrchestratorStack

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Assembly:
    """What synthesis made."""

    template: dict[str, Any]
    report: dict[str, Any]
    metadata: dict[str, Any]
    assets: dict[str, Path]
    failure: str | None

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type by logical id."""
        return {
            name: resource
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind
        }

    def properties(self, kind: str) -> list[dict[str, Any]]:
        """Return the properties of each resource of a type."""
        return [resource.get("Properties", {}) for resource in self.resources(kind).values()]


def assemble(directory: Path, **context: Any) -> Assembly:
    """Synthesise the stack with an empty layer."""
    layer = directory / "layer"
    (layer / "python").mkdir(parents=True)
    (layer / "python" / "library.py").write_text("")
    app = App(outdir=str(directory / "cdk.out"), analytics_reporting=False)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    stack = OrchestratorStack(
        app, OrchestratorProperties(ROOT, parse_settings(context), LayerContents(layer, "0" * 64))
    )
    failure = None
    try:
        app.synth()
    except RuntimeError as error:  # how jsii reports what validation refused
        failure = str(error)
    out = directory / "cdk.out"
    files = json.loads((out / f"{stack.stack_name}.assets.json").read_text())["files"]
    return Assembly(
        template=json.loads((out / f"{stack.stack_name}.template.json").read_text()),
        report=json.loads((out / "validation-report.json").read_text()),
        metadata=json.loads((out / f"{stack.stack_name}.metadata.json").read_text()),
        assets={each["displayName"]: out / each["source"]["path"] for each in files.values()},
        failure=failure,
    )


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stack of staging."""
    return assemble(
        tmp_path_factory.mktemp("assembly"),
        terraform_variables={"api_image": "example:1", "api_maximum_tasks": 4, "deletion_protection": False},
        terraform_backend={"use_path_style": True},
    )
