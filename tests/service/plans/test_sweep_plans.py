"""`meltpoint plan` on a small set: its output, the files that it does not touch, and the plans that it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from search_spaces import MeltpointError, SweepSpec, parse_spec
from service.commands.files import plan_view
from service.formats import Format
from service.plans.sweep_plans import SweepPlan, plan_sweep
from service.searchers import build_searcher
from service.settings import Home

SPEC = """\
name: tiny
data: {source: photos, image_size: 32}
space:
  backbone: torchvision/resnet18
  weights: random
  batch_size: 16
  freeze_depth: {values: [0, all], default: all}
  dropout.rate: {min: 0.0, max: 0.5}
  head: {hidden: 8, norm: {values: [none, batch]}}
  augment.policy: {values: [none, flip], default: flip}
search: {algorithm: random, seed: 5}
scheduler: {type: asha}
budget: {trials: 8, epochs: 3, wall: 1h}
resources: {gpu: 0}
"""


def spec_in(folder: Path, text: str = SPEC) -> SweepSpec:
    return parse_spec(text, file=str(folder / "s.yaml"))


@pytest.fixture(scope="module")
def beside(tiny_folder: Path) -> Path:
    return tiny_folder.parent


@pytest.fixture(scope="module")
def made(beside: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    home = Home(tmp_path_factory.mktemp("plan") / "home")
    plan = plan_sweep(spec_in(beside), home=home, say=lambda _: None, seconds=0.2)
    assert not home.root.exists(), "a plan writes nothing"
    return plan


def test_the_recipes_are_those_that_the_sweep_would_try(made: SweepPlan) -> None:
    searcher = build_searcher(made.spec)
    proposals = [searcher.propose(number) for number in range(8)]
    assert [proposal.recipe for proposal in proposals if proposal] == list(made.recipes)
    assert made.recipes[0].freeze_depth == 5
    assert made.size is None


def test_counts_splits_and_store_are_those_of_the_sweep(made: SweepPlan) -> None:
    assert made.survey.counts["zero"] == {"train": 20, "val": 8, "confirm": 4, "test": 8}
    assert (made.survey.plan.mode, made.survey.prepared) == ("decoded", False)
    assert made.preparing > 0


def test_thawed_recipes_take_longer_and_more_memory(made: SweepPlan) -> None:
    by_depth = {recipe.freeze_depth: costs for recipe, costs in zip(made.recipes, made.trials, strict=True)}
    assert by_depth[0].epoch > by_depth[5].epoch
    assert made.trial_bytes >= made.process_bytes > 0
    assert made.epochs(made.most) == 24
    assert made.epochs(made.likely) < 24
    assert made.seconds(made.likely) <= made.seconds(made.most)


def test_a_table_for_people_and_one_object_for_scripts(made: SweepPlan, capsys: pytest.CaptureFixture[str]) -> None:
    plan_view.show_plan(made, 2, Format.TABLE)
    table = capsys.readouterr().out
    for line in ("2 recipes, the default first", "zero", "torchvision/resnet18 random: drawn at random", "at most"):
        assert line in table
    plan_view.show_plan(made, 2, Format.JSON)
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["recipes"]) == 2
    assert printed["estimate"]["most_epochs"] == 24
    assert printed["data"]["classes"]["zero"]["train"] == 20
    (caution,) = printed["cautions"]
    assert caution["text"].startswith("dropout before BatchNorm (dropout.rate with head.hidden and head.norm batch)")
    assert f"careful: {caution['text']} ({caution['paper']})" in " ".join(table.split())
    plan_view.show_plan(made, 3, Format.CSV)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["recipe.backbone"] for row in rows] == ["torchvision/resnet18"] * 3


def test_what_none_of_the_first_recipes_draws_is_not_planned(beside: Path, tmp_path: Path) -> None:
    text = SPEC.replace(
        "backbone: torchvision/resnet18", "backbone: {values: [timm/test_efficientnet, timm/test_resnet]}"
    )
    spec = spec_in(
        beside, text.replace("values: [0, all], default: all", "value: all").replace("trials: 8", "trials: 1")
    )
    made = plan_sweep(spec, home=Home(tmp_path / "home"), say=lambda _: None, seconds=0.1)
    assert {(work.backbone, work.policy) for work in made.sharing.work} == {
        ("timm/test_efficientnet", "flip"),
        ("timm/test_efficientnet", None),
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: photos", "source: absent", "data.source"),
        ("torchvision/resnet18", "timm/gmlp_ti16_224", "image_size must be one that timm/gmlp_ti16_224 takes"),
        ("weights: random", "weights: absent.safetensors", "weights .*absent.safetensors cannot be read"),
        ("gpu: 0", "gpu: 900", r"resources\.gpu: a trial asks for 900 GPUs"),
        ("name: tiny", "name: tiny\nmetric: {name: absent_module:score, goal: maximize}", "absent_module"),
    ],
)
def test_what_run_refuses_is_refused(old: str, new: str, message: str, beside: Path, tmp_path: Path) -> None:
    with pytest.raises(MeltpointError, match=message):
        plan_sweep(spec_in(beside, SPEC.replace(old, new)), home=Home(tmp_path), say=lambda _: None, seconds=0.1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.42 s"), (9.9, "9.9 s"), (17, "17 s"), (200, "3 m 20 s"), (18600, "5 h 10 m")]
)
def test_times_read_well(seconds: float, text: str) -> None:
    assert plan_view.seconds_text(seconds) == text
