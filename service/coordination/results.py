"""Reports of workers as a coordinator takes them, and the counters that it keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.coordination.retries import RETRIES, cause_reported
from service.ledgers import Cause, EpochRow, Json, PackedPredictions, Trial, TrialState

__all__ = ["Progress", "Result"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A report of a worker: every epoch since its last report, and the end of the trial if it has ended.

    predictions: of the best epoch, if it is new. extra_readings: metrics of the best epoch on further splits.
    """

    rows: tuple[EpochRow, ...]
    done: bool
    checkpoint: str | None = None
    latest: str | None = None
    sharing: Json | None = None
    error: str | None = None
    trace: str | None = None
    predictions: tuple[PackedPredictions, ...] = ()
    extra_readings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    is_nodes_fault: bool = False
    """True if the error is that of the node, so that the trial may be tried elsewhere."""

    @classmethod
    def parse(cls, report: Json, *, is_nodes_fault: bool = False) -> Result:
        """Make a result from a worker's plain dictionary."""
        rows = tuple(EpochRow(**row) for row in report["history"])
        predictions = report.get("predictions") or {}
        return cls(
            rows=rows,
            done=report["done_training"],
            checkpoint=report.get("best_checkpoint"),
            latest=report.get("latest_checkpoint"),
            sharing=report.get("sharing"),
            error=report.get("error"),
            trace=report.get("trace"),
            predictions=tuple(
                PackedPredictions(split=split, **{name: value for name, value in packed.items() if name != "metrics"})
                for split, packed in predictions.items()
            ),
            is_nodes_fault=is_nodes_fault,
            extra_readings={split: packed["metrics"] for split, packed in predictions.items() if "metrics" in packed},
        )

    @property
    def passing_cause(self) -> Cause | None:
        """The cause of an error that may be gone in another attempt; None for other errors, and for none."""
        if self.is_nodes_fault:
            return Cause.BAD_NODE
        cause = None if self.error is None else cause_reported(self.error)
        return cause if cause and RETRIES[cause].most else None


@dataclass(kw_only=True)
class Progress:
    """Counters that the live view reads; each is written by the coordinator alone."""

    states: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    epochs: int = 0
    best: Trial | None = None
    worker_seconds: float = 0.0
