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
