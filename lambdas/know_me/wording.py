"""Words for people: validation faults, lists and durations."""

from collections.abc import Sequence

from pydantic import ValidationError


def faults_of(error: ValidationError) -> list[str]:
    """Return one short sentence part per fault, naming the field; values are not repeated."""
    return [
        f"{'.'.join(str(part) for part in fault['loc']) or 'the document'}: {_plain(fault['msg'])}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _plain(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return (
        "unknown field" if message == "Extra inputs are not permitted" else message[:1].lower() + message[1:]
    )


def listed(items: Sequence[str]) -> str:
    """Join as a person would: `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "nothing"


def stores_in_words(*, database: str | None, media: str | None, adjective: str = "") -> list[str]:
    """Name generations: `the new database green`, `the new bucket green`; none of a store without a name."""
    named = {"database": database, "bucket": media}
    return [f"the {adjective}{what} {name}" for what, name in named.items() if name is not None]


def counted(number: int, thing: str) -> str:
    """Say how many: `one object`, `1,204 objects`."""
    return f"one {thing}" if number == 1 else f"{number:,} {thing}s"


def duration(seconds: float) -> str:
    """Say a duration: `850 ms`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """Say a number of bytes in binary units."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
