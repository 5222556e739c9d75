"""Sweeps that start from earlier sweeps: what is taken over, what is frozen, and whether it helped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from search_spaces import MeltpointError, Recipe, SpecError, SweepSpec, parse_spec
from service.coordination import new_sweep
from service.coordination.replays import replay
from service.ledgers import Ending, EpochRow, Ledger, Sweep, Trial, TrialState
from service.plans import flat_settings
from service.searchers import build_searcher
from service.warm_starts import Prior, fit_earlier, read_earlier, read_outcome

HEAD = """
name: cells
data: {source: digits, image_size: 16}
space:
  freeze_depth: {values: [all, -1, 0]}
  batch_size: {min: 8, max: 64, int: true}
  optimizer:
    one_of:
      - {name: adamw, lr: {min: 1.0e-5, max: 1.0e-2, log: true}, betas: {values: [[0.9, 0.999], [0.8, 0.99]]}}
      - {name: sgd, lr: {min: 0.01, max: 0.1}}
budget: {trials: TRIALS, epochs: 2}
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ticks = iter(range(1_000_000))
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=lambda: next(ticks))) as opened:
        yield opened


def spec_of(search: str = "", *, trials: int = 12, head: str = HEAD, algorithm: str = "random") -> SweepSpec:
    text = head.replace("TRIALS", str(trials))
    return parse_spec(f"{text}search: {{algorithm: {algorithm}{search}}}\n", file="sweep.yaml")


def value_of(recipe: Recipe) -> float:
    """Return an accuracy that small batches and few frozen stages raise."""
    return 1 - recipe.batch_size / 100 - recipe.freeze_depth / 100


def run(ledger: Ledger, spec: SweepSpec, *, warm_start: dict[str, Any] | None = None) -> Sweep:
    """Run a sweep without training; every trial is as good as `value_of` says."""
    settings = flat_settings(spec)
    sweep = new_sweep(spec, ledger, data={"digest": "d"}, settings=settings, warm_start=warm_start)
    searcher = build_searcher(spec, warm_start=warm_start)
    for number in range(spec.budget.trials):
        proposal = searcher.propose(number)
        assert proposal is not None
        recipe, value = proposal.recipe, value_of(proposal.recipe)
        trial = ledger.trials.create(
            sweep.id,
            number=number,
            point=dict(proposal.point),
            recipe=recipe.flat(),
            identity=recipe.identity,
            seed=0,
            started=True,
        )
        rows = [
            EpochRow(epoch=e, seconds=1.0, recorded_at=e, readings={"val": {"accuracy": v, "loss": 1 - v}})
            for e, v in enumerate((value - 0.1, value), start=1)
        ]
        ending = Ending(state=TrialState.COMPLETED)
        metric, goal = sweep.metric, sweep.goal
        ledger.trials.record_epochs(trial.id, attempt=1, rows=rows, metric=metric, goal=goal, ending=ending)
        searcher.tell(number, values=[value - 0.1, value], state=TrialState.COMPLETED)
    return ledger.sweeps.get(sweep.id)


def fit(ledger: Ledger, spec: SweepSpec, *, digest: str | None = "d") -> dict[str, Any]:
    earlier = read_earlier(ledger, spec)
    assert earlier is not None
    fitted: dict[str, Any] = json.loads(json.dumps(fit_earlier(earlier, spec, digest=digest)))
    return fitted


def ranked(ledger: Ledger, sweep: Sweep) -> list[Trial]:
    return sorted(ledger.trials.list(sweep.id), key=lambda trial: (-(trial.best_value or 0), trial.number))


def test_the_best_earlier_recipes_run_right_after_the_default_each_once(ledger: Ledger) -> None:
    first = run(ledger, spec_of())
    spec = spec_of(f", seed: 1, from: [last, {first.id}]")
    second = run(ledger, spec, warm_start=fit(ledger, spec))
    best = [trial.identity for trial in ranked(ledger, first) if trial.number > 0][:3]
    trials = ledger.trials.list(second.id)
    assert trials[0].identity == spec.space.recipe(spec.space.default()).identity
    assert [trial.identity for trial in trials[1:4]] == best
    assert len({trial.identity for trial in trials}) == 12


@pytest.mark.parametrize(("trials", "enqueued"), [(1, 0), (2, 1), (5, 2), (8, 3), (60, 6)])
def test_a_tenth_of_the_trials_and_at_most_half_are_earlier_recipes(ledger: Ledger, trials: int, enqueued: int) -> None:
    run(ledger, spec_of(trials=30))
    warm = fit(ledger, spec_of(", from: [last]", trials=trials))
    assert len(Prior.from_json(warm).first) == enqueued


@pytest.mark.parametrize(("digest", "epochs", "results"), [("d", 2, 12), ("other", 2, 0), ("d", 4, 0), (None, 2, 0)])
def test_results_are_told_only_on_the_same_images_and_epochs(
    ledger: Ledger, digest: str | None, epochs: int, results: int
) -> None:
    run(ledger, spec_of())
    spec = spec_of(", from: [last]", head=HEAD.replace("epochs: 2", f"epochs: {epochs}"))
    warm = fit(ledger, spec, digest=digest)
    assert (warm["results"], len(Prior.from_json(warm).results), len(Prior.from_json(warm).first)) == (
        results,
        results,
        3,
    )


