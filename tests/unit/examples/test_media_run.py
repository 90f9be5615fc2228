"""How many objects changed after the copy ahead had seen them."""

from datetime import UTC, datetime, timedelta

from examples.media_run import MediaRun

BEGAN = datetime(2024, 5, 1, 12, 0, 0, 300_000, tzinfo=UTC)


def test_what_was_written_while_the_copy_ahead_compared_may_have_changed_since() -> None:
    # Given a copy ahead whose last job took ten seconds
    ended = BEGAN + timedelta(seconds=10)
    job = {"started_at": BEGAN.isoformat(), "finished_at": ended.isoformat().replace("+00:00", "Z")}
    ahead = {"copied_by_batch": 7, "copied_directly": 2, "large_objects": 1}
    final = {"copied_by_batch": 0, "copied_directly": 3, "large_objects": 0}
    run = MediaRun(ahead, final, {}, {}, {}, job)
    # When objects were written before, during and after it
    seconds = (-50, -1, 0, 4, 9, 11, 30)
    least, most = run.changed_since(
        BEGAN.replace(microsecond=0) + timedelta(seconds=each) for each in seconds
    )
    # Then those after it changed for certain, those during it perhaps
    assert (least, most) == (2, 5)
    assert (run.copied_ahead, run.copied_while_stopped) == (10, 3)
