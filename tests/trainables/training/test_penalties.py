from __future__ import annotations

import torch
from sklearn.linear_model import ElasticNet
from torch import nn

from search_spaces.records import L1, L2, Elastic, NoPenalty, Record
from trainables.training.penalties import build_penalty

EXAMPLES, INPUTS, RELEVANT = 200, 20, 4


def fitted(record: Record, steps: int = 3000, lr: float = 0.02) -> torch.Tensor:
    """Fit a linear regression on inputs of which few matter, by gradient descent on the penalised loss."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(EXAMPLES, INPUTS, generator=generator)
    truth = torch.zeros(INPUTS)
    truth[:RELEVANT] = torch.tensor([2.0, -1.5, 1.0, 0.5])
    targets = inputs @ truth + 0.1 * torch.randn(EXAMPLES, generator=generator)
    layer = nn.Linear(INPUTS, 1, bias=False)
    nn.init.zeros_(layer.weight)
    penalty = build_penalty(record, layer.parameters())
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
        optimizer.zero_grad()
        ((layer(inputs)[:, 0] - targets) ** 2).mean().backward()
        if penalty is not None:
            penalty.add_gradients()
        optimizer.step()
    return layer.weight.detach()[0]


def test_l1_makes_what_does_not_matter_zero_and_elastic_lies_between() -> None:
    plain, lasso = fitted(NoPenalty()), fitted(L1(l1=0.2))
    ridge, elastic = fitted(L2(l2=0.2)), fitted(Elastic(l1=0.1, l2=0.1))
    irrelevant = slice(RELEVANT, None)
    sizes = [weights[irrelevant].abs().mean() for weights in (lasso, elastic, ridge)]
    assert sizes[0] < 1e-3
    assert sizes[0] < sizes[1] < sizes[2]
    assert ridge.norm() < plain.norm()
    assert ridge[irrelevant].abs().min() > 1e-5, "L2 makes weights small, and none of them zero"
    assert torch.all(lasso[:RELEVANT].abs() > 0.3)


def test_the_minimum_is_scikit_learns() -> None:
    """Compare with scikit-learn, whose loss is half: alpha l1_ratio = l1 / 2, alpha (1 - l1_ratio) / 2 = l2 / 2."""
    l1, l2 = 0.2, 0.1
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(EXAMPLES, INPUTS, generator=generator)
    truth = torch.zeros(INPUTS)
    truth[:RELEVANT] = torch.tensor([2.0, -1.5, 1.0, 0.5])
    targets = inputs @ truth + 0.1 * torch.randn(EXAMPLES, generator=generator)
    alpha = l1 / 2 + l2
    known = ElasticNet(alpha=alpha, l1_ratio=l1 / 2 / alpha, fit_intercept=False, tol=1e-8).fit(inputs, targets)
    actual = fitted(Elastic(l1=l1, l2=l2))
    torch.testing.assert_close(actual, torch.tensor(known.coef_, dtype=torch.float32), atol=2e-3, rtol=0)


def test_the_gradient_is_that_of_the_value() -> None:
    layer = nn.Linear(6, 3)
    penalty = build_penalty(Elastic(l1=0.3, l2=0.7), layer.parameters())
    assert penalty is not None
    layer.weight.grad = torch.zeros_like(layer.weight)
    penalty.add_gradients()
    weight = layer.weight.detach().clone().requires_grad_()
    value = 0.3 * weight.abs().sum() + 0.7 * weight.square().sum()
    value.backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad)
    torch.testing.assert_close(penalty.value(), value.detach())


def test_biases_and_norms_are_exempt() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    penalty = build_penalty(L2(), layers.parameters())
    assert penalty is not None
    assert [id(weight) for weight in penalty.weights] == [id(layers[0].weight), id(layers[3].weight)]
