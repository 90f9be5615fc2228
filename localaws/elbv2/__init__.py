"""Elastic Load Balancing, application load balancers: they listen, check and forward.

True: a load balancer has a loopback address of its own as DNS name and listens on its listeners' ports;
rules, fixed responses, redirects, forwarding by weight with streaming and keep-alive, X-Forwarded headers;
health checks by path, matcher, thresholds and timeout; 502, 503 and 504; deregistration waits for requests
in flight.

Not true: HTTPS listeners show a certificate of the local authority, for the names of the certificate that
they have and for their address besides. A new target is checked every second until its first success (AWS
waits a whole interval). Stickiness, source-ip conditions, HTTP/2, WebSockets and
access logs are stored and do nothing.

Refused by name: network and gateway load balancers, Lambda and instance targets, authentication actions
(501).
"""

import ipaddress
from types import SimpleNamespace
from typing import Any, ClassVar

from moto.elbv2.exceptions import ELBClientError, TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend, elbv2_backends
from moto.elbv2.urls import url_bases, url_paths

from localaws import acm
from localaws.elbv2.proxy import ListenerServer, Request, rule_matches
from localaws.elbv2.targets import TargetGroups, describe
from localaws.runtime import Runtime

DEFAULT_IDLE_TIMEOUT = 60.0


def install(runtime: Runtime) -> None:
    """Make load balancers real: called once, before the server answers its first request."""
    LoadBalancing.runtime = runtime
    LoadBalancing.groups = TargetGroups(_find, _in_use, runtime.background)
    elbv2_backends.backend = LoadBalancing
    runtime.instances["elbv2"] = _status


def _find(arn: str) -> Any:
    region, account = arn.split(":")[3:5]
    return elbv2_backends[account][region].target_groups.get(arn)


def _in_use(arn: str) -> bool:
    region, account = arn.split(":")[3:5]
    return bool(elbv2_backends[account][region]._any_listener_using(arn))


def exists(arn: str) -> bool:
    """Whether there is a target group of this ARN."""
    return _find(arn) is not None


def attached(arn: str) -> bool:
    """Whether a listener or a rule forwards to the target group."""
    return _in_use(arn)


class Targets:
    """The target groups of an ECS service, as the service sees them.

    Parameters
    ----------
    groups:
        (ARN of the target group, port of the container).
    """

    def __init__(self, groups: list[tuple[str, int]]) -> None:
        self._groups = groups

    def register(self, address: str) -> None:
        """Register a task everywhere."""
        for arn, port in self._groups:
            LoadBalancing.groups.register(arn, address, port)

    def deregister(self, address: str) -> None:
        """Take a task out everywhere; return when its last request is answered."""
        for arn, port in self._groups:
            LoadBalancing.groups.deregister(arn, address, port)

    def state(self, address: str) -> str:
        """Return the worst state of a task: `unhealthy`, then `initial`, then `healthy`."""
        states = {LoadBalancing.groups.state(arn, address, port) for arn, port in self._groups}
        if "unhealthy" in states:
            return "unhealthy"
        return "healthy" if states == {"healthy"} else "initial"


