"""The submission of a sweep, apart from other requests: it loads no schemas, so that a sweep is under way sooner."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from search_spaces.documents import check_size
from service.clients.connections import Connection

__all__ = ["send_submission"]


def send_submission(
    connection: Connection,
    *,
    text: str,
    file: str,
    assign: Sequence[str] = (),
    priority: int = 0,
    slot_cap: int | None = None,
    key: str | None = None,
) -> Any:
    """Hand a sweep to a service; returns its `SweepModel` as plain data. See `Submission` for the arguments.

    If the answer is lost, the submission is sent again with the same key.

    Raises:
        SpecError: the text is too large; nothing is sent.
    """
    check_size(len(text.encode(errors="replace")), file)
    body = {"spec": text, "file": file, "assign": [*assign], "priority": priority, "slot_cap": slot_cap}
    return connection.post("/sweeps", body, key=key or secrets.token_hex(16))
