"""Earlier recipes in a new space: the points that run first, and the results that the searcher is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from search_spaces import Choice, Fixed, MeltpointError, Point, Recipe, SpecError, SweepSpec
from service.ledgers import Json, TrialState
from service.warm_starts.prior import PastTrial, Prior

__all__ = ["count_fitting", "fit_earlier"]

FEWEST_FIRST: Final = 3


def _most_first(trials: int) -> int:
    """Return how many earlier recipes run first: 3, or a tenth of the trials if that is more; at most half of them."""
    return min(max(FEWEST_FIRST, trials // 10), max(1, (trials - 1) // 2)) if trials > 1 else 0


def fit_earlier(earlier: Mapping[str, Any], spec: SweepSpec, *, digest: str | None) -> Json:
    """Return what a sweep's row keeps of its earlier sweeps, ready for its searcher.

    The best recipes of each sweep in turn, as far as they lie in the space, run first, each once (Feurer,
    Springenberg & Hutter, "Initializing Bayesian Hyperparameter Optimization via Meta-Learning", AAAI 2015). Results
    are told to the searcher only from sweeps with the same images and splits and as many planned epochs: values on
    other data are not on the same scale (Bardenet et al., "Collaborative Hyperparameter Tuning", ICML 2013), and a TPE
    that ranks both together would take the easier data for the better recipe.

    earlier: from `read_earlier`. digest: of the new sweep's images; None if it is not known yet, nothing is told then.

    Raises:
        MeltpointError: no earlier recipe lies in the space.
    """
    default = spec.space.recipe(spec.space.default()).anchored(spec.folder)
    fitting = {source["sweep_id"]: list(_fit(source["trials"], spec)) for source in earlier["sources"]}
    if not any(fitting.values()):
        raise MeltpointError(
            f"search.from: no recipe of {_names(earlier)} lies in this space: {_obstacle(earlier, spec)}"
        )
    results = [
        _past_trial(past, point)
        for source in earlier["sources"]
        if digest is not None and source["digest"] == digest and source["planned_epochs"] == spec.budget.epochs
        for past, point, _ in fitting[source["sweep_id"]]
    ]
    first: dict[str, tuple[Json, Point]] = {}
    for past, point, identity in _in_turn(list(fitting.values())):
        if identity != default.identity and past["keeps_limits"]:
            first.setdefault(identity, (past, point))
    chosen = list(first.items())[: _most_first(spec.budget.trials)]
    prior = Prior(first=tuple(point for _, (_, point) in chosen), results=tuple(results))
    return {
        "sources": [
            {name: source[name] for name in ("sweep_id", "name")} | {"trials": len(source["trials"])}
            for source in earlier["sources"]
        ],
        "enqueued": [
            {"trial_id": past["trial_id"], "identity": identity, "value": past["value"]}
            for identity, (past, _) in chosen
        ],
        "results": len(results),
        "earlier_best": _best(results, spec),
        "prior": prior.as_json(),
    }


def count_fitting(source: Mapping[str, Any], spec: SweepSpec) -> int:
    """Return how many trials of an earlier sweep have a recipe that lies in the space; source: from `read_earlier`."""
    return sum(1 for _ in _fit(source["trials"], spec))


def _best(results: Sequence[PastTrial], spec: SweepSpec) -> float | None:
    """Return the best earlier value of a trial that keeps all limits; None if there is none."""
    values = [past.value for past in results if past.keeps_limits]
    return spec.metric.goal.best(values) if values else None


def _fit(trials: Sequence[Json], spec: SweepSpec) -> Iterator[tuple[Json, Point, str]]:
    """Yield the trials whose recipes lie in the space, each with its point and the recipe's identity."""
    for past in trials:
        try:
            recipe = _unanchored(Recipe.from_flat(past["recipe"]), spec)
        except SpecError:  # of a version that had other names
            continue
        point = spec.space.find_point(recipe)
        if point is not None:
            yield past, point, recipe.anchored(spec.folder).identity


def _past_trial(past: Json, point: Point) -> PastTrial:
    return PastTrial(
        point=point,
        value=past["value"],
        last=past["last"],
        epochs=past["epochs"],
        state=TrialState(past["state"]),
        keeps_limits=past["keeps_limits"],
    )


def _in_turn(ranked: Sequence[Sequence[tuple[Json, Point, str]]]) -> Iterator[tuple[Json, Point, str]]:
    """Yield the first of each list, then the second of each, and so on."""
    for row in zip_longest(*ranked):
        yield from (entry for entry in row if entry is not None)


def _unanchored(recipe: Recipe, spec: SweepSpec) -> Recipe:
    """Return the recipe with the path of its weights file as the space writes it."""
    for entry in spec.space.entries:
        if entry.name == "weights" and isinstance(entry.domain, Fixed | Choice):
            values = (entry.domain.value,) if isinstance(entry.domain, Fixed) else entry.domain.values
            for value in values:
                if str(spec.folder / Path(str(value))) == recipe.weights:
                    return recipe.model_copy(update={"weights": str(value)})
    return recipe


def _names(earlier: Mapping[str, Any]) -> str:
    return ", ".join(source["sweep_id"] for source in earlier["sources"])


def _obstacle(earlier: Mapping[str, Any], spec: SweepSpec) -> str:
    """Return the names for which the first sweep's best recipe has values that the space lacks."""
    best = earlier["sources"][0]["trials"][0]
    try:
        flat = Recipe.from_flat(best["recipe"]).flat()
    except SpecError:
        return f"{best['trial_id']} has names that this version does not know"
    usual = spec.space.recipe(spec.space.default()).flat()
    drawn = {entry.name for entry in spec.space.entries if entry.domain.size != 1}
    outside = [f"{name} {value}" for name, value in flat.items() if name not in drawn and usual.get(name) != value]
    outside += [
        f"{name} {flat[name]}"
        for name in sorted(str(name) for name in drawn if name in flat)
        if not spec.space.offers(name, flat)
    ]
    if not outside:
        return f"{best['trial_id']}, its best, has a combination of values that the space does not draw"
    return f"{best['trial_id']}, its best, has {', '.join(outside[:4])}{', ...' * (len(outside) > 4)}"
