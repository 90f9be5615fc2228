"""CodeConnections: connections to a provider of git repositories, and the repositories behind them.

True: connections of both APIs (`codeconnections` and the older `codestar-connections`; each gives its own
kind of ARN, and either finds both), tags, and the status: a connection is PENDING until somebody approves it,
and nothing can be fetched through it before. The role that uses a connection needs `UseConnection` on it.

Not true: there is no provider. A repository (`owner/name`) is a git repository or a plain directory of this
machine that was registered, and every connection reaches all of them. Who approves here needs no account
there. Hosts, repository links and sync configurations are refused.

What would be done in the console or at the provider is done by `python -m localaws` or below `/_localaws/`
(`control`): approve a connection, register a repository, say that somebody pushed. A push that nobody tells
is noticed after seconds (`pushes`).
"""

from localaws.codeconnections.api import Actions
from localaws.codeconnections.connections import Connections
from localaws.codeconnections.control import PATH, Control
from localaws.codeconnections.pushes import Pushes
from localaws.codeconnections.repositories import Repositories
from localaws.runtime import Runtime

SERVICES = ("codeconnections", "codestar-connections")

connections = Connections()
repositories = Repositories()
pushes = Pushes(repositories)


def install(runtime: Runtime) -> None:
    """Make CodeConnections real: called once, before the server answers its first request."""
    for service in SERVICES:
        runtime.services[service] = Actions(connections, service, runtime.account_id, runtime.region)
    runtime.routes[PATH] = Control(connections, repositories, pushes).route
    runtime.instances["codeconnections"] = lambda: [
        {"name": connection.name, "status": connection.status, "arn": connection.arn}
        for connection in connections.all()
    ]
    pushes.watch(runtime)
