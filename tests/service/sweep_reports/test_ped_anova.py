"""Our PED-ANOVA gives the numbers of Optuna's."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator

from service.sweep_reports.statistics import GridParameter, grid_indices, is_best, measure_importance

DISTRIBUTIONS: Mapping[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "drop": FloatDistribution(0.0, 0.5),
    "step": FloatDistribution(0.0, 1.0, step=0.25),
    "size": IntDistribution(8, 64, log=True),
    "depth": IntDistribution(0, 7),
    "policy": CategoricalDistribution(["none", "flip", "lecture7"]),
}


def drawn_trials(count: int, seed: int) -> list[optuna.trial.FrozenTrial]:
    """Trials with values by rate and policy; half of them lack the dropout."""
    rng = random.Random(seed)
    trials = []
    for _ in range(count):
        rate = math.exp(rng.uniform(math.log(1e-5), math.log(1e-1)))
        params: dict[str, object] = {
            "rate": rate,
            "step": rng.randint(0, 4) * 0.25,
            "size": rng.randint(8, 64),
            "depth": rng.randint(0, 7),
            "policy": rng.choice(["none", "flip", "lecture7"]),
        }
        if rng.random() < 0.5:
            params["drop"] = rng.uniform(0, 0.5)
        value = -abs(math.log10(rate) + 3) + (params["policy"] == "flip") + rng.gauss(0, 0.3)
        distributions = {name: DISTRIBUTIONS[name] for name in params}
        trials.append(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    return trials


def our_grid(name: str, trials: list[optuna.trial.FrozenTrial]) -> GridParameter:
    distribution = DISTRIBUTIONS[name]
    having = [index for index, trial in enumerate(trials) if name in trial.params]
    indices = np.full(len(trials), -1, dtype=np.int64)
    if isinstance(distribution, CategoricalDistribution):
        indices[having] = [distribution.choices.index(trials[index].params[name]) for index in having]
        return GridParameter(len(distribution.choices), indices, is_number=False)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    values = np.array([trials[index].params[name] for index in having], dtype=float)
    size, indices[having] = grid_indices(
        np.log(values) if distribution.log else values,
        low=distribution.low,
        high=distribution.high,
        step=distribution.step,
        is_log=distribution.log,
        is_integer=isinstance(distribution, IntDistribution),
    )
    return GridParameter(size, indices, is_number=True)


@pytest.mark.parametrize("count", [20, 100, 400])
@pytest.mark.parametrize("quantile", [0.1, 0.25])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_importances_are_those_of_optuna(count: int, quantile: float) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials = drawn_trials(count, seed=count)
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    theirs = PedAnovaImportanceEvaluator(target_quantile=quantile).evaluate(study)
    losses = np.array([-trial.value for trial in trials if trial.value is not None])
    names = list(theirs)
    ours = measure_importance([our_grid(name, trials) for name in names], is_best(losses, quantile))
    np.testing.assert_allclose(ours, [theirs[name] for name in names], rtol=1e-6, atol=1e-12)
