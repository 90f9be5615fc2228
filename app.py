"""CDK entry point: `cdk deploy know-me-staging`, or any environment with `-c environment=<name>`."""

from pathlib import Path

from orchestrator.application import synthesise

synthesise(Path(__file__).resolve().parent)
