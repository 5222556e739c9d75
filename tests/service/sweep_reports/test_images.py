"""The images of a report, from images that a sweep prepared."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search_spaces import DataSpec
from service.ledgers import Ledger, Sweep
from service.sweep_reports import SweepReport, make_report
from service.sweep_reports.images import read_pictures
from tests.digit_photos import write_digits
from tests.service.sweep_reports.made_sweeps import Clock, MadeSweep
from trainables.stores.prepared import PreparedData, prepare_data


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    write_digits(tmp_path / "photos", ("zero", "one"), 20)
    spec = DataSpec(source="photos", image_size=24)
    return prepare_data(spec, base_dir=tmp_path, root=tmp_path / "prepared")


@pytest.fixture
def sweep(ledger: Ledger, clock: Clock, data: PreparedData) -> Sweep:
    """A sweep on these images whose best trial takes every zero for a one."""
    val = len(data.splits["val"])
    made = MadeSweep(ledger, clock, classes=("zero", "one"), images=val)
    made.labels = data.labels[data.splits["val"]]
    trial = made.add(0.5)
    ledger.predictions.add(trial.id, [made.predictions(0.5, predicted={0: 1, 1: 1})])
    ledger.sweeps.note(made.sweep.id, data=data.summary())
    return ledger.sweeps.get(made.sweep.id)


def pixels(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(float)


def with_policy(report: SweepReport, policy: str) -> SweepReport:
    recipe = report.headline.recipe | {"augment.policy": policy}
    return report.model_copy(update={"headline": report.headline.model_copy(update={"recipe": recipe})})


def test_mistakes_are_the_images_at_their_place_in_the_split(
    ledger: Ledger, sweep: Sweep, data: PreparedData, tmp_path: Path
) -> None:
    report = make_report(ledger, sweep)
    pictures = read_pictures(report, sweep, tmp_path / "prepared")
    assert pictures.missing is None
    assert pictures.mistakes.keys() == {mistake.position for mistake in report.mistakes.worst}
    for position, uri in pictures.mistakes.items():
        image = data.images[data.splits["val"][position]].astype(float)
        assert np.abs(pixels(uri) - image).mean() < 8, "a JPEG differs a little"


def test_views_are_those_that_trials_see(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    report = with_policy(make_report(ledger, sweep), "flip")
    pictures = read_pictures(report, sweep, tmp_path / "prepared")
    assert (pictures.policy, [image.label for image in pictures.augmented]) == ("flip", ["one", "zero"])
    for image in pictures.augmented:
        original = pixels(image.original)
        for view in map(pixels, image.views):
            assert min(np.abs(view - original).mean(), np.abs(view - original[:, ::-1]).mean()) < 8


def test_an_augmentation_of_the_users_own_is_not_run(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    report = with_policy(make_report(ledger, sweep), "no_such_module:draw")
    assert read_pictures(report, sweep, tmp_path / "prepared").augmented == ()


def test_images_that_are_gone_or_others_are_not_shown(ledger: Ledger, sweep: Sweep, tmp_path: Path) -> None:
    report = make_report(ledger, sweep)
    assert "gone" in (read_pictures(report, sweep, tmp_path / "nowhere").missing or "")
    others = sweep.data | {"resized": {"bilinear": {"digest": "0" * 32, "splits": {}}}}
    assert "gone" in (read_pictures(report, replace(sweep, data=others), tmp_path / "prepared").missing or "")
