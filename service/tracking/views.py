"""The prepared view of a sweep in MLflow's UI: its trials only, the best first, with charts.

MLflow keeps a shared view as an experiment tag `mlflow.sharedViewState.<key>`. The format is not documented; a
browser test holds it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from search_spaces import Goal
from service.ledgers import Sweep
from service.objectives import Objectives


@dataclass(frozen=True)
class PreparedView:
    """A view that the UI of MLflow opens: the experiment tag that holds it, and its state as JSON."""

    tag: str
    state: str


def prepared_view(sweep: Sweep) -> PreparedView:
    """The tag that holds the sweep's view, and its content."""
    best = f"best/{sweep.metric}"
    params = ["optimizer.log10_lr" if name == "optimizer.lr" else name for name in sweep.drawn]
    state = {
        "searchFilter": f"tags.`meltpoint.sweep_id` = '{sweep.id}' and tags.`meltpoint.kind` = 'trial'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": sweep.goal is Goal.MINIMIZE,
        "runsHiddenMode": "SHOWALL",
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in _shown_metrics(sweep)),
            *(f"params.`{name}`" for name in sweep.drawn),
        ],
        "isAccordionReordered": True,
        "compareRunSections": [
            *(_section(name, display=True) for name in ("Recipes", "Curves")),
            *(_section(name, display=False) for name in _MLFLOWS_OWN),
        ],
        "compareRunCharts": [
            _parallel(params, best),
            *_scatters(params, best),
            *(_curve(name) for name in _curves(sweep.metric)),
        ],
    }
    return PreparedView(tag=f"mlflow.sharedViewState.{sweep.id}", state=json.dumps(state))


def _shown_metrics(sweep: Sweep) -> list[str]:
    """Return the metrics of the table: validation metrics at the best epoch, then costs."""
    entries = Objectives.from_sweep(sweep).entries
    return [entry.name if entry.is_cost else f"best/{entry.name}" for entry in entries]


def view_address(base: str, experiment_id: str, sweep_id: str) -> str:
    """Return the address at which a server at `base` shows the sweep's prepared view."""
    query = urlencode({"viewStateShareKey": sweep_id, "compareRunsMode": "CHART", "workflowType": "machine_learning"})
    return f"{base}/#/experiments/{experiment_id}/runs?{query}"


_MLFLOWS_OWN = ("best", "best/val", "val", "train", "test", "time")
"""Sections that MLflow makes of metric names; they stay, folded, below ours."""


def _section(name: str, *, display: bool) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": display, "isReordered": False}


def _curves(metric: str) -> list[str]:
    return list(dict.fromkeys([metric, "val/loss", "train/loss"]))


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


def _parallel(params: list[str], best: str) -> dict[str, Any]:
    return _chart("parallel", "PARALLEL", "Recipes", selectedParams=params, selectedMetrics=[best], showAllRuns=False)


def _scatters(params: list[str], best: str) -> list[dict[str, Any]]:
    return [
        _chart(
            f"scatter-{number}",
            "SCATTER",
            "Recipes",
            xaxis={"key": name, "type": "PARAM"},
            yaxis={"key": best, "type": "METRIC"},
        )
        for number, name in enumerate(params[:4])
    ]


def _curve(metric: str) -> dict[str, Any]:
    return _chart(
        f"curve-{metric.replace('/', '-')}",
        "LINE",
        "Curves",
        metricKey=metric,
        selectedMetricKeys=[metric],
        xAxisKey="step",
        scaleType="linear",
        lineSmoothness=0,
    )
