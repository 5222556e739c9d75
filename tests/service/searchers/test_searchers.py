"""The contract of searchers, over random spaces."""

from __future__ import annotations

import math

import pytest

from search_spaces import Recipe, grid_size, parse_spec
from service.ledgers import TrialState
from service.searchers import Searcher, build_searcher

CONDITIONAL = """
name: c
data: {source: digits}
space:
  freeze_depth: {values: [all, -1, 0]}
  optimizer:
    one_of:
      - {name: adamw, lr: {min: 1.0e-5, max: 1.0e-2, log: true}, betas: {values: [[0.9, 0.999], [0.8, 0.99]]}}
      - {name: sgd, lr: {min: 0.01, max: 0.1}}
      - {name: nesterov, lr: {min: 0.01, max: 0.09, step: 0.02}, momentum: {values: [0.8, 0.9]}}
  batch_size: {min: 8, max: 64, int: true}
  dropout.rate: {min: 0.1, max: 0.5, default: 0.2, when: {freeze_depth: [-1, 0]}}
search: {algorithm: ALGORITHM, seed: 1}
budget: {trials: 60}
"""


def build(algorithm: str) -> Searcher:
    return build_searcher(parse_spec(CONDITIONAL.replace("ALGORITHM", algorithm), file="s.yaml"))


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_conditional_spaces_are_searched_branch_by_branch(algorithm: str) -> None:
    searcher, names, seen = build(algorithm), set(), set()
    for number in range(40):
        proposal = searcher.propose(number)
        assert proposal is not None
        flat = proposal.recipe.flat()
        names.add(flat["optimizer.name"])
        assert flat["dropout.rate"] == 0.0 or flat["freeze_depth"] != 9
        assert proposal.recipe.identity not in seen
        seen.add(proposal.recipe.identity)
        state = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED)[number % 3]
        searcher.tell(number, values=[] if state is TrialState.FAILED else [0.5, math.sin(number)], state=state)
    assert names == {"adamw", "sgd", "nesterov"}


GRID = """
name: g
data: {source: digits}
space:
  freeze_depth: {values: [9, all, -1, 0], default: 0}
  batch_size: {min: 16, max: 18, default: 17}
  optimizer:
    one_of:
      - {name: sgd, lr: {values: [0.01, 0.1]}}
      - {name: adamw, betas: {values: [[0.9, 0.999], [0.8, 0.99]]}, lr: {min: 1.0e-3, max: 3.0e-3, step: 1.0e-3}}
  dropout.rate: {values: [0.1, 0.2], when: {freeze_depth: [-1, 0], optimizer.name: sgd}}
search: {algorithm: grid, seed: 1}
"""


def recipes_of(text: str) -> list[Recipe]:
    """Return the proposals of the file's grid, to the end of its budget or of the grid."""
    spec = parse_spec(text, file="s.yaml")
    searcher = build_searcher(spec)
    recipes = []
    for number in range(spec.budget.trials):
        if (proposal := searcher.propose(number)) is None:
            break
        recipes.append(proposal.recipe)
        searcher.tell(number, values=[0.5], state=TrialState.COMPLETED)
    if len(recipes) == grid_size(spec.space):
        assert searcher.propose(len(recipes)) is None
    assert searcher.exhausted is None
    return recipes


def test_a_grid_is_every_recipe_once_first_the_default_then_in_the_spaces_order() -> None:
    spec, recipes = parse_spec(GRID, file="s.yaml"), recipes_of(GRID)
    assert len(set(recipes)) == len(recipes) == spec.budget.trials == 3 * (3 * 2 * 3 + 2 * (1 + 2 * 2))
    assert all(spec.space.contains(recipe) for recipe in recipes)
    assert recipes[0] == spec.space.recipe(spec.space.default())
    depths = [recipe.freeze_depth for recipe in recipes[1:]]
    assert depths == sorted(depths, reverse=True)
    assert recipes_of(GRID) == recipes


