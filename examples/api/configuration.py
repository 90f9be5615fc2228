"""What the stand-in API reads from its environment, as a container on ECS would."""

import atexit
import json
import shutil
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any, Literal

from psycopg.conninfo import make_conninfo
from pydantic import BaseModel, Field, ValidationError

PORT = 8000
_DOWNLOAD_TIMEOUT_SECONDS = 10
_ENCRYPTED_MODES = ("verify-ca", "verify-full")

_Filled = Annotated[str, Field(min_length=1)]


class ConfigurationError(Exception):
    """The environment does not say what the API needs; the message lists every fault."""


class _Variables(BaseModel):
    """The variables by their names; pydantic collects every fault at once."""

    DATABASE_HOST: _Filled
    DATABASE_PORT: Annotated[int, Field(ge=1, le=65535)] = 5432
    DATABASE_NAME: _Filled
    DATABASE_USERNAME: _Filled
    DATABASE_PASSWORD: _Filled
    DATABASE_SSLMODE: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = (
        "verify-full"
    )
    DATABASE_CERTIFICATE_BUNDLE_URL: Annotated[str, Field(pattern="^https?://")] | None = None
    DJANGO_SECRET_KEY: _Filled
    MEDIA_BUCKET: _Filled


@dataclass(frozen=True)
class Configuration:
    """How to reach the database, and which bucket holds the files."""

    variables: _Variables
    certificate_bundle: Path | None

    @property
    def media_bucket(self) -> str:
        """Name of the media bucket."""
        return self.variables.MEDIA_BUCKET

    def connection_string(self) -> str:
        """Return the libpq connection string of the application role."""
        variables = self.variables
        return make_conninfo(
            host=variables.DATABASE_HOST,
            port=variables.DATABASE_PORT,
            dbname=variables.DATABASE_NAME,
            user=variables.DATABASE_USERNAME,
            password=variables.DATABASE_PASSWORD,
            sslmode=variables.DATABASE_SSLMODE,
            **({"sslrootcert": str(self.certificate_bundle)} if self.certificate_bundle else {}),
            connect_timeout=5,
            application_name="know-me-api",
        )


def read_configuration(environment: Mapping[str, str]) -> Configuration:
    """Read the variables and fetch the certificate bundle.

    Parameters
    ----------
    environment
        The process environment.

    Raises
    ------
    ConfigurationError
        A variable is missing or wrong (every one is named), or the bundle cannot be fetched.
    """
    given = {name: environment[name] for name in _Variables.model_fields if environment.get(name)}
    faults: list[str] = []
    variables: _Variables | None = None
    try:
        variables = _Variables.model_validate(given)
    except ValidationError as error:
        # The value is left out on purpose: it may be a password.
        faults += [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_input=False)]
    mode = given.get("DATABASE_SSLMODE", "verify-full")
    if mode in _ENCRYPTED_MODES and "DATABASE_CERTIFICATE_BUNDLE_URL" not in given:
        faults.append(f"DATABASE_CERTIFICATE_BUNDLE_URL: needed by DATABASE_SSLMODE={mode}")
    if faults or variables is None:
        raise ConfigurationError(
            "The environment is not complete:\n" + "\n".join(f"  {fault}" for fault in faults)
        )
    url = variables.DATABASE_CERTIFICATE_BUNDLE_URL
    return Configuration(variables, _download(url) if url else None)


def listen_address(environment: Mapping[str, str]) -> str:
    """Return the address of this task, or every address when this is not a task.

    Source: Amazon ECS task metadata endpoint version 4, path ``${ECS_CONTAINER_METADATA_URI_V4}/task``. In
    ``awsvpc`` mode the containers of a task share the address of its network interface.
    """
    metadata_uri = environment.get("ECS_CONTAINER_METADATA_URI_V4")
    if not metadata_uri:
        return "0.0.0.0"  # noqa: S104 - a container's own network; the security group decides who reaches it
    try:
        with urllib.request.urlopen(f"{metadata_uri}/task", timeout=_DOWNLOAD_TIMEOUT_SECONDS) as response:  # noqa: S310
            task: dict[str, Any] = json.load(response)
        return str(task["Containers"][0]["Networks"][0]["IPv4Addresses"][0])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigurationError(
            f"The task metadata at {metadata_uri}/task name no address: {error}"
        ) from error


def _download(url: str) -> Path:
    """Fetch the certificate bundle into a directory of this process."""
    directory = mkdtemp(prefix="know-me-api-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = Path(directory) / "certificate-bundle.pem"
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_SECONDS) as response:  # noqa: S310 - scheme is checked
            path.write_bytes(response.read())
    except OSError as error:
        raise ConfigurationError(f"The certificate bundle {url} cannot be fetched: {error}") from error
    return path
