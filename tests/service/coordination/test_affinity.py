"""Trials go to nodes that have computed their frozen part, without a ledger."""

from __future__ import annotations

from search_spaces import Recipe
from service.coordination.affinity import Affinity


def recipe(depth: int, rate: float = 0.0) -> Recipe:
    return Recipe.from_flat({"backbone": "torchvision/resnet18", "freeze_depth": depth, "dropout.rate": rate})


def test_while_there_is_one_node_alone_the_first_trial_is_next() -> None:
    affinity = Affinity()
    affinity.add_node("a")
    affinity.begin("a", recipe(4))
    assert not affinity.is_of_use


def test_a_node_prefers_what_it_has_then_what_no_node_has_then_the_first() -> None:
    affinity = Affinity()
    affinity.add_node("a")
    affinity.add_node("b")
    assert affinity.is_of_use
    left = [recipe(4), recipe(4, 0.1), recipe(2), recipe(2, 0.1), recipe(0)]
    assert affinity.choose("a", left) == 0
    affinity.begin("a", left.pop(0))
    assert affinity.choose("b", left) == 1, "no node has computed it"
    affinity.begin("b", left.pop(1))
    assert affinity.choose("a", left) == 0
    affinity.begin("a", left.pop(0))
    assert affinity.choose("b", left) == 0
    affinity.begin("b", left.pop(0))
    assert affinity.choose("a", left) == 0, "nothing is frozen: any node will do, and nobody waits"
    assert affinity.describe() is None
    assert affinity.choose("b", [recipe(4, 0.2), recipe(2, 0.2)]) == 1
    assert (
        affinity.describe() == "1 trial began before their turn on a node that had computed their frozen part already"
    )
    assert affinity.choose("b", [None, None]) == 0
