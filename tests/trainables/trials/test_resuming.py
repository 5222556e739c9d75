"""Trials that hang, die or lose their newest checkpoint: they are tried again and keep their finished epochs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from search_spaces import Goal
from tests.object_stores import bucket, s3_variables
from tests.own_modules import Write
from tests.prepared_images import images_of
from trainables.checkpoint_stores import name_of_place, open_store, write_marker
from trainables.devices import usage
from trainables.errors import NodeError
from trainables.processes import ForkedError, ForkServer, Rendezvous
from trainables.stores.prepared import PreparedData
from trainables.trials import PRELOAD, ResumePoint, TrialPlan
from trainables.trials.forked_run import ForkedRun
from trainables.trials.trial import TrialTraining

__all__ = ["bucket", "s3_variables"]

RECIPE = {
    "backbone": "timm/test_efficientnet",
    "weights": "random",
    "freeze_depth": 0,
    "optimizer.name": "sgd",
    "optimizer.lr": 0.1,
    "batch_size": 16,
}


def plan(tiny: PreparedData, folder: Path | str, **more: object) -> TrialPlan:
    base = TrialPlan(
        recipe=RECIPE,
        seed=1,
        epochs=4,
        report_at=(1, 2, 3, 4),
        **images_of(tiny),
        folder=str(folder),
        metric="val/loss",
        goal=Goal.MINIMIZE,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def test_a_trial_that_hangs_is_noticed_and_killed(tiny: PreparedData, tmp_path: Path, write: Write) -> None:
    name = write("import time\ndef vary(image, generator):\n    time.sleep(3600)\n    return image")
    rendezvous = Rendezvous(str(tmp_path), 1)
    with closing(ForkServer(preload=PRELOAD)) as server:
        run = ForkedRun(server.address, threads=1, rendezvous=rendezvous, log=str(tmp_path / "log"), patience=3.0)
        run.take(vars(plan(tiny, tmp_path, recipe={**RECIPE, "augment.policy": f"{name}:vary"}, code=str(tmp_path))))
        with pytest.raises(ForkedError, match="the trial's process hung: no sign of life for 3 s"):
            run.step()


def test_a_long_trial_reports_the_use_of_its_machine_and_a_short_one_does_not(
    tiny: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = TrialTraining(plan(tiny, tmp_path / "short")).advance()
    assert short["history"][0]["readings"].keys() == {"train", "val"}
    monkeypatch.setattr(usage, "SAMPLING_SECONDS", 0.0)
    long = TrialTraining(plan(tiny, tmp_path / "long")).advance()
    assert 0 <= long["history"][0]["readings"]["system"]["cpu_utilization_percentage"] <= 100


def test_an_attempt_goes_on_from_the_newest_checkpoint_and_gives_the_same(tiny: PreparedData, tmp_path: Path) -> None:
    whole = TrialTraining(plan(tiny, tmp_path / "whole"))
    expected = [whole.advance()["history"][0]["readings"] for _ in range(4)]
    first = TrialTraining(plan(tiny, tmp_path / "cut"))
    reports = [first.advance() for _ in range(2)]
    point = _resume_point(reports[-1])
    again = TrialTraining(plan(tiny, tmp_path / "cut", resume_from=asdict(point)))
    assert [again.advance()["history"][0]["readings"] for _ in range(2)] == expected[2:]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_newest_checkpoint_is_seen_and_the_one_before_used(
    tiny: PreparedData, tmp_path: Path, damage: str
) -> None:
    whole = TrialTraining(plan(tiny, tmp_path / "whole"))
    expected = [whole.advance()["history"][0]["readings"] for _ in range(4)]
    first = TrialTraining(plan(tiny, tmp_path / "cut", metric="val/accuracy", goal=Goal.MAXIMIZE))
    reports = [first.advance() for _ in range(3)]
    point = _resume_point(reports[-1])
    assert point.latest is not None
    newest = Path(point.latest)
    if damage == "gone":
        newest.unlink()
    else:
        content = newest.read_bytes()
        newest.write_bytes(content[: len(content) // 2] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
    again = TrialTraining(plan(tiny, tmp_path / "cut", resume_from=asdict(point)))
    report = again.advance()["history"][0]
    assert report["epoch"] <= 3
    assert report["readings"] == expected[report["epoch"] - 1]


def test_an_attempt_in_s3_goes_on_from_the_newest_whole_checkpoint(
    tiny: PreparedData, tmp_path: Path, bucket: str
) -> None:
    expected = TrialTraining(plan(tiny, tmp_path / "whole"))
    readings = [expected.advance()["history"][0]["readings"] for _ in range(4)]
    folder = f"{bucket}/s-1/s-1-0000"
    marker = write_marker(bucket)
    first = TrialTraining(plan(tiny, folder, marker=marker))
    point = _resume_point([first.advance() for _ in range(3)][-1])
    assert point.latest is not None
    assert point.latest.startswith(f"{folder}/epoch-000003-")
    again = TrialTraining(plan(tiny, folder, resume_from=asdict(point)))
    report = again.advance()
    assert report["history"][0]["readings"] == readings[3]
    store = open_store(folder)
    assert report["best_checkpoint"] in {file.location for file in store.files(folder)}

    store.write(folder, name_of_place(point.latest), b"torn")
    torn = TrialTraining(plan(tiny, folder, resume_from=asdict(point)))
    assert torn.advance()["history"][0]["epoch"] < 4
    with pytest.raises(NodeError, match=r"cannot be seen from the node .*; give --store a place"):
        TrialTraining(plan(tiny, folder, marker=f"{marker}0"))


def _resume_point(last: dict[str, object]) -> ResumePoint:
    return ResumePoint(latest=str(last["latest_checkpoint"]), best=str(last["best_checkpoint"]), value=0.0)
