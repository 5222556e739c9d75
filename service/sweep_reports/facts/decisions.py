"""The decision at the top of a report: which recipe to use, how sure that is, and what to do next."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.confirmations import Decision, Outcome, explain_decision, explain_leads, summarize_decision
from service.confirmations.planning import why_not_confirmable
from service.ledgers import Sweep, SweepState, Trial
from service.reports import Leaderboard
from service.sweep_reports.facts.base import Part, Section, decimals, difference, named, score
from service.sweep_reports.facts.rows import SweepRows
from service.sweep_reports.facts.trials import written_depth

__all__ = [
    "Confirmed",
    "ConfirmedRecipe",
    "Headline",
    "Optimism",
    "read_confirmed",
    "read_headline",
    "read_optimism",
    "summarize_search",
]

_ROUNDING = 1e-6
"""Most by which the optimism of a score may miss its distance to the corrected one, if both are of the same images."""

Standing = Literal["confirmed", "default stands", "no claim", "unconfirmed", "under way", "no result"]


class Headline(Part):
    """The answer of a sweep in words."""

    standing: Standing
    sentence: str
    """The answer in one sentence."""
    details: list[str]
    """Grounds of the answer, and what to do next, a sentence each."""
    trial_id: str | None = None
    """The trial of the search with the recipe to use; null for a default without one."""
    value: float | None = None
    """Its score: on confirmation images if it was confirmed, else the sweep's metric on val images."""
    low: float | None = None
    high: float | None = None
    """95 % interval of a confirmed score."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Every hyperparameter of the recipe to use."""
    written_freeze_depth: str = ""
    """Its freeze depth as a sweep file has it."""
    drawn: tuple[str, ...] = ()
    """The names of the recipe that the sweep drew."""
    model: str | None = None
    """URI of the model that the sweep registered, that of the search's best trial; null before one is registered."""
    model_trial_id: str | None = None
    """The trial whose model that is."""
    kept: str | None = None
    """A sentence if the alias `candidate` stayed with a better model of another sweep."""


class Optimism(Section):
    """How much too good the best score is expected to be."""

    measured: float | None = None
    corrected: float | None = None
    optimism: float | None = None
    images: int | None = None
    alike: int | None = None
    """Number of other trials that the val images do not tell apart from the best."""


class ConfirmedRecipe(Part):
    """A recipe in the confirmation."""

    role: str
    trial_id: str | None
    search_score: float | None = None
    confirm_score: float | None = None
    """Mean on confirmation images over all seeds."""
    retrained_score: float | None = None
    """Mean on val and confirmation images over all seeds."""
    measured_lead: float | None = None
    """Retrained score minus the default's; null for the default."""
    lead: float | None = None
    """Measured lead less the luck of the search's choice; null for the default."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the lead."""
    probability: float | None = None
    """Probability of being better than the default; null if the decision gives none."""
    is_chosen: bool = False


class Confirmed(Section):
    """The confirmation."""

    seeds: int | None = None
    images: int | None = None
    gate: float | None = None
    bounded: bool = True
    """If scores lie in 0..1; else they are negative losses."""
    notes: tuple[str, ...] = ()
    """How to read the scores and leads, a sentence each."""
    recipes: tuple[ConfirmedRecipe, ...] = ()


def read_headline(rows: SweepRows) -> Headline:
    """Return the answer of a sweep."""
    decision = rows.confirmation.decision if rows.confirmation else None
    if decision is not None:
        return _decided(rows, decision)
    best = rows.board.best
    if best is None:
        return _without_result(rows)
    return _unconfirmed(rows, best)


def summarize_search(sweep: Sweep, board: Leaderboard) -> str:
    """Return the answer of a sweep without a decision in one sentence."""
    rows = SweepRows(sweep=sweep, board=board, retrainings=(), epochs={}, attempts={})
    headline = _without_result(rows) if board.best is None else _unconfirmed(rows, board.best)
    answer = headline.sentence
    return f"Unconfirmed: {answer[:1].lower()}{answer[1:]}" if headline.standing == "unconfirmed" else answer


def _decided(rows: SweepRows, decision: Decision) -> Headline:
    assert rows.confirmation is not None, rows.sweep
    chosen = rows.confirmation.chosen
    assert chosen is not None, "a decision chooses a recipe"
    standing: Standing = "default stands"
    if decision.outcome in (Outcome.WINNER, Outcome.NO_CLAIM):
        standing = "confirmed" if decision.outcome is Outcome.WINNER else "no claim"
    _, *details = explain_decision(decision)
    if decision.outcome is Outcome.WINNER:
        details.append(f"to serve its model: meltpoint promote {rows.sweep.id}")
    return Headline(
        standing=standing,
        sentence=_sentence_case(summarize_decision(decision)),
        details=[_sentence_case(text) for text in details],
        trial_id=chosen.trial_id,
        value=decision.score,
        low=decision.low,
        high=decision.high,
        recipe=chosen.recipe,
        written_freeze_depth=_depth(rows, chosen.trial_id),
        drawn=rows.sweep.drawn,
        model=_model(rows),
        kept=(rows.sweep.registered or {}).get("kept"),
        model_trial_id=rows.sweep.best_trial_id,
    )


