"""How a `.sync` task waits for its job: soon enough for a short one, seldom enough for a long one."""

import pytest

from localaws.stepfunctions.integrations import pause_after


def looks(duration: float) -> tuple[int, float]:
    """How often a job of so many seconds is looked at, and how late its end is noticed."""
    elapsed, count = 0.0, 1
    while elapsed < duration:
        elapsed += pause_after(elapsed)
        count += 1
    return count, elapsed - duration


@pytest.mark.parametrize("duration", [0.0, 0.01, 0.05, 0.3, 1, 7, 59.9, 600, 3600])
def test_an_end_is_noticed_within_a_tenth_of_the_time_and_within_a_second(duration: float) -> None:
    _, late = looks(duration)
    assert late <= min(max(0.02, duration / 10 + 1e-9), 1.0)


@pytest.mark.parametrize(("duration", "most"), [(1, 30), (10, 60), (60, 110), (3600, 3660)])
def test_a_long_job_is_looked_at_seldom(duration: float, most: int) -> None:
    count, _ = looks(duration)
    assert count <= most
