"""The prepared view of a sweep in MLflow's UI: its trials only, the best first, with charts.

MLflow keeps a shared view as an experiment tag `mlflow.sharedViewState.<key>`. The format is not documented; a
browser test holds it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from service.records import Sweep


@dataclass(frozen=True)
class PreparedView:
    tag: str
    state: str


def prepared_view(sweep: Sweep) -> PreparedView:
    """The tag that holds the sweep's view, and its content."""
    best = f"best/{sweep.metric}"
    state = {
        "searchFilter": f"tags.`meltpoint.sweep_id` = '{sweep.id}' and tags.`meltpoint.kind` = 'trial'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": not sweep.maximizes,
        "runsHiddenMode": "SHOWALL",
        "selectedColumns": [f"metrics.`{best}`", *(f"params.`{name}`" for name in _COLUMNS)],
        "compareRunSections": [
            {"uuid": "recipes", "name": "Recipes", "display": True, "isReordered": False},
            {"uuid": "curves", "name": "Curves", "display": True, "isReordered": False},
        ],
        "compareRunCharts": [
            _parallel(best),
            *_scatters(best),
            *(_curve(name) for name in _curves(sweep.metric)),
        ],
    }
    return PreparedView(tag=f"mlflow.sharedViewState.{sweep.id}", state=json.dumps(state))


def view_address(base: str, experiment_id: str, sweep_id: str) -> str:
    """Where a server at `base` shows the sweep's prepared view."""
    query = urlencode({"viewStateShareKey": sweep_id, "compareRunsMode": "CHART", "workflowType": "machine_learning"})
    return f"{base}/#/experiments/{experiment_id}/runs?{query}"


_COLUMNS = (
    "freeze_depth",
    "optimizer.name",
    "optimizer.lr",
    "dropout.rate",
    "augment.policy",
)


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


def _parallel(best: str) -> dict[str, Any]:
    params = ["freeze_depth", "optimizer.name", "optimizer.log10_lr", "dropout.rate", "augment.policy"]
    return _chart("parallel", "PARALLEL", "recipes", selectedParams=params, selectedMetrics=[best], showAllRuns=False)


def _scatters(best: str) -> list[dict[str, Any]]:
    return [
        _chart(
            f"scatter-{number}",
            "SCATTER",
            "recipes",
            xaxis={"key": name, "type": "PARAM"},
            yaxis={"key": best, "type": "METRIC"},
        )
        for number, name in enumerate(("optimizer.log10_lr", "freeze_depth"))
    ]


def _curve(metric: str) -> dict[str, Any]:
    return _chart(
        f"curve-{metric.replace('/', '-')}",
        "LINE",
        "curves",
        metricKey=metric,
        selectedMetricKeys=[metric],
        xAxisKey="step",
        scaleType="linear",
        lineSmoothness=0,
    )
