"""Searchers keep their contract, whatever the space."""

from __future__ import annotations

import math

import pytest

from search_spaces import parse_spec
from service.searchers import Searcher, build_searcher
from service.states import TrialState

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
