"""Sizes and latencies of models, against the models that trials train."""

from __future__ import annotations

import pytest

from search_spaces import Recipe
from service.objectives import ModelCost, ModelCosts
from trainables.classifiers import build_classifier
from trainables.measurements.model_costs import FEWEST_REPEATS, measure_model

BACKBONE = "timm/tf_efficientnet_lite0"


@pytest.mark.parametrize(("hidden", "norm"), [(0, "none"), (0, "batch"), (24, "none"), (24, "batch")])
def test_the_parameters_of_a_recipe_are_those_of_the_model_that_it_trains(hidden: int, norm: str) -> None:
    recipe = Recipe.from_flat({"backbone": BACKBONE, "head.hidden": hidden, "head.norm": norm, "head.pool": "max"})
    other_head = recipe.head.model_copy(update={"hidden": 7, "norm": "none"})
    measured = measure_model(
        BACKBONE, other_head, classes=3, image_size=32, interpolation="bilinear", with_latency=False
    )
    cost = ModelCost(backbone=BACKBONE, pool="max", parameters=measured.body_parameters, features=measured.features)
    costs = ModelCosts(classes=3, processor="", threads=1, load=0.0, models=(cost,))
    model = build_classifier(BACKBONE, classes=3, weights="random", head=recipe.head, image_size=32, seed=0)
    assert costs.costs_of(recipe.flat()) == {"parameters": sum(p.numel() for p in model.parameters())}


def test_the_latency_is_the_median_time_of_one_image() -> None:
    head = Recipe().head
    small, large = (
        measure_model(BACKBONE, head, classes=3, image_size=size, interpolation="bicubic", with_latency=True)
        for size in (32, 224)
    )
    assert small.latency_ms is not None
    assert large.latency_ms is not None
    assert 0 < small.latency_ms < large.latency_ms
    assert large.repeats >= FEWEST_REPEATS