def test_of_a_grid_with_more_recipes_than_trials_the_seed_draws_some() -> None:
    every = recipes_of(GRID)
    some, again, others = (
        recipes_of(f"{GRID.replace('seed: 1', f'seed: {seed}')}budget: {{trials: 20}}\n") for seed in (1, 1, 2)
    )
    assert some == again
    assert set(some) != set(others)
    assert some[0] == others[0] == every[0]
    assert len(set(some)) == 20
    assert set(some) < set(every)
    assert {recipe.freeze_depth for recipe in some} == {recipe.freeze_depth for recipe in every}
    assert set(recipes_of(f"{GRID}budget: {{trials: {len(every) - 1}}}\n")) < set(every)


def test_of_a_grid_too_large_to_run_some_are_tried() -> None:
    text = GRID.replace("max: 18", "max: 4096") + "  \nbudget: {trials: 3}\n"
    text = text.replace("space:", "space:\n  mix.label_smoothing: {min: 0.0, max: 0.999999, step: 1.0e-6}")
    assert len({recipe.batch_size for recipe in recipes_of(text)}) == 3


def test_tpe_may_have_several_trials_open_and_be_told_in_any_order() -> None:
    searcher = build("tpe")
    for number in range(12):
        assert searcher.propose(number) is not None
    for number in reversed(range(12)):
        searcher.tell(number, values=[number / 12], state=TrialState.COMPLETED)
    assert searcher.propose(12) is not None


def test_a_trial_cut_short_before_its_first_epoch_teaches_nothing() -> None:
    searcher = build("tpe")
    assert searcher.propose(0) is not None
    searcher.tell(0, values=[], state=TrialState.CANCELLED)
    assert searcher.propose(1) is not None


POINTS = "[{optimizer: {name: sgd, lr: 0.05}}, {batch_size: 9}, {batch_size: 9}, {}]"


@pytest.mark.parametrize("algorithm", ["random", "tpe", "grid"])
def test_points_run_first_then_the_default_then_what_the_algorithm_draws(algorithm: str) -> None:
    space = CONDITIONAL.partition("space:")[0] + GRID.partition("data: {source: digits}\n")[2].partition("search:")[0]
    text = space if algorithm == "grid" else CONDITIONAL.partition("search:")[0]
    points = "[{freeze_depth: -1, batch_size: 18}, {}, {}]" if algorithm == "grid" else POINTS
    spec = parse_spec(f"{text}search: {{algorithm: {algorithm}, points: {points}}}\nbudget: {{trials: 12}}\n", file="s")
    searcher, without = build_searcher(spec), parse_spec(f"{text}search: {{algorithm: {algorithm}}}\n", file="s")
    proposals = [searcher.propose(number) for number in range(12)]
    recipes = [proposal.recipe for proposal in proposals if proposal is not None]
    first = list(dict.fromkeys(spec.first_points))
    default = spec.space.recipe(spec.space.default())
    expected = list(dict.fromkeys([*first, default]))
    assert recipes[: len(expected)] == expected
    assert len(set(recipes)) == len(recipes) == 12, "no recipe is proposed twice"
    assert build_searcher(without).propose(0).recipe == default


def test_tpe_learns_from_points_as_from_its_own_draws() -> None:
    points = ", ".join(f"{{optimizer: {{name: sgd, lr: {0.01 + 0.01 * number}}}}}" for number in range(9))
    text = CONDITIONAL.replace("algorithm: ALGORITHM", f"algorithm: tpe, points: [{points}]")

    def proposals(best: int) -> list[Recipe]:
        searcher = build_searcher(parse_spec(text, file="s.yaml"))
        for number in range(10):
            searcher.propose(number)
            searcher.tell(number, values=[1.0 - abs(number - best) / 10], state=TrialState.COMPLETED)
        asked = [searcher.propose(number) for number in range(10, 16)]
        return [proposal.recipe for proposal in asked if proposal is not None]

    assert proposals(0) == proposals(0)
    assert proposals(0) != proposals(8)
