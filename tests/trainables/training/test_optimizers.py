from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from search_spaces.recipes import Recipe
from search_spaces.records import Adagrad, Adam, Adamw, Lbfgs, Lion, Momentum, Record, Rmsprop, Sgd
from trainables.training.optimizers import OPTIMIZERS, build_optimizer

LR, STEPS = 0.01, 40

Slope = Callable[[float], float]
"""The gradient at x; asked once a step, since it may be noisy."""


def sgd(x: float, gradient: Slope) -> Iterator[float]:
    while True:
        x -= LR * gradient(x)
        yield x


def momentum(x: float, gradient: Slope) -> Iterator[float]:
    velocity = 0.0
    while True:
        velocity = 0.8 * velocity + gradient(x)
        x -= LR * velocity
        yield x


def nesterov(x: float, gradient: Slope) -> Iterator[float]:
    velocity = 0.0
    while True:
        slope = gradient(x)
        velocity = 0.8 * velocity + slope
        x -= LR * (slope + 0.8 * velocity)
        yield x


def adagrad(x: float, gradient: Slope) -> Iterator[float]:
    squares = 0.0
    while True:
        slope = gradient(x)
        squares += slope**2
        x -= LR * slope / (math.sqrt(squares) + 1e-3)
        yield x


def rmsprop(x: float, gradient: Slope) -> Iterator[float]:
    squares = 0.0
    while True:
        slope = gradient(x)
        squares = 0.7 * squares + 0.3 * slope**2
        x -= LR * slope / (math.sqrt(squares) + 1e-3)
        yield x


def adam(x: float, gradient: Slope, decay: float = 0.0) -> Iterator[float]:
    first, second, step = 0.0, 0.0, 0
    while True:
        step += 1
        slope = gradient(x)
        first = 0.8 * first + 0.2 * slope
        second = 0.95 * second + 0.05 * slope**2
        x -= LR * decay * x
        x -= LR * (first / (1 - 0.8**step)) / (math.sqrt(second / (1 - 0.95**step)) + 1e-3)
        yield x


def adamw(x: float, gradient: Slope) -> Iterator[float]:
    return adam(x, gradient, decay=0.3)


def lion(x: float, gradient: Slope) -> Iterator[float]:
    average = 0.0
    while True:
        slope = gradient(x)
        x -= LR * 0.3 * x
        x -= LR * math.copysign(1.0, 0.8 * average + 0.2 * slope)
        average = 0.95 * average + 0.05 * slope
        yield x


SETTINGS: dict[str, dict[str, object]] = {
    "sgd": {},
    "momentum": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8},
    "adagrad": {"eps": 1e-3},
    "rmsprop": {"alpha": 0.7, "eps": 1e-3},
    "adam": {"betas": [0.8, 0.95], "eps": 1e-3},
    "adamw": {"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.3},
    "lion": {"betas": [0.8, 0.95], "weight_decay": 0.3},
}
TEXTBOOK = [sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, lion]
COUPLED = [rule for rule in TEXTBOOK if "weight_decay" not in SETTINGS[rule.__name__]]
PICTURES = {
    "ravine": ([1.0, 1.0], [50.0, 1.0], 0.0),
    "saddle": ([1.0, 0.01], [1.0, -1.0], 0.0),
    "noisy bowl": ([2.0, -1.0], [1.0, 3.0], 1.0),
}
"""The lecture's: where they start, the curvature of each coordinate, the standard deviation of the gradients' noise."""


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("textbook", TEXTBOOK, ids=lambda rule: rule.__name__)
def test_each_step_is_the_textbooks(textbook: Callable[[float, Slope], Iterator[float]], picture: str) -> None:
    """Compare with the textbooks' rules, coordinate by coordinate."""
    name = textbook.__name__
    settings = {f"optimizer.{key}": value for key, value in SETTINGS[name].items()}
    recipe = Recipe.from_flat({"optimizer.name": name, "optimizer.lr": LR, **settings})
    start, curvatures, deviation = PICTURES[picture]
    generator = torch.Generator().manual_seed(0)
    noise = deviation * torch.randn(STEPS, len(start), generator=generator, dtype=torch.float64)

    def slope(coordinate: int) -> Slope:
        drawn = iter(noise[:, coordinate].tolist())
        return lambda x: curvatures[coordinate] * x + next(drawn)

    expected = [textbook(x, slope(coordinate)) for coordinate, x in enumerate(start)]
    x = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = build_optimizer(recipe.optimizer, [x])
    for step in range(STEPS):
        x.grad = torch.tensor(curvatures, dtype=torch.float64) * x.detach() + noise[step]
        optimizer.step()
        assert x.tolist() == pytest.approx([next(values) for values in expected], rel=1e-9, abs=1e-12), step


@pytest.mark.parametrize("textbook", COUPLED, ids=lambda rule: rule.__name__)
def test_a_coupled_weight_decay_is_added_to_the_gradient(textbook: Callable[[float, Slope], Iterator[float]]) -> None:
    """Compare with the textbook's rule on the gradient of the loss plus decay / 2 x^2, and with torch's own class."""
    name, decay, curvature = textbook.__name__, 0.3, 2.0
    settings = {f"optimizer.{key}": value for key, value in SETTINGS[name].items()}
    recipe = Recipe.from_flat({"optimizer.name": name, "optimizer.lr": LR, "optimizer.weight_decay": decay, **settings})
    expected = textbook(1.0, lambda x: (curvature + decay) * x)
    x = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = build_optimizer(recipe.optimizer, [x])
    for _ in range(STEPS):
        x.grad = curvature * x.detach()
        optimizer.step()
        assert x.item() == pytest.approx(next(expected), rel=1e-9, abs=1e-12)


