"""Limits of metrics and costs, costs of recipes, and the Pareto set."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from search_spaces import Goal, MeltpointError, parse_spec
from service.ledgers import EpochRow
from service.objectives import Limits, ModelCost, ModelCosts, Objective, Objectives, check_limits, pareto_set

LITE, RESNET = "timm/tf_efficientnet_lite0", "torchvision/resnet18"
COSTS = ModelCosts(
    classes=10,
    processor="a processor",
    threads=1,
    load=0.2,
    models=(
        ModelCost(backbone=LITE, pool="backbone", parameters=3_000_000, features=1280, latency_ms=10.0, repeats=40),
        ModelCost(backbone=RESNET, pool="backbone", parameters=11_000_000, features=512, latency_ms=30.0, repeats=20),
    ),
)
TEXT = """
name: a
data: {source: digits}
space: {}
metric:
  - {name: val/accuracy}
  - {name: latency_ms, goal: minimize, max: 20}
  - {name: parameters, max: 5M}
  - {name: val/ece, max: 0.1}
"""


def row(**val: float) -> EpochRow:
    return EpochRow(epoch=1, seconds=1.0, recorded_at=0, readings={"train": {"loss": 1.0}, "val": val})


def test_limits_are_checked_on_the_epoch_and_on_the_model() -> None:
    limits = Limits(objectives=Objectives.from_specs(parse_spec(TEXT, file="s.yaml").metrics), costs=COSTS)
    assert limits.broken_by({"backbone": LITE}, row(accuracy=0.9, ece=0.1)) is None
    assert limits.broken_by({"backbone": LITE}, row(accuracy=0.9, ece=0.2)) == "val/ece 0.2000 > 0.1"
    assert limits.broken_by({"backbone": LITE}, row(accuracy=0.9, ece=math.nan)) == "val/ece unknown > 0.1"
    assert limits.broken_by({"backbone": RESNET}, row(accuracy=0.9, ece=0.0)) == (
        "latency_ms 30 > 20; parameters 11M > 5M"
    )
    assert limits.broken_by({"backbone": "other"}, row(ece=0.0)) == "latency_ms unknown > 20; parameters unknown > 5M"


def test_a_head_adds_its_parameters_and_an_ensemble_all_of_its_members() -> None:
    plain = COSTS.costs_of({"backbone": RESNET, "head.pool": "backbone", "head.hidden": 0, "head.norm": "none"})
    assert plain == {"parameters": 11_000_000 + 512 * 10 + 10, "latency_ms": 30.0}
    ensemble = {"backbone": RESNET, "averaging.name": "snapshot", "schedule.cycles": 3}
    assert COSTS.costs_of(ensemble) == {name: 3 * value for name, value in plain.items()}
    assert COSTS.costs_of({"backbone": RESNET, "head.pool": "max"}) == {}


def test_costs_come_back_from_plain_data() -> None:
    assert ModelCosts.from_json(COSTS.as_json()) == COSTS
    assert "median of 20 or more runs" in COSTS.describe_machine()
    assert "1 thread of a processor" in COSTS.describe_machine()


def test_models_that_break_a_limit_are_named_before_the_first_trial() -> None:
    objectives = Objectives.from_specs(parse_spec(TEXT, file="s.yaml").metrics)
    (line,) = check_limits(objectives, COSTS)
    assert line.startswith(f"{RESNET} has latency_ms 30 and breaks latency_ms <= 20: its trials can never be the best")
    too_strict = Objectives((*objectives.entries[:1], Objective(name="latency_ms", goal=Goal.MINIMIZE, limit=5.0)))
    with pytest.raises(MeltpointError, match="no model of the space keeps the limits"):
        check_limits(too_strict, COSTS)


def test_the_pareto_set_has_all_that_no_other_dominates() -> None:
    wanted = (
        Objective(name="val/accuracy", goal=Goal.MAXIMIZE),
        Objective(name="latency_ms", goal=Goal.MINIMIZE),
        Objective(name="val/ece", goal=Goal.MINIMIZE),
    )
    rng = random.Random(0)
    for _ in range(100):
        values = {key: [float(rng.randrange(4)) for _ in wanted] for key in range(12)}

        def dominates(first: list[float], second: list[float]) -> bool:
            gains = [entry.goal.gain(a, b) for entry, a, b in zip(wanted, first, second, strict=True)]
            return min(gains) >= 0 and max(gains) > 0

        beaten = {b for a, b in itertools.permutations(values, 2) if dominates(values[a], values[b])}
        assert pareto_set(values, wanted) == set(values) - beaten
    assert pareto_set({"a": [0.9, 1.0, math.nan], "b": [0.1, 5.0, 0.5]}, wanted) == {"b"}
