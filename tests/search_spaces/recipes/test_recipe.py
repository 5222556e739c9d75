import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import BACKBONES, PARAMETERS, Recipe, SpecError, resolve_freeze_depth
from search_spaces.spaces.space import depth_spellings

FEWEST_STAGES = min(info.stages for info in BACKBONES.values())


def refused(values: dict[str, object]) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        Recipe.from_flat(values)
    return {problem.path: problem.rule for problem in caught.value.problems}


@st.composite
def flat_recipes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw valid values for some of the names that a recipe uses."""
    values: dict[str, Any] = {}
    for name in PARAMETERS:
        if name.endswith(".name") or name in ("dropout.kind", "head.pool", "backbone"):
            values[name] = draw(st.sampled_from(choices_of(name)))
    for name, parameter in PARAMETERS.items():
        decider = parameter.active_for
        if name not in values and (decider is None or values[decider[0]] in decider[1]) and draw(st.booleans()):
            values[name] = draw(values_of(name))
    return possible(values)


def choices_of(name: str) -> tuple[str, ...]:
    return tuple(sorted(BACKBONES)) if name == "backbone" else PARAMETERS[name].choices


def values_of(name: str) -> st.SearchStrategy[Any]:
    parameter = PARAMETERS[name]
    bounds = parameter.bounds
    low = bounds.ge if bounds.ge is not None else bounds.gt
    high = bounds.le if bounds.le is not None else bounds.lt
    if parameter.kind == "choice":
        return st.sampled_from(parameter.choices)
    if parameter.kind == "depth":
        return st.integers(-FEWEST_STAGES, FEWEST_STAGES) | st.just("all")
    if parameter.kind == "str":
        return st.sampled_from(["pretrained", "random", "a/b.safetensors"])
    if parameter.kind == "pair":
        return st.tuples(st.floats(0, 0.9), st.floats(0, 0.9))
    assert low is not None
    assert high is not None
    if parameter.kind == "int":
        return st.integers(int(low), int(high))
    listed = [1, 0, 0.0, -0.0] if (low, bounds.ge) == (0, 0) and high > 1 else [(low + high) / 2]
    return st.sampled_from(listed) | st.floats(
        low, high, allow_subnormal=False, exclude_min=bounds.gt is not None, exclude_max=bounds.lt is not None
    )


def possible(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values, after changes to those that the others exclude."""
    if values["optimizer.name"] == "lbfgs":
        values |= {"batch_size": 0, "precision": "fp32"}
    if values.get("head.norm") == "batch" and values.get("batch_size") == 1:
        values["batch_size"] = 2
    if values["averaging.name"] == "snapshot" and values["schedule.name"] != "cosine_restarts":
        values["averaging.name"] = "none"
    if BACKBONES[values["backbone"]].map_size == 0:
        values["head.pool"] = "backbone"
        values.pop("head.pool_ratio", None)
    return values


@given(values=flat_recipes(), data=st.data())
@settings(max_examples=60)
def test_identity_does_not_depend_on_spelling_or_order(values: dict[str, Any], data: st.DataObject) -> None:
    recipe = Recipe.from_flat(values)
    shuffled = data.draw(st.permutations(list(values.items())))
    assert Recipe.from_flat(dict(shuffled)).identity == recipe.identity
    respelt = dict(values)
    if "freeze_depth" in values:
        backbone = str(values.get("backbone", recipe.backbone))
        respelt["freeze_depth"] = data.draw(st.sampled_from(depth_spellings(values["freeze_depth"], backbone)))
    for name, value in values.items():
        if PARAMETERS[name].kind == "float" and float(value).is_integer():
            respelt[name] = data.draw(st.sampled_from([int(value), float(value)]))
        if PARAMETERS[name].kind == "pair":
            respelt[name] = list(value)
    assert Recipe.from_flat(respelt).identity == recipe.identity
    left_out = {name: value for name, value in recipe.flat().items() if Recipe().flat().get(name) != value}
    left_out |= {name: value for name, value in recipe.flat().items() if name.endswith(".name")}
    left_out["freeze_depth"] = recipe.flat()["freeze_depth"]
    assert Recipe.from_flat({**recipe.flat(), **left_out}).identity == recipe.identity