def test_every_optimizer_of_the_vocabulary_is_built_and_descends() -> None:
    assert OPTIMIZERS.keys() == {*SETTINGS, "lbfgs"}
    for name in OPTIMIZERS:
        batch = {"batch_size": 0} if name == "lbfgs" else {}
        record = Recipe.from_flat({"optimizer.name": name, **batch}).optimizer
        path = descended(record, lambda x: (x**2).sum(), [2.0], 20)
        assert abs(path[-1][0]) < 2.0, name


def descended(
    record: Record, loss: Callable[[torch.Tensor], torch.Tensor], start: list[float], steps: int, noise: float = 0.0
) -> list[list[float]]:
    """Return the points that the optimizer visits; noise: standard deviation of the noise added to each gradient."""
    generator = torch.Generator().manual_seed(0)
    x = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = build_optimizer(record, [x])

    def closure() -> float:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        if noise:
            assert x.grad is not None
            x.grad += noise * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        return value.item()

    path = [x.tolist()]
    for _ in range(steps):
        if isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        path.append(x.tolist())
    return path


def ravine(x: torch.Tensor) -> torch.Tensor:
    """Return the height in the lecture's first picture: steep across, shallow along."""
    return (50 * x[0] ** 2 + x[1] ** 2) / 2


def saddle(x: torch.Tensor) -> torch.Tensor:
    return (x[0] ** 2 - x[1] ** 2) / 2


def turns(path: list[list[float]]) -> int:
    """Return how often the steep coordinate changes its sign."""
    return sum(before[0] * after[0] < 0 for before, after in itertools.pairwise(path))


def test_sgd_zigzags_in_a_ravine_and_crawls_along_it() -> None:
    path = descended(Sgd(lr=0.038), ravine, [1.0, 1.0], 30)
    assert turns(path) == 30
    for number, (steep, shallow) in enumerate(path):
        assert steep == pytest.approx((1 - 0.038 * 50) ** number, rel=1e-9)
        assert shallow == pytest.approx((1 - 0.038) ** number, rel=1e-9)


def test_momentum_gets_further_along_a_ravine_than_sgd() -> None:
    plain = descended(Sgd(lr=0.02), ravine, [1.0, 1.0], 60)[-1]
    heavy = descended(Momentum(lr=0.02, momentum=0.9), ravine, [1.0, 1.0], 60)[-1]
    assert abs(heavy[1]) < 0.5 * abs(plain[1])


def test_a_saddle_holds_sgd_and_adaptive_steps_leave_it() -> None:
    """Start beside the ridge: SGD's steps shrink with the gradient, those of adaptive methods do not."""
    start = [1.0, 1e-6]
    plain = descended(Sgd(lr=0.05), saddle, start, 60)[-1]
    assert plain[1] == pytest.approx(1e-6 * 1.05**60, rel=1e-9)
    assert abs(plain[1]) < 1e-4
    for record in (Rmsprop(lr=0.05), Adam(lr=0.05), Lion(lr=0.05)):
        assert abs(descended(record, saddle, start, 60)[-1][1]) > 1.0, record


def test_noise_is_averaged_out_by_a_heavy_ball_and_shrunk_by_a_smaller_rate() -> None:
    def spread(record: Record) -> float:
        path = descended(record, lambda x: (x**2).sum() / 2, [0.0] * 200, 300, noise=1.0)
        return statistics.pstdev(itertools.chain.from_iterable(path[150:]))

    # The variance of x -= lr (x + noise) is lr / (2 - lr).
    assert spread(Sgd(lr=0.2)) == pytest.approx(math.sqrt(0.2 / 1.8), rel=0.1)
    assert spread(Sgd(lr=0.02)) < 0.4 * spread(Sgd(lr=0.2))
    assert spread(Momentum(lr=0.02, momentum=0.9)) == pytest.approx(spread(Sgd(lr=0.2)), rel=0.25)


def test_adagrads_steps_shrink_and_rmsprops_do_not() -> None:
    """Descend a constant slope, on which the textbook's steps are lr / sqrt(t) and lr."""

    def steps(record: Record) -> list[float]:
        path = [point[0] for point in descended(record, lambda x: -x.sum(), [0.0], 400)]
        return [after - before for before, after in itertools.pairwise(path)]

    shrinking, steady = steps(Adagrad(lr=0.1)), steps(Rmsprop(lr=0.1, alpha=0.9))
    assert shrinking == pytest.approx([0.1 / math.sqrt(t) for t in range(1, 401)], rel=1e-6)
    assert steady[100:] == pytest.approx([0.1] * 300, rel=1e-3)


def test_lbfgs_finds_the_bottom_of_a_ravine_in_one_call() -> None:
    path = descended(Lbfgs(max_evals=30), ravine, [1.0, 1.0], 1)
    assert path[-1] == pytest.approx([0.0, 0.0], abs=1e-5)


def test_adamws_decay_does_not_go_through_its_averages_and_an_l2_penalty_does() -> None:
    """Train without a slope, so that only decay moves a weight: by its share, or as far as any gradient would."""
    decayed = descended(Adamw(lr=0.01, weight_decay=0.5), lambda x: 0 * x.sum(), [1.0], 10)[-1][0]
    penalised = descended(Adam(lr=0.01), lambda x: 0.25 * (x**2).sum(), [1.0], 10)[-1][0]
    assert decayed == pytest.approx((1 - 0.01 * 0.5) ** 10, rel=1e-9)
    assert penalised == pytest.approx(1 - 10 * 0.01, abs=2e-3)
