from __future__ import annotations

import copy

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Recipe
from search_spaces.records import NoAveraging, Polyak, Snapshot
from tests.trainables.training.test_techniques import BASE
from trainables.classifiers import Classifier, build_classifier
from trainables.stores.prepared import PreparedData
from trainables.training.averages import build_averaging, using_weights
from trainables.training.state import read_model
from trainables.training.trainer import Trainer


def classifier() -> Classifier:
    return build_classifier("timm/test_efficientnet", classes=2, weights="random", freeze_depth=7, seed=0)


def stepped(model: Classifier, value: float) -> None:
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.fill_(value)


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=30), decay=st.floats(0, 0.999))
@settings(max_examples=20)
def test_polyaks_average_is_the_stated_one(values: list[float], decay: float) -> None:
    model, averaging = classifier(), build_averaging(Polyak(decay=decay))
    expected = values[0]
    for step, value in enumerate(values):
        stepped(model, value)
        averaging.after_step(model, ends_cycle=False)
        share = min(decay, (1 + step) / (10 + step)) if step else 0.0
        expected = share * expected + (1 - share) * value
    (kept,) = averaging.members()
    assert kept is not None
    np.testing.assert_allclose(kept["head.linear.bias"].numpy(), expected, atol=1e-4)


def test_an_average_lies_within_what_it_averages_and_is_steadier() -> None:
    model, averaging = classifier(), build_averaging(Polyak(decay=0.95))
    noise = torch.randn(300, generator=torch.Generator().manual_seed(0)).tolist()
    kept = []
    for value in noise:
        stepped(model, value)
        averaging.after_step(model, ends_cycle=False)
        (weights,) = averaging.members()
        assert weights is not None
        kept.append(float(weights["head.linear.bias"][0]))
    assert min(noise) <= min(kept) <= max(kept) <= max(noise)
    assert np.std(kept[100:]) < 0.3 * np.std(noise[100:])


def test_snapshots_are_the_weights_at_the_ends_of_cycles_and_the_last() -> None:
    model, averaging = classifier(), build_averaging(Snapshot())
    for value in (1.0, 2.0, 3.0, 4.0):
        stepped(model, value)
        averaging.after_step(model, ends_cycle=value in (1.0, 3.0))
    kept = averaging.members()
    assert [None if weights is None else float(weights["head.linear.bias"][0]) for weights in kept] == [1.0, 3.0, None]


def test_other_weights_are_there_for_a_while_alone() -> None:
    model = classifier()
    before, other = read_model(model), {name: value + 1 for name, value in read_model(model).items()}
    with using_weights(model, other):
        assert torch.equal(read_model(model)["head.linear.bias"], before["head.linear.bias"] + 1)
    assert torch.equal(read_model(model)["head.linear.bias"], before["head.linear.bias"])


def test_without_averaging_the_last_weights_count() -> None:
    assert build_averaging(NoAveraging()).members() == (None,)


def test_an_ensemble_predicts_the_mean_of_its_members(tiny: PreparedData) -> None:
    names = {"averaging.name": "snapshot", "schedule.name": "cosine_restarts", "schedule.cycles": 2}
    trainer = Trainer(tiny, Recipe.from_flat({**BASE, **names, "optimizer.lr": 0.01}), seed=0, epochs=4)
    for _ in range(4):
        result = trainer.run_epoch()
    members = []
    for weights in trainer.averaging.members():
        alone = copy.copy(trainer)
        alone.averaging = build_averaging(NoAveraging())
        with using_weights(trainer.model, weights):
            members.append(alone.evaluate("val").probabilities)
    assert len(members) == 2
    assert not np.allclose(members[0], members[1])
    np.testing.assert_allclose(result.val.probabilities, np.mean(members, axis=0), atol=1e-12)
