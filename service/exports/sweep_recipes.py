"""The recipe file of a sweep: of its confirmed winner, else of its best trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from search_spaces import BACKBONES, DataSpec, Metric, Recipe, SpecError
from search_spaces.documents import expand_user, read_document
from search_spaces.extensions import is_own
from search_spaces.spaces import write_point
from service.errors import UsageError
from service.exports.choices import RecipeChoice, training_policy
from service.exports.recipe_files import (
    BackboneUsed,
    ChosenBy,
    DataUsed,
    ExpectedScore,
    RecipeFile,
    Shares,
    SplitUsed,
)
from service.ledgers import Json, Sweep, TrialState
from service.reports import Leaderboard

if TYPE_CHECKING:
    from service.ledgers import Ledger

__all__ = ["make_recipe_file"]

NO_CLAIM = "0"


def make_recipe_file(ledger: Ledger, sweep: Sweep, *, with_places: bool) -> RecipeFile:
    """Return the recipe file of a sweep that has ended or rests.

    with_places: name files and folders of this machine in full; otherwise as the sweep file does.

    Raises:
        UsageError: the sweep is under way, or none of its trials has finished with a score.
    """
    if sweep.state.is_under_way:
        raise UsageError(
            f"{sweep.id} is {sweep.state}: its best trial may still change. Wait for its end with: "
            f"meltpoint watch {sweep.id}"
        )
    confirmed, doubt = _confirmed(ledger, sweep)
    board = Leaderboard.read(ledger, sweep)
    choice = confirmed or _unconfirmed(sweep, board, doubt)
    return _written(sweep, choice, board, with_places=with_places)


def _confirmed(ledger: Ledger, sweep: Sweep) -> tuple[RecipeChoice | None, str | None]:
    """Return the choice of the sweep's confirmation; None, perhaps with a reason, if there is none."""
    if sweep.confirmation is None or sweep.confirmation["decision"] is None:
        return None, None
    from service.exports.confirmed_recipes import choose_confirmed  # it loads NumPy

    return choose_confirmed(ledger, sweep)


def _unconfirmed(sweep: Sweep, board: Leaderboard, doubt: str | None) -> RecipeChoice:
    finished = [trial for trial in board.ranked if trial.state in (TrialState.COMPLETED, TrialState.PRUNED)]
    if not finished:
        raise UsageError(_nothing_to_export(sweep, board))
    best = finished[0]
    assert best.best_value is not None
    assert best.best_epoch is not None
    return RecipeChoice(
        recipe=best.recipe,
        chosen=ChosenBy(
            how="unconfirmed",
            because=_why_unconfirmed(board, len(finished), doubt),
            sweep=sweep.id,
            name=sweep.name,
            trial=best.id,
            trials=len(finished),
        ),
        training=training_policy(sweep, seeds=[best.seed], best_epochs=[best.best_epoch], trained_epochs=best.epochs),
        score=ExpectedScore(
            measure=Metric(sweep.metric).measure,
            split="val",
            images=_count_images(sweep.data, "val"),
            value=best.best_value,
            by_seed=[best.best_value],
            naive=best.best_value,
        ),
    )


def _why_unconfirmed(board: Leaderboard, finished: int, doubt: str | None) -> str:
    from service.confirmations.planning import why_not_confirmable  # it loads NumPy

    sweep = board.sweep
    trials = f"the best of {finished} trials" if finished > 1 else "the only finished trial"
    reason = (
        f"{trials}. Its score on val is likely too good, because it was picked as the best"
        if finished > 1
        else f"{trials}, compared with no other"
    )
    if doubt is not None:
        return f"{reason}. A confirmation came to no claim: {doubt}"
    if obstacle := why_not_confirmable(sweep, board.trials, is_remote=False):
        return f"{reason}. It cannot be confirmed now: {obstacle}"
    return f"{reason}. Confirm it on fresh seeds: meltpoint confirm {sweep.id}"