def _unconfirmed(rows: SweepRows, best: Trial) -> Headline:
    sweep, standing = rows.sweep, rows.board.standing
    under_way = sweep.state.is_under_way
    word = "so far, " if under_way else ""
    value = rows.value(best)
    ranked = len(rows.board.ranked)
    sentence = f"{word}{named(best.id)} is the best of {ranked} ranked trials, with {sweep.metric} {score(value)}"
    equal = sum(rows.value(trial) == value for trial in rows.board.ranked) - 1
    details = []
    if equal:
        others = "Another trial has" if equal == 1 else f"{equal} other trials have"
        details.append(f"{others} the same value: the first of equal ones, by number, counts as the best.")
    if standing is not None and standing.optimism > 0:
        details.append(
            f"It was chosen by these scores, so {score(value)} is likely too good; expect about "
            f"{score(standing.corrected)} on new images."
        )
    if not under_way:
        details.append(f"Nothing confirms it yet. {_way_to_confirm(rows)}")
    return Headline(
        standing="under way" if under_way else "unconfirmed",
        sentence=_sentence_case(sentence),
        details=details,
        trial_id=best.id,
        value=value,
        recipe=best.recipe,
        written_freeze_depth=written_depth(rows, best),
        drawn=sweep.drawn,
        model=_model(rows),
        kept=(rows.sweep.registered or {}).get("kept"),
        model_trial_id=sweep.best_trial_id,
    )


def _way_to_confirm(rows: SweepRows) -> str:
    """Return the command that confirms the sweep, or why there is none."""
    obstacle = why_not_confirmable(rows.sweep, rows.trials, is_remote=False)
    if obstacle is not None:
        return f"It cannot be confirmed now: {obstacle}"
    return f"To retrain the best recipes and the default on fresh seeds: meltpoint confirm {rows.sweep.id}"


def _without_result(rows: SweepRows) -> Headline:
    sweep, board = rows.sweep, rows.board
    if sweep.state.is_under_way:
        return Headline(standing="under way", sentence="No trial has a value yet.", details=[], drawn=sweep.drawn)
    why = board.no_candidate() if board.trials else "no trial was trained"
    details = [f"Failed: {line}." for line in board.failures()[:5]]
    if sweep.error and sweep.state is not SweepState.COMPLETED:
        details.insert(0, f"The sweep ended so: {sweep.error}")
    return Headline(
        standing="no result", sentence=_sentence_case(f"no recipe: {why}"), details=details, drawn=sweep.drawn
    )


def _model(rows: SweepRows) -> str | None:
    registered = rows.sweep.registered
    return None if registered is None else str(registered.get("uri"))


def _depth(rows: SweepRows, trial_id: str | None) -> str:
    trial = next((trial for trial in rows.trials if trial.id == trial_id), None)
    return "" if trial is None else written_depth(rows, trial)


def _sentence_case(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def read_optimism(rows: SweepRows) -> Optimism:
    """Return how much too good the best score is expected to be."""
    standing, best = rows.board.standing, rows.board.best
    if standing is None or best is None:
        why = "It takes two finished recipes, their predictions in the ledger, and a metric that is a mean over images."
        return Optimism(sentence=f"Not known. {why}", is_shown=False)
    return Optimism(
        sentence=". ".join(_sentence_case(line).rstrip(".") for line in _standing_lines(rows)) + ".",
        measured=rows.value(best),
        corrected=decimals(standing.corrected),
        optimism=decimals(standing.optimism),
        images=standing.images,
        alike=len(standing.like_first) - 1,
    )


def _standing_lines(rows: SweepRows) -> list[str]:
    standing = rows.board.standing
    assert standing is not None, rows.sweep
    best = rows.board.best
    assert best is not None, rows.sweep
    excess = f"{standing.optimism:.4f}"
    if abs(abs(rows.value(best) - standing.corrected) - standing.optimism) < _ROUNDING:
        excess = difference(rows.value(best), standing.corrected)
    first = (
        f"the best score is expected to be {excess} too good, about {standing.corrected:.4f}: it was "
        f"chosen among {len(rows.board.ranked)} on the same {standing.images} val images"
    )
    if standing.optimism <= 0:
        first = f"nothing suggests that the best score is too good on these {standing.images} val images"
    others = len(standing.like_first) - 1
    if not others:
        return [first, "these images tell it apart from all others"]
    return [first, f"these images do not tell it apart from {others} other{'s' * (others > 1)}"]


def read_confirmed(rows: SweepRows) -> Confirmed:
    """Return the table of a confirmation."""
    confirmation = rows.confirmation
    if confirmation is None:
        sentence = f"The sweep has no confirmation. {_way_to_confirm(rows)}"
        return Confirmed(sentence=sentence, is_shown=False)
    decision = confirmation.decision
    if decision is None:
        return Confirmed(sentence="The confirmation has no decision yet.", is_shown=False)
    default = ConfirmedRecipe(
        role="default",
        trial_id=confirmation.default.trial_id,
        search_score=decision.default.naive,
        confirm_score=decision.default.confirm_mean,
        retrained_score=decision.default.pooled_mean,
        is_chosen=decision.recipe == decision.default.identity,
    )
    finalists = [
        ConfirmedRecipe(
            role="finalist",
            trial_id=confirmation.contender(finalist.recipe.identity).trial_id,
            search_score=finalist.recipe.naive,
            confirm_score=finalist.recipe.confirm_mean,
            retrained_score=finalist.recipe.pooled_mean,
            measured_lead=finalist.raw,
            lead=finalist.lead,
            low=finalist.low,
            high=finalist.high,
            probability=finalist.probability,
            is_chosen=decision.recipe == finalist.recipe.identity,
        )
        for finalist in decision.finalists
    ]
    return Confirmed(
        sentence=_sentence_case(summarize_decision(decision)),
        seeds=decision.seeds,
        images=decision.confirm_images,
        gate=decision.gate,
        bounded=decision.bounded,
        notes=[_sentence_case(text) for text in explain_leads(decision)],
        recipes=[default, *finalists],
    )
