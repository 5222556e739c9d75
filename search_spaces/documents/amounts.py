"""Amounts of disk and memory, as people write them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["format_size", "parse_size"]

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS: Final = ("", "K", "M", "G", "T")


def parse_size(size: object) -> int:
    """Bytes in `20G`, `500MB`, `1.5TB` (powers of 1000), `16GiB` (of 1024), or a whole number of bytes.

    Raises ValueError for anything else, and for zero.
    """
    if isinstance(size, int) and not isinstance(size, bool):
        count = size
    else:
        match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
        if match is None:
            raise ValueError("must be a size such as 500M, 20G, 1.5TB or 16GiB")
        base = 1024 if match[3] else 1000
        count = round(float(match[1]) * base ** _POWERS.index(match[2].upper()))
    if count <= 0:
        raise ValueError("must be more than nothing")
    return count


def format_size(count: float) -> str:
    """`88.5 GB`: three digits and a power of 1000."""
    power = 0
    while count >= 999.5 and power < len(_POWERS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {_POWERS[power]}B"


_DURATION: Final = re.compile(r"(?=.)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


def parse_duration(text: object) -> float:
    """Seconds in `90s`, `30m`, `2h` or `1h30m`. Raises ValueError for anything else, and for zero."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a duration such as 90s, 30m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total == 0:
        raise ValueError("must be longer than nothing")
    return float(total)