def test_tpe_knows_earlier_results_and_goes_where_they_were_good(ledger: Ledger) -> None:
    run(ledger, spec_of(trials=40))
    spec = spec_of(", from: [last], seed: 3", algorithm="tpe")
    informed = run(ledger, spec, warm_start=fit(ledger, spec))
    cold = run(ledger, spec_of(", seed: 3", algorithm="tpe"))
    means = [
        sum(value_of(Recipe.from_flat(trial.recipe)) for trial in ledger.trials.list(sweep.id)[4:]) / 8
        for sweep in (informed, cold)
    ]
    assert means[0] > means[1]


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_a_replay_needs_only_the_sweeps_own_row(ledger: Ledger, algorithm: str) -> None:
    first = run(ledger, spec_of(trials=20))
    spec = spec_of(", from: [last]", algorithm=algorithm)
    second = run(ledger, spec, warm_start=fit(ledger, spec))
    ledger.sweeps.cancel(first.id)
    ledger.sweeps.delete(first.id)
    searcher = build_searcher(spec, warm_start=ledger.sweeps.get(second.id).warm_start)
    replay(ledger.history(second.id), searcher, metric=second.metric, milestones=frozenset())


def test_an_earlier_sweep_may_have_had_another_metric(ledger: Ledger) -> None:
    run(ledger, spec_of(head=HEAD + "metric: {name: val/loss}\n"))
    warm = fit(ledger, spec_of(", from: [last]"))
    assert warm["earlier_best"] == max(past.value for past in Prior.from_json(warm).results)


def test_recipes_of_another_space_count_as_far_as_they_fit(ledger: Ledger) -> None:
    run(ledger, spec_of(trials=30))
    results = Prior.from_json(fit(ledger, spec_of(", from: [last]", head=HEAD.replace("max: 64", "max: 40")))).results
    assert 0 < len(results) < 30
    assert all(isinstance(past.point["batch_size"], int) and past.point["batch_size"] <= 40 for past in results)


def test_a_sweep_that_cannot_be_started_from_is_refused(ledger: Ledger) -> None:
    with pytest.raises(SpecError, match=r"search.from\[0\]: no sweeps yet"):
        read_earlier(ledger, spec_of(", from: [last]"))
    empty = new_sweep(spec_of(), ledger, data={}, settings={})
    with pytest.raises(SpecError, match=rf"search.from\[0\]: {empty.id} is validating and has no finished trial yet"):
        read_earlier(ledger, spec_of(", from: [last]"))
    first = run(ledger, spec_of())
    with pytest.raises(SpecError) as caught:
        read_earlier(ledger, spec_of(f", from: [nothing, {first.id}, {empty.id}]"))
    assert [problem.path for problem in caught.value.problems] == ["search.from[0]", "search.from[2]"]
    own = HEAD + "metric: {name: 'mine:cost', goal: minimize}\n"
    with pytest.raises(SpecError, match="has 12 finished trials, none with a value of val/mine:cost"):
        read_earlier(ledger, spec_of(f", from: [{first.id}]", head=own))
    elsewhere = HEAD.replace("freeze_depth: {values: [all, -1, 0]}", "freeze_depth: {values: [-2, -3]}")
    with pytest.raises(MeltpointError, match=rf"no recipe of {first.id} lies in this space: .* has freeze_depth \d"):
        fit(ledger, spec_of(f", from: [{first.id}]", head=elsewhere))


def test_a_user_starts_only_from_sweeps_that_they_see(ledger: Ledger) -> None:
    first = run(ledger, spec_of())
    with pytest.raises(SpecError, match=r"search.from\[0\]: no sweep"):
        read_earlier(ledger, spec_of(f", from: [{first.id}]"), visible_to="ada")


def test_the_end_says_whether_earlier_recipes_helped(ledger: Ledger) -> None:
    first = run(ledger, spec_of())
    spec = spec_of(f", seed: 5, from: [{first.id}]", trials=6)
    second = run(ledger, spec, warm_start=fit(ledger, spec))
    outcome = read_outcome(second, ranked(ledger, second))
    assert outcome is not None
    best, other = outcome.best_enqueued, outcome.best_other
    assert best is not None
    assert other is not None
    assert (outcome.sweeps, outcome.enqueued, outcome.results) == ((first.id,), 2, 12)
    assert outcome.helped is (best[1] > other[1])
    assert outcome.earlier_best == ranked(ledger, first)[0].best_value
    assert outcome.reached_after in (1, 2)
    assert outcome.lines()[0] == (
        f"warm start from {first.id}: 2 earlier recipes ran first, and the searcher knew 12 earlier results"
    )
    assert outcome.as_json()["best_enqueued"] == {"trial_id": best[0], "value": best[1]}
    assert read_outcome(first, ranked(ledger, first)) is None
