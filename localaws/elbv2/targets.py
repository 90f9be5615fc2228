"""Targets: who is registered with a target group, and whether the health check says it may get requests."""

import http.client
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

FIRST_CHECKS_SECONDS = 1.0
"""A new target is checked at least this often until its first success, so that a start does not take
minutes."""


@dataclass
class Target:
    """One registered target.

    Attributes
    ----------
    address, port:
        Where it listens.
    state, reason, description:
        As in DescribeTargetHealth.
    requests:
        Requests that it is answering now.
    """

    address: str
    port: int
    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    description: str | None = "Target registration is in progress"
    requests: int = 0
    successes: int = 0
    failures: int = 0
    idle: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def set(self, state: str, reason: str | None = None, description: str | None = None) -> None:
        """Change the state."""
        self.state, self.reason, self.description = state, reason, description

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Count one request while it is answered."""
        with self.idle:
            self.requests += 1
        try:
            yield
        finally:
            with self.idle:
                self.requests -= 1
                self.idle.notify_all()


class TargetGroups:
    """The targets of every target group of this server, by ARN.

    Parameters
    ----------
    find:
        Returns moto's target group of an ARN, or None: its settings may change at any time.
    in_use:
        Whether a listener or a rule forwards to an ARN.
    background:
        Starts a thread: (name, function, arguments).
    """

    def __init__(
        self,
        find: Callable[[str], Any],
        in_use: Callable[[str], bool],
        background: Callable[..., object],
    ) -> None:
        self._find = find
        self._in_use = in_use
        self._background = background
        self._targets: dict[str, dict[tuple[str, int], Target]] = {}
        self._lock = threading.Lock()
        self._turn = 0

    def register(self, arn: str, address: str, port: int) -> None:
        """Add a target and begin to check it; nothing happens when it is there already."""
        with self._lock:
            group = self._targets.setdefault(arn, {})
            known = group.get((address, port))
            if known and known.state != "draining":
                return
            target = group[address, port] = Target(address, port)
        self._background(f"elbv2/check/{address}:{port}", self._check_for_ever, arn, target)

    def deregister(self, arn: str, address: str, port: int) -> None:
        """Take a target out: no new requests, and wait for those in flight, at most the deregistration
        delay."""
        with self._lock:
            target = self._targets.get(arn, {}).get((address, port))
        if target is None:
            return
        target.set("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
        group = self._find(arn)
        delay = float(group.attributes.get("deregistration_delay.timeout_seconds", 300)) if group else 0
        with target.idle:
            target.idle.wait_for(lambda: target.requests == 0, timeout=delay)
        with self._lock:
            if self._targets.get(arn, {}).get((address, port)) is target:
                del self._targets[arn][address, port]

    def all(self, arn: str) -> list[Target]:
        """Return the registered targets of a group."""
        with self._lock:
            return list(self._targets.get(arn, {}).values())

    def forget(self, arn: str) -> None:
        """Drop a deleted group."""
        with self._lock:
            self._targets.pop(arn, None)

    def choose(self, arn: str) -> Target | None:
        """Return the target for the next request: round robin over the healthy ones.

        When none is healthy, any unhealthy one (a load balancer fails open); None when there is none.
        """
        targets = self.all(arn)
        for states in (("healthy",), ("unhealthy",)):
            eligible = [target for target in targets if target.state in states]
            if eligible:
                with self._lock:
                    self._turn += 1
                    return eligible[self._turn % len(eligible)]
        return None

    def state(self, arn: str, address: str, port: int) -> str:
        """Return the state of one target; `unused` when it is not registered."""
        with self._lock:
            target = self._targets.get(arn, {}).get((address, port))
        return target.state if target else "unused"

    # ------------------------------------------------------------------ health checks

    def _check_for_ever(self, arn: str, target: Target) -> None:
        counted = time.monotonic()
        while True:
            group = self._find(arn)
            with self._lock:
                present = self._targets.get(arn, {}).get((target.address, target.port)) is target
            if group is None or not present or target.state == "draining":
                return
            if not self._in_use(arn):
                target.set("unused", "Target.NotInUse", "Target group is not configured to receive traffic")
                time.sleep(FIRST_CHECKS_SECONDS)
                continue
            if target.state == "unused":
                target.set("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            fault = check(target, group) if group.health_check_enabled else None
            if target.state == "draining":
                return
            interval = float(group.health_check_interval_seconds)
            early = target.state == "initial" and time.monotonic() - counted < interval
            if fault is None or not early:  # a failure of an early check is one that AWS would not have made
                judge(target, group, fault)
                counted = time.monotonic()
            time.sleep(min(interval, FIRST_CHECKS_SECONDS) if target.state == "initial" else interval)


def judge(target: Target, group: Any, fault: tuple[str, str] | None) -> None:
    """Change a target's state by one check: the first success counts, later the thresholds do."""
    if fault is None:
        target.successes, target.failures = target.successes + 1, 0
        if target.state == "initial" or target.successes >= int(group.healthy_threshold_count):
            target.set("healthy")
    else:
        target.successes, target.failures = 0, target.failures + 1
        if target.state == "initial" and target.failures < int(group.unhealthy_threshold_count):
            target.set("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
        elif target.failures >= int(group.unhealthy_threshold_count):
            target.set("unhealthy", *fault)


def check(target: Target, group: Any) -> tuple[str, str] | None:
    """Make one health check; return (reason, description) of the failure, or None."""
    port = target.port if group.health_check_port in (None, "traffic-port") else int(group.health_check_port)
    timeout = float(group.health_check_timeout_seconds)
    secure = group.health_check_protocol == "HTTPS"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
        target.address, port, timeout=timeout
    )
    try:
        connection.request(
            "GET", group.health_check_path or "/",
            headers={"User-Agent": "ELB-HealthChecker/2.0", "Connection": "close"},
        )  # fmt: skip
        status = connection.getresponse().status
    except TimeoutError:
        return "Target.Timeout", "Request timed out"
    except (OSError, http.client.HTTPException):
        return "Target.FailedHealthChecks", "Health checks failed"
    finally:
        connection.close()
    if matches((group.matcher or {}).get("HttpCode") or "200", status):
        return None
    return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]"


def matches(codes: str, status: int) -> bool:
    """Whether a status is in a matcher: `200`, `200,202` or `200-299`."""
    for part in codes.split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def describe(targets: Iterable[Target], health_check_port: str | None) -> list[dict[str, Any]]:
    """Return DescribeTargetHealth's list."""
    described = []
    for target in targets:
        health = {"State": target.state, "Reason": target.reason, "Description": target.description}
        port = str(target.port) if health_check_port in (None, "traffic-port") else health_check_port
        described.append(
            {
                "Target": {"Id": target.address, "Port": target.port},
                "HealthCheckPort": port,
                "TargetHealth": {name: value for name, value in health.items() if value is not None},
            }
        )
    return described
