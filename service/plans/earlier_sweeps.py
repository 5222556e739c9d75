"""The contribution of earlier sweeps to a planned one, as far as it is known before the images are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from search_spaces import MeltpointError, SweepSpec
from service.clocks import now_ms
from service.ledgers import Json, Ledger
from service.settings import Home
from service.warm_starts import count_fitting, fit_earlier, read_earlier

__all__ = ["EarlierSource", "EarlierSweeps", "plan_earlier"]


@dataclass(frozen=True, kw_only=True)
class EarlierSource:
    """An earlier sweep. trials: finished ones that are taken over. fitting: those whose recipes lie in the space.

    planned_epochs: epochs of its trials; their results are told to TPE only if the new sweep has as many.
    """

    sweep_id: str
    name: str
    trials: int
    fitting: int
    planned_epochs: int | None


@dataclass(frozen=True, kw_only=True)
class EarlierSweeps:
    """The earlier sweeps of a planned one.

    warm_start: see `fit_earlier`; None if there is nothing to start from. problem: why, as `run` would say it.
    """

    sources: tuple[EarlierSource, ...] = ()
    warm_start: Json | None = None
    problem: str | None = None

    @property
    def enqueued(self) -> list[Json]:
        """The earlier recipes that run first, after the default: ids of their trials, and values."""
        return [] if self.warm_start is None else self.warm_start["enqueued"]

    def as_json(self) -> Json:
        """Return the part `earlier` of `plan -o json`."""
        first = [{"trial_id": entry["trial_id"], "value": entry["value"]} for entry in self.enqueued]
        return {"sources": [vars(source) for source in self.sources], "first": first, "problem": self.problem}

    def lines(self, spec: SweepSpec) -> Iterator[str]:
        """Yield a sentence for each earlier sweep, and which recipes run first."""
        if self.problem is not None:
            yield f"nothing, and `run` would refuse the sweep here: {self.problem}"
        for source in self.sources:
            yield (
                f"{source.sweep_id} ({source.name}): {source.fitting} of {source.trials} finished trials lie in this "
                f"space; {_told(source, spec)}"
            )
        if self.enqueued:
            shown = ", ".join(f"{entry['trial_id']} ({entry['value']:.4f})" for entry in self.enqueued)
            yield f"after the default, these recipes run first: {shown}"


def _told(source: EarlierSource, spec: SweepSpec) -> str:
    if spec.search.algorithm != "tpe":
        return f"search.algorithm {spec.search.algorithm} learns nothing from their values"
    if source.planned_epochs != spec.budget.epochs:
        epochs = f"of {source.planned_epochs} epochs, since this sweep has {spec.budget.epochs}"
        return f"TPE is not told their values, {epochs}"
    return "TPE is told their values if images and splits are the same"


def plan_earlier(spec: SweepSpec, home: Home) -> EarlierSweeps | None:
    """Return what the sweeps under `search.from` contribute; None if the sweep names none.

    Sweeps are looked up in the home alone. If a sweep is missing there, the result says so, because the file may be
    meant for a service.
    """
    if not spec.search.earlier:
        return None
    if not home.has_ledger:
        return EarlierSweeps(problem=f"no sweeps yet in {home.root}")
    with closing(Ledger.open(home, clock=now_ms)) as ledger:
        try:
            earlier = read_earlier(ledger, spec)
            assert earlier is not None, "the sweep names earlier sweeps"
            fitted = fit_earlier(earlier, spec, digest=None)
        except MeltpointError as error:
            return EarlierSweeps(problem=str(error))
    sources = tuple(
        EarlierSource(
            sweep_id=source["sweep_id"],
            name=source["name"],
            trials=len(source["trials"]),
            fitting=count_fitting(source, spec),
            planned_epochs=source["planned_epochs"],
        )
        for source in earlier["sources"]
    )
    return EarlierSweeps(sources=sources, warm_start=fitted)
