"""Names and words of the sample data, in several scripts."""

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def sample_texts() -> dict[str, list[Any]]:
    """Return the lists of `sample_texts.json`."""
    return dict(json.loads(Path(__file__).with_name("sample_texts.json").read_text(encoding="utf-8")))
