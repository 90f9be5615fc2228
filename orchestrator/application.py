"""The app: settings in, cloud assembly out, every fault in one message."""

import os
from pathlib import Path

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from orchestrator.definitions import DefinitionError
from orchestrator.layer import LayerError, layer_contents
from orchestrator.settings import SettingsError, parse_settings
from orchestrator.stack import OrchestratorProperties, OrchestratorStack


def build(app: App, root: Path) -> OrchestratorStack:
    """Put the stack of the environment that the context names into an app, under cdk-nag's eyes.

    Raises
    ------
    SettingsError, LayerError, DefinitionError
        Something is wrong with the context, the libraries or a state machine.
    """
    settings = parse_settings(app.node.get_all_context())
    layer = layer_contents(root, python=settings.python_runtime, architecture=settings.architecture)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return OrchestratorStack(app, OrchestratorProperties(root=root, settings=settings, layer=layer))


def synthesise(root: Path) -> None:
    """Write the cloud assembly where the CDK command line wants it, `cdk.out` without it."""
    try:
        app = App(outdir=None if "CDK_OUTDIR" in os.environ else str(root / "cdk.out"))
        build(app, root)
    except (SettingsError, LayerError, DefinitionError) as error:
        raise SystemExit(str(error)) from None
    app.synth()