@given(first=flat_recipes(), second=flat_recipes())
@settings(max_examples=60)
def test_recipes_are_equal_exactly_where_their_identities_are(first: dict[str, Any], second: dict[str, Any]) -> None:
    recipe, other = Recipe.from_flat(first), Recipe.from_flat(second)
    assert (recipe == other) == (recipe.identity == other.identity)


@given(values=flat_recipes())
@settings(max_examples=60)
def test_flat_values_survive_json_and_give_the_recipe_back(values: dict[str, Any]) -> None:
    recipe = Recipe.from_flat(values)
    assert Recipe.from_flat(json.loads(json.dumps(recipe.flat()))) == recipe


def test_freeze_depth_is_resolved_against_the_backbone() -> None:
    assert Recipe().freeze_depth == 9
    assert Recipe.from_flat({"freeze_depth": -1}).freeze_depth == 8
    resnet = {"backbone": "torchvision/resnet18"}
    assert Recipe.from_flat({**resnet, "freeze_depth": "all"}).freeze_depth == 5
    assert Recipe.from_flat({**resnet, "freeze_depth": -5}).freeze_depth == 0
    assert refused({**resnet, "freeze_depth": -6}) == {
        "freeze_depth": "must lie in -5..5, or be all: torchvision/resnet18 has 5 stages"
    }
    with pytest.raises(ValueError, match="integer or all"):
        resolve_freeze_depth(True, backbone="torchvision/resnet18")


def test_all_problems_of_a_recipe_are_reported_at_once() -> None:
    rules = refused(
        {
            "backbone": "torchvision/resnet1",
            "optimizer.name": "adam",
            "optimizer.momentum": 0.9,
            "optimizer.lr": -1,
            "dropout.rate": True,
            "augment.policy": "flop",
            "batch_size": 3.5,
            "mix": 0.1,
            "droput.rate": 0.1,
        }
    )
    assert rules == {
        "backbone": "unknown backbone; did you mean torchvision/resnet18?",
        "optimizer.momentum": "is not used by adam, only by momentum, nesterov",
        "optimizer.lr": "must be > 0",
        "dropout.rate": "must be a number",
        "augment.policy": "must be one of none, flip, flip_crop, color, lecture7; did you mean flip?",
        "batch_size": "must be an integer",
        "mix": "is a group; give its names: mix.label_smoothing, mix.mixup, mix.cutmix",
        "droput.rate": "unknown name; did you mean dropout.rate?",
    }


@pytest.mark.parametrize("value", [True, "0.1", None, math.nan, math.inf, [0.1], 0, -1, 101])
def test_a_learning_rate_is_a_positive_finite_number(value: object) -> None:
    assert set(refused({"optimizer.lr": value})) == {"optimizer.lr"}


@pytest.mark.parametrize("value", [0.9, [0.9], [0.9, 1.0], [0.9, True], ["a", 0.9], [0.9, 0.9, 0.9]])
def test_betas_are_two_numbers_below_one(value: object) -> None:
    assert set(refused({"optimizer.betas": value})) == {"optimizer.betas"}


def test_weights_name_a_source_that_can_be_checked() -> None:
    digest = "AB" * 32
    assert Recipe.from_flat({"weights": f"w.pth#sha256={digest}"}).weights == f"w.pth#sha256={digest.lower()}"
    assert set(refused({"weights": "w.pth"})) == {"weights"}
    assert set(refused({"weights": "w.pth#sha256=12"})) == {"weights"}


def test_an_unknown_optimizer_lists_the_known_ones() -> None:
    assert refused({"optimizer.name": "adm"}) == {"optimizer.name": "unknown optimizer; did you mean adam?"}


def test_the_identity_is_golden() -> None:
    assert Recipe().identity == "ca899d3bc41dba04"
