"""Entries of the journal, and the history that a restart decides from, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.ledgers.records.trials import EpochRow, Trial

__all__ = ["JournalEntry", "JournalEvent", "SweepHistory"]


class JournalEvent(StrEnum):
    """An event of a trial on which decisions depend."""

    ASKED = "asked"
    REPORTED = "reported"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """An entry of a sweep's journal; first, last: the epochs reported."""

    trial_id: str
    kind: JournalEvent
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, kw_only=True)
class SweepHistory:
    """A sweep so far: trials by number, their epochs by trial id, and the journal in the order of recording."""

    trials: tuple[Trial, ...]
    epochs: Mapping[str, Sequence[EpochRow]]
    journal: tuple[JournalEntry, ...]
