"""Patterns of texts in requests, and the rule of each in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["KEY", "NO_NUL", "PATTERN_RULES", "PRINTABLE", "PRINTABLE_AND_NOT_EMPTY", "USER_NAME"]

NO_NUL: Final = r"^[^\x00]*$"
PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
PRINTABLE_AND_NOT_EMPTY: Final = r"^[^\x00-\x1f\x7f]+$"
KEY: Final = r"^[\x21-\x7e]+$"
USER_NAME: Final = r"^[a-z0-9][a-z0-9._@-]{0,63}$"

PATTERN_RULES: Final[Mapping[str, str]] = {
    NO_NUL: "must not have a NUL character",
    PRINTABLE: "must not have control characters, such as a line break",
    PRINTABLE_AND_NOT_EMPTY: "must not be empty or have control characters, such as a line break",
    KEY: "must have only ASCII letters, digits and signs, without spaces",
    USER_NAME: "must begin with a-z or 0-9 and have only a-z, 0-9, . _ @ -, at most 64 characters",
}
