"""Parameters that several routes have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query

from service.schemas import KEY, PRINTABLE

__all__ = ["After", "AfterEvent", "IdempotencyKey", "LastEventId", "Limit", "Name", "Reference", "SweepReference"]

_LARGEST_ID = 2**62

SweepReference = Annotated[
    str,
    Path(min_length=1, max_length=128, pattern=PRINTABLE, description="An id, a unique prefix, a name, or `last`."),
]
Reference = Annotated[str, Path(min_length=1, max_length=128, pattern=PRINTABLE)]
Name = Annotated[str | None, Query(max_length=128, pattern=PRINTABLE)]
Limit = Annotated[int, Query(ge=1, le=200, description="Most items of a page.")]
After = Annotated[
    str | None, Query(max_length=128, pattern=PRINTABLE, description="`next` of the page before, for the next page.")
]
AfterEvent = Annotated[int, Query(ge=0, le=_LARGEST_ID, description="Id of the last event that you have.")]
LastEventId = Annotated[
    int | None, Header(ge=0, le=_LARGEST_ID, description="The same, as a browser sends it; it goes before `after`.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=128,
        pattern=KEY,
        description="Makes a repeated request return what the first has created.",
    ),
]
