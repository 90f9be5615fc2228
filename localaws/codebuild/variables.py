"""Environment variables of a build: where they come from and which one wins."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from localaws.codebuild.specification import Environment


class VariableError(Exception):
    """A variable cannot be resolved.

    Parameters
    ----------
    status_code:
        Of the phase context, as CodeBuild words it.
    """

    def __init__(self, status_code: str, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


def declared(
    specification: Environment, project: Iterable[Mapping[str, Any]], overrides: Iterable[Mapping[str, Any]]
) -> dict[str, tuple[str, str]]:
    """Return name → (type, value): StartBuild goes before the project, the project before the buildspec."""
    found: dict[str, tuple[str, str]] = {}
    for kind, variables in (
        ("PLAINTEXT", specification.variables),
        ("PARAMETER_STORE", specification.parameter_store),
        ("SECRETS_MANAGER", specification.secrets_manager),
    ):
        found |= {name: (kind, _text(value)) for name, value in variables.items()}
    for source in (project, overrides):
        found |= {
            variable["name"]: (variable.get("type", "PLAINTEXT"), variable["value"]) for variable in source
        }
    return found


def _text(value: Any) -> str:
    """Return a YAML scalar as the text that it was written as, near enough: `true`, not `True`."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def resolve(variables: Mapping[str, tuple[str, str]], parameters: Any, secrets: Any) -> dict[str, str]:
    """Return name → value, read with the clients (SSM, Secrets Manager) of the build's role.

    Raises
    ------
    VariableError
        A parameter, a secret or a key of it does not exist, or may not be read.
    """
    return {name: _resolve(kind, value, parameters, secrets) for name, (kind, value) in variables.items()}


def _resolve(kind: str, value: str, parameters: Any, secrets: Any) -> str:
    try:
        if kind == "PARAMETER_STORE":
            return str(parameters.get_parameter(Name=value, WithDecryption=True)["Parameter"]["Value"])
        if kind == "SECRETS_MANAGER":
            return _secret(value, secrets)
    except ClientError as error:
        said = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        if kind == "PARAMETER_STORE":
            raise VariableError("Decrypted Variables Error", f"{value}: {said}") from error
        raise VariableError("Secrets Manager Error Message", f"{value}: {said}") from error
    return value


def _secret(reference: str, secrets: Any) -> str:
    """Return a secret by `<id or ARN>:<JSON key>:<version stage>:<version id>`; all optional but the id."""
    parts = reference.split(":")
    names = 7 if reference.startswith("arn:") else 1
    secret_id, rest = ":".join(parts[:names]), [*parts[names:], "", "", ""]
    key, stage, version = rest[:3]
    wanted = {"SecretId": secret_id}
    wanted |= {"VersionStage": stage} if stage else {}
    wanted |= {"VersionId": version} if version else {}
    text = str(secrets.get_secret_value(**wanted)["SecretString"])
    if not key:
        return text
    try:
        found = json.loads(text)[key]
    except (ValueError, KeyError, TypeError) as error:
        raise VariableError(
            "Secrets Manager Error Message", f"{secret_id}: the secret has no JSON key {key}"
        ) from error
    return found if isinstance(found, str) else json.dumps(found)
