from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from search_spaces import Goal, parse_spec
from search_spaces.extensions import stage_counts
from service.clocks import now_ms
from service.errors import UsageError
from service.exports.sweep_recipes import make_recipe_file
from service.ledgers import Ending, Json, Ledger, Sweep, SweepState, TrialState
from service.plans import flat_settings
from tests.contracts.ledgers import row
from tests.service.confirmations.searched_sweeps import SearchedSweep

SPEC = """\
name: cells
data: {source: photos, root: ../elsewhere, image_size: 24, split: {val: 0.3, confirm: 0, test: 0.1, seed: 4}}
space: {backbone: "my_net:build"}
"""
LIMITED = """\
name: cells
data: {source: photos}
metric: [{name: val/accuracy}, {name: val/loss, max: 0.5}]
space: {batch_size: 32}
"""
DIGEST = "d" * 32
DATA = {
    "name": "photos",
    "digest": DIGEST,
    "classes": {"bad": {"train": 3, "val": 2}, "good": {"train": 3, "val": 1}},
    "resized": {
        "bilinear": {"digest": DIGEST, "splits": {"val": {"images": 3, "digest": "ab"}}},
        "bicubic": {"digest": "e" * 32, "splits": {}},
    },
    "weights": [{"backbone": "timm/tf_efficientnet_lite0", "weights": "pretrained", "digest": "f0" * 32}],
    "versions": {"torch": "2.15.0"},
}
SETTINGS: Json = {"budget.epochs": 5, "resources.cpu": 2.0}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open_file(tmp_path / "ledger.db", clock=now_ms)) as ledger:
        yield ledger


def completed(
    ledger: Ledger,
    folder: Path,
    *recipes: dict[str, object],
    text: str = SPEC,
    settings: Json = SETTINGS,
    breaks: str | None = None,
) -> Sweep:
    """Return a completed sweep with a trial for each recipe, a better one each time; breaks: what all of them break."""
    sweep = ledger.sweeps.create(
        name="cells",
        spec_text=text,
        spec_file=str(folder / "sweep.yaml"),
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data=DATA,
        settings=settings,
    )
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    for number, recipe in enumerate(recipes):
        trial = ledger.trials.create(
            sweep.id, number=number, point={}, recipe=dict(recipe), identity=str(number), seed=3
        )
        trial = ledger.trials.start_attempt(trial.id)
        ledger.trials.record_epochs(
            trial.id,
            attempt=1,
            rows=[row(1, 0.5), row(2, 0.6 + number / 10)],
            metric=sweep.metric,
            goal=sweep.goal,
            breaks=None if breaks is None else lambda _: breaks,
        )
        ledger.trials.finish(trial.id, attempt=1, ending=Ending(state=TrialState.COMPLETED))
    return ledger.sweeps.move(sweep.id, SweepState.COMPLETED)


def test_the_recipe_names_data_weights_versions_and_the_way_to_train(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    file = make_recipe_file(ledger, completed(ledger, tmp_path, {}, {"optimizer.lr": 0.002}), with_places=True)
    assert file.recipe["optimizer"]["lr"] == 0.002
    assert (file.backbone.stages, file.backbone.weights_sha256) == (9, "f0" * 32)
    assert (file.data.source, file.data.root) == (str(tmp_path / "photos"), "../elsewhere")
    assert (file.data.interpolation, file.data.digest) == ("bicubic", "e" * 32)
    assert (file.data.classes, file.score.images) == (["bad", "good"], 3)
    assert (file.data.split.val, file.data.split.seed) == (0.3, 4)
    assert (file.training.epochs, file.training.best_epochs, file.training.full_data_epochs) == (5, [2], 2)
    assert (file.training.seeds, file.training.threads) == ([3], 2)
    assert file.versions == {"torch": "2.15.0"}
    assert file.evidence["search_metrics"]["best/val/accuracy"] == 0.7
    assert "the best of 2 trials" in file.chosen.because


def test_without_places_paths_stay_as_they_were_written(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    file = make_recipe_file(ledger, completed(ledger, tmp_path, {}), with_places=False)
    assert (file.data.source, file.code) == ("photos", None)
    assert "the only finished trial" in file.chosen.because


def test_only_a_sweep_that_can_be_confirmed_is_said_to_be(ledger: Ledger) -> None:
    searched = SearchedSweep(ledger, {0.0: 0.8, 0.25: 0.9})
    because = make_recipe_file(ledger, searched.sweep, with_places=True).chosen.because
    assert because.endswith(f"Confirm it on fresh seeds: meltpoint confirm {searched.sweep.id}")
    alone = SearchedSweep(ledger, {0.0: 0.8})
    because = make_recipe_file(ledger, alone.sweep, with_places=True).chosen.because
    assert "It cannot be confirmed now: " in because
    assert because.endswith(f"meltpoint resume {alone.sweep.id} --set budget.trials=8")


def test_an_own_backbone_needs_no_import(ledger: Ledger, tmp_path: Path) -> None:
    own = {"backbone": "my_net:build", "weights": "random", "freeze_depth": 2}
    file = make_recipe_file(ledger, completed(ledger, tmp_path, own), with_places=True)
    assert (file.backbone.stages, file.backbone.frozen_stages) == (None, 2)
    assert (file.code, file.data.interpolation) == (str(tmp_path), "bilinear")
    assert file.is_as_exported


def test_a_program_that_counts_stages_does_not_need_the_own_backbone_either(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(backbone: str, _folder: Path) -> int:
        raise ValueError(f"no module of {backbone} can be imported")

    monkeypatch.setattr(stage_counts, "_counters", [count])
    monkeypatch.setattr(stage_counts, "_counted", {})
    own = {"backbone": "my_net:build", "weights": "random", "freeze_depth": 2}
    file = make_recipe_file(ledger, completed(ledger, tmp_path, own), with_places=True)
    assert (file.backbone.stages, file.backbone.frozen_stages) == (None, 2)
    assert file.is_as_exported


def test_a_sweep_whose_trials_all_break_a_limit_has_no_recipe(ledger: Ledger, tmp_path: Path) -> None:
    text = LIMITED
    settings = flat_settings(parse_spec(text, file="sweep.yaml"))
    sweep = completed(ledger, tmp_path, {}, {}, text=text, settings=settings, breaks="val/loss 0.7")
    with pytest.raises(UsageError, match=r"no recipe to export: no trial keeps val/loss <= 0\.5; the best of those"):
        make_recipe_file(ledger, sweep, with_places=True)


def test_a_sweep_file_of_another_version_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    sweep = completed(ledger, tmp_path, {}, text="name: cells\ndata: {source: photos, colour: blue}\n")
    with pytest.raises(UsageError, match=f"the sweep file of {sweep.id} cannot be read by this version"):
        make_recipe_file(ledger, sweep, with_places=True)
