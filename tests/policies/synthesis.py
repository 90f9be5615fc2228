"""Synthesise the stacks of all kinds of environments: `python -m tests.policies.synthesis <folder>`.

With `--without-acknowledgements` nothing counts as accepted: the report shows what is accepted otherwise.
A process of its own, because CDK prints what it finds.
"""

import sys
from pathlib import Path
from unittest import mock

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from orchestrator.layer import LayerContents
from orchestrator.settings import parse_settings
from orchestrator.stack import OrchestratorProperties, OrchestratorStack
from tests.policies.stack import ENVIRONMENTS, REPORT, ROOT, WITHOUT


def synthesise(directory: Path) -> None:
    """Write the cloud assembly with cdk-nag's report; the layer is empty, for no rule looks inside."""
    layer = directory / "layer" / "python"
    layer.mkdir(parents=True)
    (layer / "library.py").write_text("")
    assembly = directory / "assembly"
    app = App(outdir=str(assembly), analytics_reporting=False)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    for environment in ENVIRONMENTS:
        settings = parse_settings({"environment": environment})
        OrchestratorStack(app, OrchestratorProperties(ROOT, settings, LayerContents(layer.parent, "0" * 64)))
    try:
        app.synth()
    except RuntimeError:  # how jsii reports that a validation failed; the report says what
        if not (assembly / REPORT).exists():
            raise


def main(arguments: list[str]) -> None:
    """Synthesise as asked."""
    if WITHOUT in arguments:
        with mock.patch.object(Validations, "acknowledge", lambda *_: None):
            synthesise(Path(arguments[0]))
    else:
        synthesise(Path(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
