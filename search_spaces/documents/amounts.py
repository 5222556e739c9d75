"""Amounts of disk, memory and time, as people write them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["format_size", "parse_duration", "parse_size"]

# Not pydantic's ByteSize: that refuses `16Gi`, and accepts bits and zero.
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS: Final = ("", "K", "M", "G", "T")


def parse_size(size: object) -> int:
    """Return the bytes in `20G`, `500MB`, `1.5TB` (powers of 1000), `16GiB` (powers of 1024), or a number of bytes.

    Raises:
        ValueError: `size` has another form, or is not > 0.
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
        raise ValueError("must be > 0")
    return count


def format_size(count: float) -> str:
    """Write a number of bytes with three digits and a power of 1000, such as `88.5 GB`."""
    power = 0
    while count >= 999.5 and power < len(_POWERS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {_POWERS[power]}B"


_DURATION: Final = re.compile(r"(?=.)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


def parse_duration(text: object) -> float:
    """Return the seconds in `90s`, `30m`, `2h` or `1h30m`.

    Raises:
        ValueError: `text` has another form, or is zero.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a duration such as 90s, 30m, 2h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total == 0:
        raise ValueError("must be > 0 s")
    return float(total)
