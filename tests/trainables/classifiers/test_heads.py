from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from search_spaces.records import Dropout, Head
from trainables.classifiers.heads import DropConnect, VanillaDropout, build_head

FEATURES, CLASSES, DRAWS = 12, 3, 4000


def inputs(count: int = 5) -> torch.Tensor:
    return torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(0))


def dropped(scaling: str, rate: float) -> nn.Module:
    head = build_head(FEATURES, CLASSES, head=Head(), dropout=Dropout(rate=rate, scaling=scaling))  # type: ignore[arg-type]
    return head.get_submodule("dropout")


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_vanilla_and_inverted_dropout_agree_in_expectation(rate: float) -> None:
    """Compare the mean in training with evaluation: the scaled input if vanilla, the input if inverted."""
    torch.manual_seed(0)
    x = inputs(1).expand(DRAWS, -1)
    vanilla, inverted = dropped("vanilla", rate).train(), dropped("inverted", rate).train()
    spread = 4 * x[0].abs() * (rate * (1 - rate) / DRAWS) ** 0.5
    assert torch.all((vanilla(x).mean(0) - x[0] * (1 - rate)).abs() <= spread)
    assert torch.all((inverted(x).mean(0) - x[0]).abs() <= spread / (1 - rate))
    assert torch.equal(vanilla.eval()(x), x * (1 - rate))
    assert torch.equal(inverted.eval()(x), x)


def test_vanilla_dropout_does_not_change_kept_inputs() -> None:
    torch.manual_seed(0)
    x = inputs()
    kept = VanillaDropout(0.5).train()(x)
    assert torch.all((kept == 0) | (kept == x))
    assert (kept == 0).any()


@pytest.mark.parametrize("scaling", ["inverted", "vanilla"])
def test_dropconnect_masks_weights_by_another_mask_for_each_example(scaling: str) -> None:
    torch.manual_seed(0)
    layer = DropConnect(FEATURES, CLASSES, rate=0.5, scaling=scaling).train()
    ones = torch.ones(64, FEATURES)
    with torch.no_grad():
        layer.weight.copy_(2.0 ** torch.arange(FEATURES * CLASSES).reshape(CLASSES, FEATURES).remainder(FEATURES))
        nn.init.zeros_(layer.bias)
        sums = layer(ones) * (1 - layer.rate if scaling == "inverted" else 1)
    assert torch.equal(sums, sums.round()), "each is the sum of the powers of two that are kept"
    masks = [[int(number) for number in row] for row in sums.tolist()]
    assert len({tuple(row) for row in masks}) == 64, "one mask an example"
    assert any(row[0] != row[1] for row in masks), "and one an output: weights are dropped, not inputs"


@pytest.mark.parametrize("scaling", ["inverted", "vanilla"])
def test_dropconnect_evaluates_with_the_mean_of_its_weights(scaling: str) -> None:
    torch.manual_seed(0)
    layer = DropConnect(FEATURES, CLASSES, rate=0.3, scaling=scaling)
    x = inputs(1)
    with torch.no_grad():
        drawn = layer.train()(x.expand(DRAWS, -1))
        evaluated = layer.eval()(x)
        assert torch.equal(evaluated, layer(x))
    assert torch.all((drawn.mean(0) - evaluated[0]).abs() <= 4 * drawn.std(0) / DRAWS**0.5)


@given(
    hidden=st.sampled_from([0, 1, 7]),
    norm=st.sampled_from(["none", "batch"]),
    kind=st.sampled_from(["none", "dropout", "dropconnect"]),
    rate=st.sampled_from([0.0, 0.4]),
    scaling=st.sampled_from(["inverted", "vanilla"]),
)
def test_every_head_gives_logits_and_evaluates_the_same_each_time(
    hidden: int, norm: str, kind: str, rate: float, scaling: str
) -> None:
    dropout = Dropout(kind=kind, rate=rate, scaling=scaling)  # type: ignore[arg-type]
    head = build_head(FEATURES, CLASSES, head=Head(hidden=hidden, norm=norm), dropout=dropout)  # type: ignore[arg-type]
    assert head.train()(inputs()).shape == (5, CLASSES)
    head.eval()
    assert torch.equal(head(inputs()), head(inputs()))


def test_dropout_comes_before_batchnorm_if_there_is_a_hidden_layer() -> None:
    head = build_head(FEATURES, CLASSES, head=Head(hidden=4, norm="batch"), dropout=Dropout(rate=0.5))
    names = [name for name, _ in head.named_children()]
    assert names == ["hidden_dropout", "hidden", "norm", "relu", "dropout", "linear"]
