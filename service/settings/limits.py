"""Limits that a service and its clients share."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_BODY_BYTES"]

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Largest body of a request: a sweep file of the largest size fits, also with every letter escaped as `\\u00e9`."""
