"""Values that exclude each other are refused with their place in the file, whichever part of a space draws them."""

from __future__ import annotations

import random

import pytest

from search_spaces import Recipe, SpecError, parse_spec, sample

HEAD = "name: a\ndata: {source: digits, image_size: 32}\nbudget: {epochs: 4}\n"


def refusals(text: str) -> str:
    with pytest.raises(SpecError) as refused:
        parse_spec(HEAD + text, file="s.yaml")
    return str(refused.value)


@pytest.mark.parametrize(
    ("space", "line", "path", "rule"),
    [
        ("optimizer.name: lbfgs", 5, "space.optimizer.name", "batch_size must be 0 (all images) if optimizer.name"),
        ("{optimizer.name: {values: [adam, lbfgs]}, batch_size: 16}", 4, "space.batch_size", "must be 0 (all images)"),
        (
            "{optimizer: {one_of: [{name: lbfgs}, {name: adam}]},"
            " batch_size: {value: 0, when: {optimizer.name: adam}}}",
            4,
            "space.optimizer.one_of[0].name",
            "batch_size must be 0 (all images)",
        ),
        (
            "{optimizer.name: lbfgs, batch_size: 0, precision: {values: [fp32, fp16]}}",
            4,
            "space.precision",
            "must be fp32 or bf16 if optimizer.name is lbfgs",
        ),
        (
            "{head.norm: {values: [none, batch]}, batch_size: {min: 1, max: 8, default: 4}}",
            4,
            "space.batch_size",
            "must not be 1 if head.norm is batch",
        ),
        (
            "{backbone: {values: [timm/test_vit, torchvision/resnet18]}, head.pool: fractional_max}",
            4,
            "space.head.pool",
            "needs feature maps, but timm/test_vit gives a vector",
        ),
        (
            "{backbone: torchvision/resnet18, head.pool: {values: [max, fractional_max]}}",
            4,
            "space.head.pool",
            "needs feature maps of 2 x 2 or more, but torchvision/resnet18 gives 1 x 1 from 32 px",
        ),
        ("averaging.name: snapshot", 5, "space.averaging.name", "needs schedule.name cosine_restarts"),
        ("schedule.warmup_epochs: {values: [0, 2, 4]}", 5, "space.schedule.warmup_epochs", "must be < budget.epochs"),
        (
            "{schedule: {name: cosine_restarts, cycles: 3, warmup_epochs: 2}}",
            4,
            "space.schedule.cycles",
            "must be <= budget.epochs - schedule.warmup_epochs, which is 2",
        ),
    ],
)
def test_a_space_that_draws_excluded_values_is_refused(space: str, line: int, path: str, rule: str) -> None:
    text = f"space: {space}" if space.startswith("{") else f"space:\n  {space}"
    message = refusals(text)
    assert f"s.yaml:{line}:" in message
    assert path in message
    assert rule in message


@pytest.mark.parametrize(
    ("point", "path"),
    [
        ("optimizer.name: lbfgs", "search.points[0].batch_size"),
        ("schedule: {name: cosine, warmup_epochs: 9}", "search.points[0].schedule.warmup_epochs"),
        ("{backbone: torchvision/vgg11, head.pool: max}", "search.points[0].head.pool"),
    ],
)
def test_a_point_with_excluded_values_is_refused(point: str, path: str) -> None:
    message = refusals(f"search: {{algorithm: points, points: [{point if point.startswith('{') else f'{{{point}}}'}]}}")
    assert path in message


def test_branches_that_belong_together_are_accepted_and_every_draw_is_a_recipe() -> None:
    space = """
space:
  one_of:
    - {optimizer.name: lbfgs, batch_size: 0}
    - {optimizer.name: {values: [adam, sgd]}, batch_size: {values: [1, 16]}}
    - {schedule: {name: cosine_restarts, cycles: {values: [2, 3]}}, averaging.name: snapshot}
"""
    spec = parse_spec(HEAD + space, file="s.yaml")
    rng = random.Random(0)
    drawn = {spec.space.recipe(sample(spec.space, rng)).optimizer.name for _ in range(60)}
    assert drawn == {"lbfgs", "adam", "sgd", "adamw"}


def test_new_names_at_their_defaults_change_no_identity() -> None:
    """Check that the recipes of older ledgers keep their identities."""
    assert Recipe().identity == "ca899d3bc41dba04"
    assert Recipe.from_flat({"head.hidden": 8}).identity != Recipe().identity
    assert Recipe.from_flat({"schedule.name": "step"}).identity != Recipe().identity


def test_a_weight_decay_of_0_changes_no_identity_of_an_optimizer_that_had_none() -> None:
    golden = {
        "sgd": "95c07e78811f3ebf",
        "momentum": "d268d71cd95d09cd",
        "nesterov": "937ad10d7d465daa",
        "adagrad": "590fb115340181a6",
        "rmsprop": "86f3c848ce305541",
        "adam": "b18be83762894b39",
        "lion": "530f3f12e0ef0cc9",
    }
    for name, identity in golden.items():
        assert Recipe.from_flat({"optimizer.name": name}).identity == identity
        assert Recipe.from_flat({"optimizer.name": name, "optimizer.weight_decay": 0.1}).identity != identity
    adamw = {Recipe.from_flat({"optimizer.weight_decay": decay}).identity for decay in (0.0, 0.01)}
    assert len(adamw) == 2, "of adamw, 0 is a choice of its own"


def test_one_weight_decay_serves_all_branches_and_lbfgs_names_the_way_out() -> None:
    branches = "{name: sgd, lr: 0.1}, {name: adam}, {name: adamw}"
    decay = "weight_decay: {min: 1.0e-6, max: 1.0e-2, log: true}"
    spec = parse_spec(f"{HEAD}space: {{optimizer: {{one_of: [{branches}], {decay}}}}}\n", file="s.yaml")
    rng = random.Random(0)
    recipes = [spec.space.recipe(sample(spec.space, rng)) for _ in range(30)]
    assert {recipe.optimizer.name for recipe in recipes} == {"sgd", "adam", "adamw"}
    assert all(1e-6 <= float(str(recipe.flat()["optimizer.weight_decay"])) <= 1e-2 for recipe in recipes)
    only = parse_spec(f"{HEAD}space: {{optimizer: {{name: sgd, {decay}}}}}\n", file="s.yaml").space
    assert only.recipe(only.default()).flat()["optimizer.weight_decay"] == 1e-6
    message = refusals("space: {batch_size: 0, optimizer: {name: lbfgs, weight_decay: 0.1}}")
    assert message.endswith("never draws with it; give penalty: {name: l2} in its place")
