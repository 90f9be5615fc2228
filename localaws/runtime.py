"""What every module of the local AWS is given: directory, processes, credentials, certificates, clients."""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from localaws.addresses import AddressPool
from localaws.certificates import Certificates
from localaws.credentials import Credentials, administrator
from localaws.images import Images
from localaws.processes import Supervisor
from localaws.record import RequestRecord

if TYPE_CHECKING:
    from localaws.operations import Operation
    from localaws.postgresql import PostgreSQL

CLIENT_LIFETIME_SECONDS = 6 * 3600.0
"""A client of a role is made anew after this time: its session lasts twelve hours."""


def endpoint_environment(port: int, region: str) -> dict[str, str]:
    """Return the variables that point AWS's SDKs at a server on `port`.

    S3 gets an IP address, because SDKs put the bucket into the host name otherwise and `<bucket>.localhost`
    does not resolve on every machine.
    """
    return {
        "AWS_ENDPOINT_URL": f"http://localhost:{port}",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def keep_host(request: Any, **_: Any) -> None:
    """Take the account id of S3 Control out of the host name, where its endpoint rules put it.

    A handler of botocore's event `before-sign.s3-control`: `http://123456789012.localhost` does not resolve
    on every machine, and the account is in a header as well.
    """
    request.url = re.sub(r"^(\w+://)\d{12}\.", r"\1", request.url)


RouteAnswer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers (a name may be there twice) and body."""


class Runtime:
    """The insides of one server.

    Parameters
    ----------
    directory:
        Everything that is written lives below it.
    port:
        Where the server listens.
    images, postgresql:
        What this machine offers.
    region, account_id:
        Of everything that does not say otherwise.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        images: Images,
        postgresql: "PostgreSQL",
        *,
        region: str = "us-east-1",
        account_id: str = "123456789012",
    ) -> None:
        self.directory = directory
        self.port = port
        self.endpoint = f"http://localhost:{port}"
        self.region = region
        self.account_id = account_id
        self.images = images
        self.postgresql = postgresql
        self.log = logging.getLogger("localaws")
        self.addresses = AddressPool(port)
        self.certificates = Certificates(directory / "certificates")
        self.processes = Supervisor(directory / "processes", self.log)
        self.administrator = administrator(f"{directory}:{port}")
        self.requests = RequestRecord(directory / "requests.jsonl")
        self.instances: dict[str, Callable[[], list[dict[str, Any]]]] = {}
        """Service → function that lists what `status` shows of it."""
        self.routes: dict[str, Callable[[str, dict[str, Any], bool], RouteAnswer]] = {}
        """Prefix below `/_localaws/` → function of (rest of the path, WSGI environment, is it signed)."""
        self.services: dict[str, Callable[[Operation, dict[str, Any]], dict[str, Any]]] = {}
        """Service of the JSON protocol that moto does not have → function of (operation, parameters)."""
        self._clients: dict[tuple[str, str | None, str, str], tuple[float, Any]] = {}
        self._lock = threading.Lock()
        self._shutdown: list[Callable[[], None]] = []
        self._failures: deque[dict[str, Any]] = deque(maxlen=100)

    def client(
        self,
        service: str,
        role_arn: str | None = None,
        region: str | None = None,
        session_name: str = "session",
    ) -> Any:
        """Return a boto3 client to this server, as the administrator or as a role. Clients are shared.

        Raises
        ------
        localaws.roles.RoleUnknownError
            The role does not exist.
        """
        key = (service, role_arn, region or self.region, session_name)
        with self._lock:
            made_at, client = self._clients.get(key, (0.0, None))
            if client is None or (role_arn and time.monotonic() - made_at > CLIENT_LIFETIME_SECONDS):
                credentials = (
                    self._role_credentials(role_arn, session_name) if role_arn else self.administrator
                )
                client = self._make_client(service, credentials, key[2])
                self._clients[key] = (time.monotonic(), client)
            return client

    def _make_client(self, service: str, credentials: Credentials, region: str) -> Any:
        client = boto3.session.Session(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token, region
        ).client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}" if service == "s3" else self.endpoint,
            config=Config(
                retries={"total_max_attempts": 1},
                max_pool_connections=50,
                read_timeout=1000,
                inject_host_prefix=False,
            ),
        )
        client.meta.events.register("before-sign.s3-control", keep_host)
        return client

    def _role_credentials(self, role_arn: str, session_name: str) -> Credentials:
        from localaws.roles import assume_role  # moto must not be imported before the server prepared it

        return assume_role(role_arn, session_name, self.region)

    def role_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Return credentials of a new session of a role, region and endpoints as environment variables.

        Raises
        ------
        localaws.roles.RoleUnknownError
            The role does not exist.
        """
        credentials = self._role_credentials(role_arn, session_name)
        return {**credentials.environment(), **endpoint_environment(self.port, self.region)}

    def environment(self) -> dict[str, str]:
        """Return what a person's shell needs: `python -m localaws env` prints it."""
        return {
            **self.administrator.environment(),
            **endpoint_environment(self.port, self.region),
            "AWS_CONFIG_FILE": str(self.directory / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.directory / "aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "PGSSLROOTCERT": str(self.certificates.authority),
        }

    def background(self, name: str, function: Callable[..., None], *arguments: Any) -> threading.Thread:
        """Run a function in a daemon thread; its exception is logged and shown by `status`."""

        def run() -> None:
            try:
                function(*arguments)
            except Exception as error:
                self.log.exception("%s failed", name)
                self._failures.append(
                    {"name": name, "error": f"{type(error).__name__}: {error}", "at": time.time()}
                )

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Background work that ended with an exception, oldest first."""
        return list(self._failures)

    def on_shutdown(self, function: Callable[[], None]) -> None:
        """Call `function` when the server stops; the latest first."""
        self._shutdown.append(function)

    def shut_down(self) -> None:
        """Stop everything: the registered functions, then every process that is left."""
        while self._shutdown:
            function = self._shutdown.pop()
            try:
                function()
            except Exception:
                self.log.exception("while stopping")
        self.processes.stop_all()
