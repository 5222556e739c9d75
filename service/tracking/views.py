"""The prepared view of a sweep in MLflow's UI: its trials only, the best first, with charts.

MLflow keeps a shared view as an experiment tag `mlflow.sharedViewState.<key>`. The format is not documented; a
browser test holds it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from search_spaces import Goal
from service.ledgers import Sweep
from service.objectives import Objectives
from service.tracking.branches import Branch, Branches
from service.tracking.run_names import RANK, WRITTEN_DEPTH, log10_name

__all__ = ["CURVES_SUFFIX", "PreparedView", "curves_view", "prepared_view", "view_address"]

CURVES_SUFFIX = "-curves"
"""Added to the sweep's id: the key of the view with the learning curves of the best twenty trials."""

_MOST_AXES = 7
"""Most params of a parallel-coordinates chart: MLflow turns the labels of more than 8 axes."""

_NAME_COLUMN = "attributes.`Run Name`"
_NAME_WIDTH = 340
"""Pixels of the column of names in MLflow's table; the list beside the charts has a width that MLflow alone sets."""

_MLFLOWS_OWN = ("best", "best/val", "val", "train", "test", "time", "cost")
"""Sections that MLflow makes of metric names; they stay, folded, below ours."""


@dataclass(frozen=True)
class PreparedView:
    """A view that the UI of MLflow opens: the experiment tag that holds it, and its state as JSON."""

    tag: str
    state: str


def prepared_view(
    sweep: Sweep, branches: Branches, *, numeric: Sequence[str] = (), is_ranked: bool = False, winner: str = ""
) -> PreparedView:
    """Return the tag that holds the sweep's view, and its content.

    branches: what the trials have in common. numeric: names of numeric hyperparameters, the most important first.
    is_ranked: whether runs have a rank, by which the winner comes first; else they are ordered by the metric.
    winner: goes into the first title, since the list beside the charts shows names alone.
    """
    best = f"best/{sweep.metric}"
    params = [_axis(sweep, name) for name in branches.common]
    sections = [
        _section("All trials", columns=1, height=400),
        *(_section(_only(branch), columns=1, height=400) for branch in branches.branches),
        _section("Cost and depth", columns=2, height=380),
        _section("Learning curves", columns=2, height=380),
    ]
    names = [section["uuid"] for section in sections]
    if winner:
        sections[0]["name"] += f", {winner}"
    charts = [_parallel("parallel", names[0], params[:_MOST_AXES], best)]
    for number, branch in enumerate(branches.branches, start=1):
        axes = [_axis(sweep, name) for name in branch.names][:_MOST_AXES]
        own = [_axis(sweep, name) for name in branch.names if name not in branches.common]
        charts.append(_parallel(f"parallel-{number}", names[number], _with(axes, own[0]), best))
    charts += _scatters(sweep, branches, numeric, best, names[-2])
    charts += [_curve(name, names[-1]) for name in _curves(sweep.metric)]
    state = _state(sweep, sections, charts, is_ranked=is_ranked)
    return PreparedView(tag=f"mlflow.sharedViewState.{sweep.id}", state=json.dumps(state))


def curves_view(sweep: Sweep, *, is_ranked: bool = False) -> PreparedView:
    """Return a second view, with the learning curves of the best twenty trials only."""
    name = "Best 20 trials"
    charts = [_curve(metric, name) for metric in _curves(sweep.metric)]
    state = _state(sweep, [_section(name, columns=1, height=420)], charts, is_ranked=is_ranked)
    state["runsHiddenMode"] = "FIRST_20_RUNS"
    return PreparedView(tag=f"mlflow.sharedViewState.{sweep.id}{CURVES_SUFFIX}", state=json.dumps(state))


def view_address(base: str, experiment_id: str, key: str, *, mode: Literal["CHART", "TABLE"] = "CHART") -> str:
    """Return the address at which a server at `base` shows a view.

    key: the sweep's id, for its prepared view. mode: charts beside the names, or the table of all columns.
    """
    query = urlencode({"viewStateShareKey": key, "compareRunsMode": mode, "workflowType": "machine_learning"})
    return f"{base}/#/experiments/{experiment_id}/runs?{query}"


