"""The prepared view: every trial is in a parallel-coordinates chart, and branches have charts of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.tracking.branches import Branches
from service.tracking.views import curves_view, prepared_view, view_address
from tests.service.tracking.test_run_names import make_sweep

DRAWN = [
    "freeze_depth",
    "optimizer.name",
    "optimizer.lr",
    "optimizer.weight_decay",
    "augment.policy",
    "augment.magnitude",
]
NESTEROV = {"freeze_depth": 3, "optimizer.name": "nesterov", "optimizer.lr": 0.1, "augment.policy": "flip"}
ADAMW = NESTEROV | {"optimizer.name": "adamw", "optimizer.weight_decay": 0.1}
RANDAUGMENT = NESTEROV | {"augment.policy": "randaugment", "augment.magnitude": 9}


def charts(*recipes: dict[str, Any], drawn: list[str] = DRAWN, **options: Any) -> list[dict[str, Any]]:
    branches = Branches(drawn)
    branches.add(*recipes)
    state: list[dict[str, Any]] = json.loads(prepared_view(make_sweep(drawn), branches, **options).state)[
        "compareRunCharts"
    ]
    return state


def parallel(*recipes: dict[str, Any]) -> dict[str, list[str]]:
    """The params of each parallel-coordinates chart, by its section."""
    return {
        chart["metricSectionId"]: chart["selectedParams"] for chart in charts(*recipes) if chart["type"] == "PARALLEL"
    }


def test_the_first_chart_has_only_what_every_trial_has_and_each_branch_what_it_has_besides() -> None:
    shown = parallel(NESTEROV, ADAMW, RANDAUGMENT)
    assert shown == {
        "All trials": ["freeze_depth", "optimizer.name", "optimizer.log10_lr", "augment.policy"],
        "Only optimizer adamw": ["freeze_depth", "optimizer.log10_lr", "optimizer.weight_decay", "augment.policy"],
        "Only augment randaugment": ["freeze_depth", "optimizer.name", "optimizer.log10_lr", "augment.magnitude"],
    }


def test_a_value_without_a_place_on_a_logarithmic_axis_counts_as_missing() -> None:
    branches = Branches(DRAWN, log_scaled=["optimizer.lr", "optimizer.weight_decay"])
    branches.add(NESTEROV | {"optimizer.weight_decay": 0.0}, ADAMW)
    assert "optimizer.weight_decay" not in branches.common
    assert [branch.value for branch in branches.branches] == ["adamw"]
    linear = Branches(DRAWN)
    linear.add(NESTEROV | {"optimizer.weight_decay": 0.0}, ADAMW)
    assert "optimizer.weight_decay" in linear.common


def test_trials_that_all_have_the_same_names_share_one_chart() -> None:
    assert parallel(ADAMW, ADAMW | {"optimizer.name": "sgd"}).keys() == {"All trials"}


def test_a_chart_of_many_hyperparameters_keeps_the_one_that_only_its_branch_has() -> None:
    many = {f"x.{number}": number for number in range(9)}
    branches = Branches([*many, "kind", "own"])
    branches.add(many | {"kind": "a"}, many | {"kind": "b", "own": 1})
    view = prepared_view(make_sweep([*many, "kind", "own"]), branches)
    (_, only_b) = [chart for chart in json.loads(view.state)["compareRunCharts"] if chart["type"] == "PARALLEL"]
    assert len(only_b["selectedParams"]) == 7
    assert only_b["selectedParams"][-1] == "own"


@pytest.mark.parametrize("numeric", [(), ("dropout.rate",)])
def test_the_contour_is_over_the_two_most_important_numbers_that_every_trial_has(numeric: tuple[str, ...]) -> None:
    drawn = ["freeze_depth", "optimizer.name", "optimizer.lr", "dropout.rate", "optimizer.weight_decay"]
    recipes = [recipe | {"dropout.rate": 0.1} for recipe in (NESTEROV, ADAMW)]
    (contour,) = [chart for chart in charts(*recipes, drawn=drawn, numeric=numeric) if chart["type"] == "CONTOUR"]
    first = ["dropout.rate"] if numeric else []
    expected = [*first, "optimizer.log10_lr", "freeze_depth"][:2]
    assert [contour["xaxis"]["key"], contour["yaxis"]["key"]] == expected


def test_a_sweep_of_names_alone_has_no_contour() -> None:
    shown = charts({"optimizer.name": "sgd"}, {"optimizer.name": "adam"}, drawn=["optimizer.name"])
    assert "CONTOUR" not in [chart["type"] for chart in shown]


def test_an_ended_sweep_is_ordered_by_rank_and_a_running_one_by_its_metric() -> None:
    branches = Branches(DRAWN)
    running = json.loads(prepared_view(make_sweep(DRAWN), branches).state)
    ended = json.loads(prepared_view(make_sweep(DRAWN), branches, is_ranked=True).state)
    assert (running["orderByKey"], running["orderByAsc"]) == ("metrics.`best/val/accuracy`", False)
    assert (ended["orderByKey"], ended["orderByAsc"]) == ("metrics.`best/rank`", True)


def test_the_view_of_curves_shows_the_best_twenty() -> None:
    view = curves_view(make_sweep(DRAWN))
    assert json.loads(view.state)["runsHiddenMode"] == "FIRST_20_RUNS"
    assert view.tag == "mlflow.sharedViewState.s-1-curves"
    assert "viewStateShareKey=s-1-curves" in view_address("http://h", "1", "s-1-curves")


def test_the_table_has_whole_names_and_the_score_beside_them() -> None:
    state = json.loads(prepared_view(make_sweep(DRAWN), Branches(DRAWN), is_ranked=True).state)
    name, first, *_ = state["columnOrder"]
    assert (name, first) == ("attributes.`Run Name`", "metrics.`best/val/accuracy`")
    assert state["columnOrder"][1:] == state["selectedColumns"]
    assert state["columnWidths"].keys() == set(state["columnOrder"])
    assert state["columnWidths"][name] > 300
    assert "compareRunsMode=TABLE" in view_address("", "1", "s-1", mode="TABLE")


def test_the_first_title_names_the_winner_and_its_charts_stay_below_it() -> None:
    view = prepared_view(make_sweep(DRAWN), Branches(DRAWN), winner="winner ★ 0005: 0.8648 val/accuracy")
    state = json.loads(view.state)
    section = state["compareRunSections"][0]
    assert section["name"] == "All trials, winner ★ 0005: 0.8648 val/accuracy"
    assert section["uuid"] == state["compareRunCharts"][0]["metricSectionId"]
