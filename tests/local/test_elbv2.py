"""The small rules of health checks and listener rules, and the seams of moto that the services lean on."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.elbv2.proxy import rule_matches
from localaws.elbv2.targets import Target, judge, matches

FAULT = ("Target.Timeout", "Request timed out")


def group(healthy: int = 3, unhealthy: int = 2) -> Any:
    return SimpleNamespace(healthy_threshold_count=str(healthy), unhealthy_threshold_count=str(unhealthy))


@pytest.mark.parametrize(
    ("codes", "status", "expected"),
    [
        ("200", 200, True),
        ("200", 204, False),
        ("200,202", 202, True),
        ("200-299", 299, True),
        ("200-299", 300, False),
    ],
)
def test_a_matcher_is_a_code_a_list_or_a_range(codes: str, status: int, expected: bool):
    assert matches(codes, status) is expected


@given(status=st.integers(100, 599), low=st.integers(200, 400), width=st.integers(0, 99))
def test_a_range_matches_what_lies_in_it(status: int, low: int, width: int):
    assert matches(f"{low}-{low + width}", status) is (low <= status <= low + width)


def test_the_first_success_makes_a_new_target_healthy():
    target = Target("127.0.0.9", 80)
    judge(target, group(healthy=5), None)
    assert target.state == "healthy"


def test_a_healthy_target_needs_the_threshold_of_failures_to_be_unhealthy():
    # Given
    target = Target("127.0.0.9", 80, state="healthy")
    # When it fails once
    judge(target, group(unhealthy=2), FAULT)
    # Then it still counts, and the second failure is too much
    assert target.state == "healthy"
    judge(target, group(unhealthy=2), FAULT)
    assert (target.state, target.reason) == ("unhealthy", "Target.Timeout")


def test_an_unhealthy_target_needs_the_threshold_of_successes_to_come_back():
    target = Target("127.0.0.9", 80, state="unhealthy")
    states = []
    for _ in range(3):
        judge(target, group(healthy=3), None)
        states.append(target.state)
    assert states == ["unhealthy", "unhealthy", "healthy"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"Field": "path-pattern", "Values": ["/api/*"]}, True),
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/other", "/api/u?ers"]}}, True),
        ({"Field": "path-pattern", "Values": ["/API/*"]}, False),
        ({"Field": "host-header", "HostHeaderConfig": {"Values": ["*.Example.com"]}}, True),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}, False),
        ({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["a*"]}}, True),
        ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "page", "Value": "2"}]}}, True),
        ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "3"}]}}, False),
    ],
)
def test_a_condition_looks_at_its_part_of_the_request(condition: dict[str, Any], expected: bool):
    request: Any = SimpleNamespace(
        method="GET",
        path="/api/users",
        host="app.example.com",
        headers={"X-Kind": "abc"},
        query=[("page", "2")],
    )
    assert rule_matches([condition], request) is expected


def test_the_seams_of_moto_are_where_we_lean_on_them():
    from moto.core.base_backend import BackendDict
    from moto.ecs.models import EC2ContainerServiceBackend
    from moto.elbv2.models import ELBv2Backend
    from moto.rds import models as rds

    # The backend is made lazily from this attribute.
    assert rds.rds_backends.__class__ is BackendDict
    assert hasattr(rds.rds_backends, "backend")
    # Instances construct their secret by a module-level name.
    assert "MasterUserSecret(" in inspect.getsource(rds.DBInstance.__init__)
    # Services and tasks live in these dictionaries, and tags are read through them.
    assert "self.services" in inspect.getsource(EC2ContainerServiceBackend.describe_services)
    assert "self.services" in inspect.getsource(EC2ContainerServiceBackend._get_resource)
    # Rules keep the order of their creation; actions keep the request's data.
    assert hasattr(ELBv2Backend, "_any_listener_using")