def _state(
    sweep: Sweep, sections: list[dict[str, Any]], charts: list[dict[str, Any]], *, is_ranked: bool
) -> dict[str, Any]:
    params = [WRITTEN_DEPTH if name == "freeze_depth" else name for name in sweep.drawn]
    columns = {
        **{f"metrics.`{name}`": name for name in _shown_metrics(sweep)},
        "tags.`meltpoint.state`": "meltpoint.state",
        "metrics.`cost/seconds`": "cost/seconds",
        **{f"params.`{name}`": name for name in params},
        "tags.`meltpoint.rank`": "meltpoint.rank",
    }
    return {
        "searchFilter": f"tags.`meltpoint.sweep_id` = '{sweep.id}' and tags.`meltpoint.kind` = 'trial'",
        "orderByKey": f"metrics.`{RANK}`" if is_ranked else f"metrics.`best/{sweep.metric}`",
        "orderByAsc": is_ranked or sweep.goal is Goal.MINIMIZE,
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": list(columns),
        "columnOrder": [_NAME_COLUMN, *columns],
        "columnWidths": {_NAME_COLUMN: _NAME_WIDTH, **{column: _width(title) for column, title in columns.items()}},
        "isAccordionReordered": True,
        "compareRunSections": [*sections, *(_folded(name) for name in _MLFLOWS_OWN)],
        "compareRunCharts": charts,
    }


def _width(title: str) -> int:
    """Return the pixels of a column in which its title can be read whole."""
    return max(100, 8 * len(title) + 24)


def _only(branch: Branch) -> str:
    """Return a section's name that is short enough to be read whole beside MLflow's buttons."""
    return f"Only {branch.choice.removesuffix('.name').removesuffix('.policy')} {branch.value}"


def _shown_metrics(sweep: Sweep) -> list[str]:
    """Return the metrics of the table: validation metrics at the best epoch, then costs."""
    entries = Objectives.from_sweep(sweep).entries
    return [entry.name if entry.is_cost else f"best/{entry.name}" for entry in entries]


def _axis(sweep: Sweep, name: str) -> str:
    return log10_name(name) if name in sweep.log_scaled or name == "optimizer.lr" else name


def _with(axes: list[str], needed: str) -> list[str]:
    """Return the axes with a needed one, which goes in the place of the last if it is not there."""
    return axes if needed in axes else [*axes[:-1], needed]


def _section(name: str, *, columns: int, height: int) -> dict[str, Any]:
    return _folded(name) | {"display": True, "columns": columns, "cardHeight": height}


def _folded(name: str) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": False, "isReordered": False}


def _chart(uuid: str, kind: str, section: str, **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": kind,
        "runsCountToCompare": 100,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        **more,
    }


def _parallel(uuid: str, section: str, params: list[str], best: str) -> dict[str, Any]:
    return _chart(uuid, "PARALLEL", section, selectedParams=params, selectedMetrics=[best], showAllRuns=True)


def _scatters(
    sweep: Sweep, branches: Branches, numeric: Sequence[str], best: str, section: str
) -> list[dict[str, Any]]:
    """Return the charts of the metric against cost and freeze depth, and over the two most important numbers."""
    metric = {"key": best, "type": "METRIC"}
    charts = [_chart("cost", "SCATTER", section, xaxis={"key": "cost/seconds", "type": "METRIC"}, yaxis=metric)]
    if "freeze_depth" in sweep.drawn:
        depth = {"key": "freeze_depth", "type": "PARAM"}
        charts.append(_chart("freeze-depth", "SCATTER", section, xaxis=depth, yaxis=metric))
    ordered = list(dict.fromkeys((*numeric, *_DEFAULT_ORDER, *branches.numeric)))
    axes = [{"key": _axis(sweep, name), "type": "PARAM"} for name in ordered if name in branches.numeric][:2]
    charts += [
        _chart(f"scatter-{axis['key']}", "SCATTER", section, xaxis=axis, yaxis=metric)
        for axis in axes
        if axis["key"] != "freeze_depth"
    ]
    if len(axes) == 2:
        charts.append(_chart("contour", "CONTOUR", section, xaxis=axes[0], yaxis=axes[1], zaxis=metric))
    return charts


_DEFAULT_ORDER = ("optimizer.lr", "freeze_depth")
"""Numbers that count as most important as long as nothing is known of them."""


def _curves(metric: str) -> list[str]:
    return list(dict.fromkeys([metric, "val/loss", "train/loss"]))


def _curve(metric: str, section: str) -> dict[str, Any]:
    return _chart(
        f"curve-{metric.replace('/', '-')}",
        "LINE",
        section,
        metricKey=metric,
        selectedMetricKeys=[metric],
        xAxisKey="step",
        scaleType="linear",
        lineSmoothness=0,
    )
