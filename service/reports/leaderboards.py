"""Leaderboards: the trials of a sweep, best first, as data and as text."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from search_spaces import Goal
from service.errors import UsageError
from service.ledgers import EpochRow, Json, Sweep, Trial, TrialState
from service.objectives import Objectives
from service.reports.objective_columns import ObjectiveColumns
from service.reports.recipe_cells import heading, recipe_cell
from service.reports.standings import Standing

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["Leaderboard"]

MOST_RECIPE_COLUMNS = 6


@dataclass(frozen=True)
class Leaderboard:
    """The trials of a sweep, best first, equal ones by number.

    Trials that break a limit come after all that keep every limit, failed trials and those without a value come last.

    last_epochs, best_epochs: the last and the best finished epoch by trial. epoch_seconds: time in finished epochs by
    trial. standing: what the stored predictions say of the best score; None if it was not read, or says nothing.
    """

    sweep: Sweep
    trials: tuple[Trial, ...]
    last_epochs: dict[str, EpochRow]
    best_epochs: dict[str, EpochRow]
    epoch_seconds: dict[str, float]
    standing: Standing | None = None

    @classmethod
    def read(
        cls,
        ledger: Ledger,
        sweep: Sweep,
        *,
        with_standing: bool = False,
        epochs: Mapping[str, Sequence[EpochRow]] | None = None,
        readings_of: int | None = None,
    ) -> Leaderboard:
        """Read the trials of a sweep from the ledger; with_standing: this takes a moment.

        epochs: of all trials of the sweep, if they have been read already.
        readings_of: number of best trials whose readings are wanted; None for all. If further metrics are shown or
            limited, those of all trials are read.
        """
        ranked = sorted(ledger.trials.list(sweep.id), key=lambda trial: _rank(trial, sweep.goal))
        if epochs is not None:
            seconds = {trial_id: sum(row.seconds for row in own) for trial_id, own in epochs.items()}
        else:
            seconds = ledger.trials.epoch_seconds(sweep.id)
            needs_all = readings_of is None or len(Objectives.from_sweep(sweep).entries) > 1
            wanted = None if needs_all else [trial.id for trial in ranked[:readings_of]]
            epochs = ledger.trials.last_and_best_epochs(sweep.id, wanted)
        last = {trial_id: own[-1] for trial_id, own in epochs.items()}
        best = {trial.id: row for trial in ranked for row in epochs.get(trial.id, ()) if row.epoch == trial.best_epoch}
        standing = Standing.read(ledger, sweep, ranked) if with_standing else None
        return cls(sweep, tuple(ranked), last, best, seconds, standing)

    @property
    def ranked(self) -> list[Trial]:
        """Trials that have a value, did not fail and keep every limit, best first."""
        return [trial for trial in self.trials if _ranks(trial) and trial.breaks is None]

    @cached_property
    def objectives(self) -> ObjectiveColumns:
        """Further metrics of the trials, and the Pareto set."""
        return ObjectiveColumns(self.sweep, self.ranked, self.best_epochs)

    def no_candidate(self) -> str:
        """Return why no trial is ranked."""
        breaking = next((trial for trial in self.trials if _ranks(trial)), None)
        if breaking is None:
            return "no trial gave a value"
        limits = " and ".join(entry.describe_limit() for entry in self.objectives.limits.objectives.limits)
        return f"no trial keeps {limits}; the best of those that do not, {breaking.id}, has {breaking.breaks}"

    def only_pareto(self) -> Leaderboard:
        """Return the trials of the Pareto set.

        Raises:
            UsageError: better values of only one metric are wanted.
        """
        if not self.objectives.has_pareto_set:
            raise UsageError(
                f"{self.sweep.id} has one metric to optimise, {self.sweep.metric}, and so no Pareto set; name several "
                "under `metric` in the sweep file: meltpoint explain metric"
            )
        return replace(self, trials=tuple(trial for trial in self.trials if trial.id in self.objectives.pareto))

    @property
    def best(self) -> Trial | None:
        """The best trial; None if no trial is ranked."""
        return next(iter(self.ranked), None)

    def best_as_json(self) -> Json | None:
        """Return the best trial for `-o json`."""
        best = self.best
        if best is None:
            return None
        return {"trial_id": best.id, "metrics": self.metrics(best), "recipe": best.recipe}

    def counts(self) -> dict[str, int]:
        """Return numbers of trials by state; `completed`, `pruned` and `failed` are always there."""
        counts = Counter(trial.state.value for trial in self.trials)
        return {state: counts.pop(state, 0) for state in ("completed", "pruned", "failed")} | dict(counts)

    def metrics(self, trial: Trial) -> Json:
        """Return the last epoch's readings, the best epoch's under `best/`, those on test, and the model's costs.

        A value that is not finite is None.
        """
        last, best = self.last_epochs.get(trial.id), self.best_epochs.get(trial.id)
        values = dict(last.metrics()) if last else {}
        if best:
            values |= best.best_metrics() | best.metrics("test")
        values |= self.objectives.costs(trial)
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def seconds(self, trial: Trial) -> float:
        """Return the time in finished epochs; for a trial without any, the time from its start to its end."""
        if trial.id in self.epoch_seconds:
            return self.epoch_seconds[trial.id]
        return ((trial.finished_at or 0) - (trial.started_at or 0)) / 1000 if trial.finished_at else 0.0

    def failures(self) -> list[str]:
        """Return a line for each reason for which trials failed, with how often and in which trial first."""
        reasons: dict[str, list[str]] = {}
        for trial in sorted(self.trials, key=lambda trial: trial.number):
            if trial.state is TrialState.FAILED:
                reasons.setdefault((trial.error or "no reason").partition(" (recipe ")[0], []).append(trial.id)
        return [f"{len(ids)} x {reason} ({ids[0]}{', ...' if len(ids) > 1 else ''})" for reason, ids in reasons.items()]

    def as_json(self, top: int | None = None) -> list[Json]:
        """Return one object a trial, for `trials -o json`."""
        best = self.best
        return [
            {
                "trial_id": trial.id,
                "state": trial.state.value,
                "recipe": trial.recipe,
                "metrics": self.metrics(trial),
                "epochs": trial.epochs,
                "seconds": round(self.seconds(trial), 3),
                "mlflow_run_id": trial.mlflow_run_id,
                "sharing": trial.sharing,
                "error": trial.error,
                "node": trial.node,
                "like_first": self.is_like_first(trial),
                "optimism": self.standing.optimism if self.standing and trial is best else None,
                **self.objectives.as_json(trial),
            }
            for trial in self.trials[:top]
        ]

    def is_like_first(self, trial: Trial) -> bool | None:
        """Return whether the val images do not tell a trial apart from the first; None if that is not known."""
        if self.standing is None or not _ranks(trial):
            return None
        return trial.identity in self._identities_like_first

    @cached_property
    def _identities_like_first(self) -> frozenset[str]:
        """Recipes of the trials that the val images do not tell apart from the first."""
        like_first = frozenset(self.standing.like_first if self.standing else ())
        return frozenset(trial.identity for trial in self.trials if trial.id in like_first)

    def standing_lines(self) -> list[str]:
        """Return sentences that say how far the best score and the ranks can be trusted."""
        standing, best = self.standing, self.best
        if standing is None or best is None:
            return []
        others = len(standing.like_first) - 1
        tied = f"{others} more marked = " + ("is" if others == 1 else "are") + " not told apart from the first"
        first = (
            f"the best score is expected to be {standing.optimism:.4f} too good, about {standing.corrected:.4f}: "
            f"it was chosen among {len(self.ranked)} on the same {standing.images} val images"
        )
        if standing.optimism <= 0:
            first = f"nothing suggests that the best score is too good on these {standing.images} val images"
        return [first, f"{tied} by these images" if others else "these images tell the first apart from all others"]

    def header(self) -> list[str]:
        """Return the column names of the short table."""
        metrics = [self.sweep.metric, *self.objectives.header()]
        columns = map(heading, self._columns())
        return ["trial", "state", *metrics, "epoch", *columns, "seconds", *self._node_column, *self._broken_column]

    @property
    def nodes(self) -> list[str]:
        """Names of the nodes on which the trials' newest attempts are or were, as far as they are known."""
        return sorted({trial.node for trial in self.trials if trial.node})

    @property
    def _node_column(self) -> list[str]:
        return ["node"] if len(self.nodes) > 1 else []

    @property
    def _broken_column(self) -> list[str]:
        return ["breaks"] if any(trial.breaks for trial in self.trials) else []

    def _columns(self) -> list[str]:
        return self.sweep.drawn[:MOST_RECIPE_COLUMNS]

    def _own_stages(self, trial: Trial) -> int | None:
        return self.sweep.own_stages(trial.recipe.get("backbone"))

    def cells(self, top: int | None = None) -> list[list[str]]:
        """Return the short table, a row a trial: best values and epoch, hyperparameters that vary, seconds."""
        return [
            [
                trial.id,
                trial.state.value,
                "" if trial.best_value is None else f"{trial.best_value:.4f}{self._mark(trial)}",
                *self.objectives.cells(trial),
                f"{trial.best_epoch or '-'}/{trial.epochs}",
                *(recipe_cell(trial.recipe, name, own_stages=self._own_stages(trial)) for name in self._columns()),
                f"{self.seconds(trial):.1f}",
                *[trial.node or ""] * len(self._node_column),
                *[trial.breaks or ""] * len(self._broken_column),
            ]
            for trial in self.trials[:top]
        ]

    def _mark(self, trial: Trial) -> str:
        """Return the mark of a trial that is not told apart from the first."""
        return " =" if trial is not self.best and self.is_like_first(trial) else ""

    def as_csv(self) -> str:
        """Return every trial as a row, with a column for each hyperparameter and metric."""
        rows = self.as_json()
        recipe = sorted({name for row in rows for name in row["recipe"]})
        metrics = sorted({name for row in rows for name in row["metrics"]})
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        fixed = ["trial_id", "state", "epochs", "seconds", "mlflow_run_id", "error", "node", "breaks", "pareto"]
        writer.writerow([*fixed, *recipe, *metrics])
        for row in rows:
            values = [row["recipe"].get(n, "") for n in recipe] + [row["metrics"].get(n, "") for n in metrics]
            writer.writerow([*(row[name] for name in fixed), *values])
        return out.getvalue()

    def as_markdown(self, top: int = 10) -> str:
        """Return the short table of the best `top` trials."""
        lines = [" | ".join(self.header()), " | ".join("---" for _ in self.header())]
        lines += [" | ".join(row) for row in self.cells(top)]
        return "\n".join(f"| {line} |" for line in lines)

    def as_html(self) -> str:
        """Return a page that needs no other file."""
        from service.reports.pages import render_page  # importing it loads Jinja

        title = f"{self.sweep.name} {self.sweep.id}"
        return render_page("leaderboard.html.jinja", title=title, header=self.header(), rows=self.cells())


def _ranks(trial: Trial) -> bool:
    return trial.best_value is not None and trial.state is not TrialState.FAILED


def _rank(trial: Trial, goal: Goal) -> tuple[int, float, int]:
    if trial.best_value is None or not _ranks(trial):
        return 2, 0.0, trial.number
    return int(trial.breaks is not None), goal.sort_key(trial.best_value), trial.number