class LoadBalancing(ELBv2Backend):  # type: ignore[misc]
    """ELBv2 in one region. `runtime` and `groups` are set once by `install`."""

    runtime: ClassVar[Runtime]
    groups: ClassVar[TargetGroups]
    _url_module = SimpleNamespace(url_bases=url_bases, url_paths=url_paths)

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._servers: dict[str, ListenerServer] = {}

    # ------------------------------------------------------------------ load balancers

    def create_load_balancer(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Create a load balancer with an address of its own."""
        if options.get("loadbalancer_type") not in (None, "application"):
            raise NotImplementedError(f"load balancers of type {options['loadbalancer_type']}")
        options["scheme"] = options.get("scheme") or "internet-facing"
        balancer = super().create_load_balancer(name, *arguments, **options)
        balancer.dns_name = self.runtime.addresses.allocate(f"elbv2/{balancer.arn}")
        for key, value in {
            "access_logs.s3.enabled": "false",
            "idle_timeout.timeout_seconds": "60",
            "load_balancing.cross_zone.enabled": "true",
            "routing.http2.enabled": "true",
            "client_keep_alive.seconds": "3600",
        }.items():
            balancer.attrs[key] = value
        return balancer

    def delete_load_balancer(self, arn: str) -> None:
        """Delete a load balancer and stop its listeners."""
        balancer = self.load_balancers.get(arn)
        if balancer and balancer.attrs.get("deletion_protection.enabled") == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        for listener in list(balancer.listeners) if balancer else []:
            self._close(listener)
        super().delete_load_balancer(arn)
        self.runtime.addresses.release(f"elbv2/{arn}")

    # ------------------------------------------------------------------ listeners

    def create_listener(self, *arguments: Any, **options: Any) -> Any:
        """Create a listener and listen."""
        listener = super().create_listener(*arguments, **options)
        try:
            self._open(listener)
        except OSError as error:
            super().delete_listener(listener.arn)
            address = self.load_balancers[listener.load_balancer_arn].dns_name
            raise ELBClientError(
                "ValidationError",
                f"Cannot listen on {address}:{listener.port}: {error.strerror}. Ports below 1024 need root or"
                " `sysctl net.ipv4.ip_unprivileged_port_start=80`",
            ) from error
        return listener

    def modify_listener(self, arn: str, port: Any = None, *arguments: Any, **options: Any) -> Any:
        """Change a listener; a new port, protocol or certificate opens a new socket."""
        before = self.describe_listeners(None, [arn])[0]
        old = (int(before.port), before.protocol, list(before.certificates))
        listener = super().modify_listener(arn, port, *arguments, **options)
        if old != (int(listener.port), listener.protocol, list(listener.certificates)):
            self._close(arn)
            self._open(listener)
        return listener

    def delete_listener(self, listener_arn: str) -> Any:
        """Delete a listener and stop to listen."""
        self._close(listener_arn)
        return super().delete_listener(listener_arn)

    def _open(self, listener: Any) -> None:
        balancer = self.load_balancers[listener.load_balancer_arn]
        certificate = None
        if listener.protocol == "HTTPS":
            names = [name for arn in listener.certificates for name in acm.names_of(arn)]
            certificate = self.runtime.certificates.issue([balancer.dns_name, *names])

        def actions(request: Request) -> list[dict[str, Any]]:
            rules = [rule for rule in listener.rules.values() if not rule.is_default]
            for rule in sorted(rules, key=lambda each: int(each.priority)):
                if rule_matches(rule.conditions, request):
                    return [action.data for action in rule.actions]
            return [action.data for action in listener.default_actions]

        def idle_timeout() -> float:
            return float(balancer.attrs.get("idle_timeout.timeout_seconds") or DEFAULT_IDLE_TIMEOUT)

        server = ListenerServer(
            balancer.dns_name, int(listener.port), certificate, actions, self.groups, idle_timeout
        )
        server.start()
        self._servers[listener.arn] = server

    def _close(self, arn: str) -> None:
        if server := self._servers.pop(arn, None):
            server.stop()

    # ------------------------------------------------------------------ targets

    def register_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        """Register IP targets."""
        group = self._group(target_group_arn)
        for each in instances:
            address = _address(each["Id"])
            self.groups.register(target_group_arn, address, int(each.get("Port") or group.port))

    def deregister_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        """Begin to drain targets."""
        group = self._group(target_group_arn)
        for each in instances:
            port = int(each.get("Port") or group.port)
            self.runtime.background(
                f"elbv2/deregister/{each['Id']}:{port}",
                self.groups.deregister,
                target_group_arn,
                each["Id"],
                port,
            )

    def describe_target_health(
        self, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Describe the targets' health as the last checks found it."""
        group = self._group(target_group_arn)
        described = describe(self.groups.all(target_group_arn), group.health_check_port)
        wanted = [(each["Id"], int(each.get("Port") or group.port)) for each in targets or []]
        return [
            each
            for each in described
            if not wanted or (each["Target"]["Id"], each["Target"]["Port"]) in wanted
        ]

    def delete_target_group(self, target_group_arn: str) -> Any:
        """Delete a target group that nobody forwards to."""
        group = super().delete_target_group(target_group_arn)
        self.groups.forget(target_group_arn)
        return group

    def _group(self, arn: str) -> Any:
        if arn not in self.target_groups:
            raise TargetGroupNotFoundError()
        return self.target_groups[arn]


def _address(target: str) -> str:
    try:
        return str(ipaddress.ip_address(target))
    except ValueError as error:
        raise NotImplementedError(f"target {target}: only IP addresses can be targets") from error


def _status() -> list[dict[str, Any]]:
    return [
        {
            "name": balancer.name,
            "address": balancer.dns_name,
            "listeners": [f"{listener.protocol}:{listener.port}" for listener in balancer.listeners.values()],
        }
        for _, _, backend in list(elbv2_backends.iter_backends())
        for balancer in list(backend.load_balancers.values())
    ]
