"""`rate()`, `cron()` and `at()`: when a rule or a schedule is due, and the clock that fires it.

Rules: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import calendar
import datetime
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from localaws.runtime import Runtime

UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
TICK_SECONDS = 0.5


class ScheduleExpressionError(ValueError):
    """An expression that is no rate, cron or at."""


class Expression(Protocol):
    """A parsed schedule expression."""

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first time after a moment, None when there is none."""


@dataclass(frozen=True)
class Rate:
    """Every so many seconds, counted from the moment asked about."""

    seconds: int

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the moment one period later."""
        return moment + datetime.timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class At:
    """Once."""

    moment: datetime.datetime

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the moment, when it is still to come."""
        return self.moment if self.moment > moment else None


@dataclass(frozen=True)
class Cron:
    """Six fields: minutes, hours, day of month, month, day of week, year."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: str
    months: frozenset[int]
    weekdays: str
    years: frozenset[int]
    zone: ZoneInfo

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first matching minute after a moment."""
        local = moment.astimezone(self.zone)
        day = local.date()
        last = min(max(self.years), day.year + 40)
        while day.year <= last:
            if day.year in self.years and day.month in self.months and self._on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = datetime.datetime.combine(day, datetime.time(hour, minute), self.zone)
                        if due.astimezone(datetime.UTC) > moment:
                            return due
            day += datetime.timedelta(days=1)
        return None

    def _on(self, day: datetime.date) -> bool:
        if self.days != "?":
            return any(_day_matches(part, day) for part in self.days.split(","))
        return any(_weekday_matches(part, day) for part in self.weekdays.split(","))


def _last(day: datetime.date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _weekday(day: datetime.date) -> int:
    return day.isoweekday() % 7 + 1


def _day_matches(part: str, day: datetime.date) -> bool:
    if part == "L":
        return day.day == _last(day)
    if part.endswith("W"):
        wanted = _last(day) if part == "LW" else int(part[:-1])
        return day == _nearest_weekday(day.replace(day=min(wanted, _last(day))))
    return day.day in _numbers(part, 1, 31)


def _nearest_weekday(day: datetime.date) -> datetime.date:
    for shift in (0, -1, 1, -2, 2):
        near = day + datetime.timedelta(days=shift)
        if near.month == day.month and near.isoweekday() <= 5:
            return near
    return day


def _weekday_matches(part: str, day: datetime.date) -> bool:
    if "#" in part:
        name, number = part.split("#")
        return _weekday(day) in _numbers(name, 1, 7, WEEKDAYS) and (day.day - 1) // 7 + 1 == int(number)
    if part.endswith("L"):
        wanted = _numbers(part[:-1], 1, 7, WEEKDAYS) if len(part) > 1 else {7}
        return _weekday(day) in wanted and (len(part) == 1 or day.day > _last(day) - 7)
    return _weekday(day) in _numbers(part, 1, 7, WEEKDAYS)


@lru_cache(maxsize=1024)
def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, low, names)
            last = _number(end, low, names) if dash else (high if step else first)
        every = int(step) if step else 1
        if every < 1 or not low <= first <= high or not low <= last <= high:
            raise ScheduleExpressionError(f"'{field}' is out of range")
        if first <= last:
            found |= set(range(first, last + 1, every))
        else:  # FRI-MON
            found |= set(range(first, high + 1, every)) | set(range(low, last + 1, every))
    return frozenset(found)


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    return names.index(text.upper()) + low if text.upper() in names else int(text)


@lru_cache(maxsize=1024)
def parse(text: str, zone: str = "UTC") -> Expression:
    """Return the parsed expression.

    Raises
    ------
    ScheduleExpressionError
        Saying what is wrong.
    """
    found = re.fullmatch(r"(rate|cron|at)\((.*)\)", text.strip())
    if found is None:
        raise ScheduleExpressionError(f"'{text}' is no rate(...), cron(...) or at(...)")
    kind, content = found[1], found[2].strip()
    try:
        if kind == "rate":
            rate = re.fullmatch(r"(\d+) (minute|hour|day)s?", content)
            if rate is None or int(rate[1]) < 1:
                raise ScheduleExpressionError(f"'{text}' is not rate(<number> minutes|hours|days)")
            return Rate(int(rate[1]) * UNITS[rate[2]])
        if kind == "at":
            return At(datetime.datetime.fromisoformat(content).replace(tzinfo=ZoneInfo(zone)))
        fields = content.split()
        if len(fields) != 6:
            raise ScheduleExpressionError(f"'{text}' must have six fields")
        minutes, hours, days, months, weekdays, years = fields
        if (days == "?") == (weekdays == "?"):
            raise ScheduleExpressionError(f"'{text}': exactly one of day of month and day of week must be ?")
        cron = Cron(
            _numbers(minutes, 0, 59),
            _numbers(hours, 0, 23),
            days.upper(),
            _numbers(months, 1, 12, MONTHS),
            weekdays.upper(),
            _numbers(years, 1970, 2199),
            ZoneInfo(zone),
        )
        cron._on(datetime.date(2024, 1, 1))
        return cron
    except ScheduleExpressionError:
        raise
    except (ValueError, KeyError, OSError) as error:
        raise ScheduleExpressionError(f"'{text}' is not valid: {error}") from error


Due = Iterable[tuple[Any, str, str, Callable[[], None]]]
"""What is scheduled: the object, its expression, its time zone, what to do."""


class Clock:
    """Fires what is due, checked twice a second.

    An object keeps its next time as long as its expression stays the same; a disabled one is not listed and
    so starts anew.
    """

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._due: dict[tuple[int, str, str], datetime.datetime | None] = {}
        self._stopped = False

    def start(self, scheduled: Callable[[], Due]) -> None:
        """Tick in the background until the server stops."""
        self._runtime.on_shutdown(self._stop)
        self._runtime.background(f"schedules of {self._name}", self._run, scheduled)

    def _stop(self) -> None:
        self._stopped = True

    def _run(self, scheduled: Callable[[], Due]) -> None:
        while not self._stopped:
            self.tick(scheduled(), datetime.datetime.now(datetime.UTC))
            time.sleep(TICK_SECONDS)

    def tick(self, scheduled: Due, now: datetime.datetime) -> None:
        """Fire what is due now."""
        seen = set()
        for thing, text, zone, fire in scheduled:
            key = (id(thing), text, zone)
            seen.add(key)
            expression = parse(text, zone)
            if key not in self._due:
                self._due[key] = expression.next_after(now)
            due = self._due[key]
            if due is not None and due <= now:
                # Counted from the time it was due, so that a rate does not drift.
                self._due[key] = max_time(expression.next_after(due), expression, now)
                fire()
        for key in set(self._due) - seen:
            del self._due[key]


def max_time(
    following: datetime.datetime | None, expression: Expression, now: datetime.datetime
) -> datetime.datetime | None:
    """Return the next time, without making up for those that were missed."""
    return expression.next_after(now) if following is not None and following <= now else following
