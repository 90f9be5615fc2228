"""The files of the web app: how long a browser may keep each, and in which order they are put in place.

A file with a hash of its content in its name never changes: it may be kept for ever. Everything else,
the pages above all, is asked for again each time. Pages come last, because they name the others; what the
new pages do not name stays for a while, because pages that are open still do.
"""

import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from job_support.errors import JobError

FOR_EVER = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "public, max-age=0, must-revalidate"
KEEP_OLD = timedelta(days=30)
"""How long files with a hash stay after no page names them: nobody leaves a page open for longer."""

MOST_PATHS = 15
"""Beyond this, one wildcard costs less than the paths: https://aws.amazon.com/cloudfront/pricing/"""

_ENDING = r"(?:\.chunk|\.min)?\.[A-Za-z0-9]+(?:\.map)?$"
_HASHED = re.compile(rf"[.-](?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{{8,64}}{_ENDING}")
_HASHED_ASSET = re.compile(rf"^(?:.*/)?assets/.*[.-](?=[\w-]*\d)[\w-]{{8}}{_ENDING}")
"""Letters and digits, so that neither a date nor a word is taken for a hash; wider where bundlers of the kind
of Vite put nothing but what they named."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class WebFile:
    """A file of the build, as it is put into the bucket."""

    key: str
    path: Path
    content_type: str
    cache_control: str


def has_hash(key: str) -> bool:
    """Return whether a file's name has a hash of its content: `main.3f9a01bc.js`, `index-DiwrgTd1.css`."""
    return bool(_HASHED.search(key.rpartition("/")[2]) or _HASHED_ASSET.search(key))


def content_type(key: str) -> str:
    """Return the Content-Type of a file by its name; the machine's own tables decide about rare ones only."""
    suffix = Path(key).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(key)[0] or "application/octet-stream"


def files_of(directory: Path) -> list[WebFile]:
    """Return the files of a build in the order in which they are put in place.

    Raises
    ------
    JobError
        There is no `index.html`: this is not a build of the web app.
    """
    keys = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    if "index.html" not in keys:
        raise JobError(
            "ReleaseFailed",
            f"{directory} has no index.html: it is not a build of the web app.",
            "Correct output_directory of the delivery, which the web build hands on.",
        )
    return [
        WebFile(
            key=key,
            path=directory / key,
            content_type=content_type(key),
            cache_control=FOR_EVER if has_hash(key) else ASK_EACH_TIME,
        )
        for key in sorted(keys, key=_turn)
    ]


def _turn(key: str) -> tuple[int, str]:
    """Hashed files first, other files, pages, and the page that people enter by last of all."""
    if key == "index.html":
        return 3, key
    if key.endswith(".html"):
        return 2, key
    return (0 if has_hash(key) else 1), key


def to_remove(there: Mapping[str, datetime], files: Iterable[WebFile], now: datetime) -> list[str]:
    """Return the keys in the bucket that are no longer of the app.

    Parameters
    ----------
    there : mapping
        Key → when it was put into the bucket.
    """
    kept = {file.key for file in files}
    return sorted(
        key
        for key, modified in there.items()
        if key not in kept and (not has_hash(key) or now - modified > KEEP_OLD)
    )


def to_invalidate(files: Iterable[WebFile], removed: Iterable[str]) -> list[str]:
    """Return the paths that CloudFront must ask for again: whatever may change under its name."""
    keys = {file.key for file in files if not has_hash(file.key)} | {
        key for key in removed if not has_hash(key)
    }
    paths = sorted(f"/{key}" for key in keys)
    paths = ["/", *paths] if "index.html" in keys else paths
    return paths if len(paths) <= MOST_PATHS else ["/*"]