def _nothing_to_export(sweep: Sweep, board: Leaderboard) -> str:
    failed = sum(trial.state is TrialState.FAILED for trial in board.trials)
    if failed and failed == len(board.trials):
        trials = "its only trial has failed" if failed == 1 else f"all {failed} trials have failed"
        return f"{sweep.id} has no recipe to export: {trials}; see why with: meltpoint trials {sweep.id}"
    breaking = any(trial.breaks is not None and trial.state.is_finished for trial in board.trials)
    why = board.no_candidate() if breaking else "no trial has finished with a score"
    return f"{sweep.id} has no recipe to export: {why}; see: meltpoint trials {sweep.id}"


def _written(sweep: Sweep, choice: RecipeChoice, board: Leaderboard, *, with_places: bool) -> RecipeFile:
    """Return the file of a choice, with the facts that the sweep recorded about data, weights and versions."""
    recipe = Recipe.from_flat(choice.recipe)
    folder = Path(sweep.spec_file).parent
    data = _data_used(sweep, recipe, folder if with_places else None)
    own = any(
        is_own(name, kind)  # type: ignore[arg-type]
        for kind, name in (
            ("backbone", recipe.backbone),
            ("augmentation", recipe.augment.policy),
            ("metric", Metric(sweep.metric).measure),
            ("dataset", data.source),
        )
    )
    return RecipeFile(
        chosen=choice.chosen,
        recipe=write_point(recipe.flat()),
        backbone=BackboneUsed(
            name=recipe.backbone,
            stages=BACKBONES[recipe.backbone].stages
            if recipe.backbone in BACKBONES
            else sweep.own_stages(recipe.backbone),
            frozen_stages=recipe.freeze_depth,
            weights_sha256=sweep.weights_digest(recipe.backbone, recipe.weights),
        ),
        data=data,
        training=choice.training,
        score=choice.score,
        evidence=choice.evidence | _search_metrics(board, choice.chosen.trial),
        versions={str(name): str(version) for name, version in sweep.data.get("versions", {}).items()},
        code=str(folder) if own and with_places else None,
        command="meltpoint train recipe.yaml",
        claim=NO_CLAIM,
    ).signed()


def _search_metrics(board: Leaderboard, trial_id: str | None) -> Json:
    """Return the metrics of the recipe's trial in the search: of its best epoch, and costs such as its latency."""
    trial = next((trial for trial in board.trials if trial.id == trial_id), None)
    if trial is None:
        return {}
    metrics = board.metrics(trial).items()
    return {"search_metrics": {name: value for name, value in metrics if name.startswith("best/") or "/" not in name}}


def _data_used(sweep: Sweep, recipe: Recipe, folder: Path | None) -> DataUsed:
    """Return the images as the sweep recorded them; folder: of the sweep file, from which paths are written in full."""
    spec = _data_spec(sweep).resized_for(recipe.backbone)
    assert spec.interpolation != "auto"
    resized = sweep.data.get("resized", {}).get(spec.interpolation, {})
    return DataUsed(
        name=str(sweep.data.get("name", sweep.name)),
        source=_in_full(spec.source, folder),
        root=None if spec.root is None else _in_full(spec.root, folder),
        layout=spec.layout,
        columns=spec.columns,
        split=Shares(**spec.split.model_dump()),
        image_size=spec.image_size,
        interpolation=spec.interpolation,
        classes=[str(name) for name in sweep.data.get("classes", {})],
        digest=resized.get("digest"),
        splits={split: SplitUsed(**about) for split, about in resized.get("splits", {}).items()},
    )


def _data_spec(sweep: Sweep) -> DataSpec:
    """Return the section `data` of the sweep file, without reading its space, which may need own code."""
    try:
        document = read_document(sweep.spec_text, PurePath(sweep.spec_file).name)
        return DataSpec.model_validate(document.data["data"])
    except (SpecError, ValidationError, KeyError, TypeError) as error:
        raise UsageError(f"the sweep file of {sweep.id} cannot be read by this version: {error}") from None


def _in_full(place: str, folder: Path | None) -> str:
    """Return a path in full if it is a file or folder of this machine, from `folder` on; any other source unchanged."""
    if folder is None:
        return place
    path = folder / expand_user(place)
    if not path.exists():
        return place
    from trainables.datasets.sources import DATASETS  # its readers of files take a moment to load

    return place if place in DATASETS else str(path)


def _count_images(data: Mapping[str, Any], split: str) -> int:
    return sum(int(by_split.get(split, 0)) for by_split in data.get("classes", {}).values())
