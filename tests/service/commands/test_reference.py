"""`init`, `schema`, `spaces`, `backbones`, `explain`: their output for users and for scripts."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from search_spaces import BACKBONES, GROUPS, METRICS, PARAMETERS, SHIPPED, load_spec, parse_space, shipped_document
from search_spaces.records import AUGMENT_POLICIES, record_name
from search_spaces.schemas import section_keys, sweep_schema
from service.commands.app import app, report
from service.explanations import TOPICS

EXTENDING = """\
name: a
data: {source: digits}
space:
  extends: lecture7
  dropout.rate: {value: 0.25, when: {augment.policy: [flip, color]}}
  augment.policy: {values: [none, flip, color]}
  optimizer.name: {values: [sgd, adam]}
"""


def meltpoint(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def data(*arguments: str) -> Any:
    result = meltpoint(*arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(*arguments: str) -> str:
    """Return the message that a user reads in place of an exception, with the exit code 2."""
    result = meltpoint(*arguments)
    assert isinstance(result.exception, Exception)
    assert report(result.exception) == 2
    return str(result.exception)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_init_writes_is_valid_and_its_schema_lies_where_the_first_line_says(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    assert meltpoint("init", "sweeps/mine.yaml").exit_code == 0
    spec = load_spec(tmp_path / "sweeps" / "mine.yaml")
    assert (spec.name, spec.data.source) == ("digits", "digits")
    first = spec.text.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = json.loads((tmp_path / "sweeps" / first.partition("$schema=")[2]).read_text())
    assert schema == sweep_schema() == json.loads(meltpoint("schema").stdout)
    jsonschema.validate(spec.document, schema)
    result = meltpoint("validate", "sweeps/mine.yaml", "--set", "budget.trials=3")
    assert "3 trials" in result.stdout


def test_init_overwrites_only_with_force(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("mine")
    assert "there already" in refusal("init")
    assert (tmp_path / "sweep.yaml").read_text() == "mine"
    assert not (tmp_path / "meltpoint.schema.json").exists()
    assert meltpoint("init", "--force").exit_code == 0
    assert meltpoint("init", "second.yaml").exit_code == 0
    (tmp_path / "meltpoint.schema.json").write_text("{}")
    assert "holds something else" in refusal("init", "third.yaml")
    assert not (tmp_path / "third.yaml").exists()


def test_init_over_a_folder_says_where_it_is_from_the_file(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "photos").symlink_to(tiny_folder)
    (tmp_path / "digits").symlink_to(tiny_folder)
    (tmp_path / "sweeps").mkdir()
    assert data("init", "--data", "photos")["source"] == "photos"
    assert data("init", "sweeps/a.yaml", "--data", "photos")["source"] == "../photos"
    assert data("init", "b.yaml", "--data", "./digits")["source"] == "./digits"
    assert data("init", "c.yaml", "--data", str(tiny_folder))["source"] == str(tiny_folder)
    assert data("init", "d.yaml", "--data", "elpv")["source"] == "elpv"
    for name, source in (("sweep", "photos"), ("b", "./digits")):
        assert load_spec(tmp_path / f"{name}.yaml").data.source == source


@pytest.mark.parametrize("place", ["absent", "absent.csv", "empty"])
def test_init_over_data_that_cannot_be_read_writes_nothing(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal("init", "--data", place).startswith(f"--data {place}: ")
    assert not list(tmp_path.glob("*.yaml"))


def test_spaces_lists_the_shipped_ones_and_prints_one_as_it_is_written() -> None:
    assert [row["name"] for row in data("spaces")] == list(SHIPPED)
    written = YAML(typ="safe", pure=True).load(meltpoint("spaces", "head_only", "-o", "yaml").stdout)
    assert written == shipped_document("head_only")
    keys = [entry.key for entry in parse_space(shipped_document("head_only")).entries]
    assert [row["key"] for row in data("spaces", "head_only")] == keys


def test_spaces_of_a_sweep_file_shows_what_it_comes_to(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(EXTENDING)
    rows = {row["key"]: row for row in data("spaces", "s.yaml")}
    assert rows["optimizer"]["domain"] == {"values": ["sgd", "adam"]}
    assert (rows["optimizer[adam].lr"]["from"], rows["optimizer[adam].lr"]["default"]) == ("lecture7", 0.001)
    assert rows["dropout.rate"]["from"] == "file"
    assert rows["dropout.rate"]["when"]["augment.policy"] == ["flip", "color"]
    assert rows["dropout.rate"]["default"] == 0.25
    result = meltpoint("spaces", "s.yaml", "--set", "space.dropout.rate=0.5")
    line = next(line for line in result.stdout.splitlines() if line.startswith("dropout.rate"))
    assert line.split()[:3] == ["dropout.rate", "0.5", "0.5"]
    assert line.endswith("file")
    fixed = meltpoint(
        "spaces", "s.yaml", "--set", "space={batch_size: {values: [8, 16]}, freeze_depth: {values: [0, 1]}}"
    )
    assert "4 recipes" in fixed.stderr


def test_spaces_of_a_list_of_points_shows_what_differs(tmp_path: Path) -> None:
    points = "search: {algorithm: points, points: [{batch_size: 8}, {batch_size: 16}]}"
    (tmp_path / "s.yaml").write_text(f"name: a\ndata: {{source: digits}}\n{points}\n")
    assert [line.split() for line in meltpoint("spaces", "s.yaml").stdout.splitlines()] == [
        ["recipe", "batch_size"],
        ["0", "8"],
        ["1", "16"],
    ]


def test_an_unknown_space_is_one_sentence() -> None:
    assert refusal("spaces", "lecture8") == (
        "neither a shipped space nor a sweep file: lecture8; did you mean lecture7?"
    )


def test_backbones_has_every_one_with_every_column_and_filters() -> None:
    rows = data("backbones")
    assert {row["name"] for row in rows} == set(BACKBONES)
    assert rows[0].keys() >= {"family", "stages", "parameters", "multiply_adds", "sizing", "weights_source"}
    assert [row["name"] for row in data("backbones", "torchvision/resnet18")] == ["torchvision/resnet18"]
    assert all(row["name"].partition("/")[2].startswith("resnet") for row in data("backbones", "resnet*"))
    assert {row["family"] for row in data("backbones", "--family", "swin")} == {"swin"}
    here = {row["name"] for row in data("backbones", "--at-hand")}
    assert here == {row["name"] for row in rows if row["weights_at_hand"]}
    assert here >= {"timm/tf_efficientnet_lite0"}
    assert data("backbones", "resnet18", "--at-hand", "--family", "vgg") == []
    costs = [row["multiply_adds"] for row in data("backbones", "--family", "vgg", "torchvision/*")]
    assert costs == sorted(costs)
    assert len(list(csv.DictReader(meltpoint("backbones", "vgg", "-o", "csv").stdout.splitlines()))) > 4


def test_a_pattern_or_family_that_fits_nothing_suggests_one() -> None:
    assert "did you mean" in refusal("backbones", "resnet19")
    assert "did you mean swin?" in refusal("backbones", "--family", "swim")


@pytest.mark.parametrize("topic", TOPICS[:: len(TOPICS) // 60] + tuple(t for t in TOPICS if t.kind != "backbone"))
def test_every_topic_says_what_it_is(topic: Any) -> None:
    facts = dict(topic.facts())
    assert facts["what"]
    assert all(facts.values())


def test_explain_knows_every_name_there_is() -> None:
    names = {topic.name for topic in TOPICS}
    records = {str(record_name(record)) for group in GROUPS.values() if len(group) > 1 for record in group}
    assert names >= {*PARAMETERS, *GROUPS, *records, *BACKBONES, *SHIPPED, *METRICS, *AUGMENT_POLICIES}
    assert names >= {key.path for key in section_keys()} >= {"scheduler.grace_epochs", "data.split.group", "name"}


def test_explain_tells_the_default_of_each_optimizer_and_the_range() -> None:
    (lr,) = data("explain", "optimizer.lr")
    assert lr["values"] == "a number > 0, <= 100"
    assert lr["default"] == (
        "0.01 for sgd, momentum, nesterov, adagrad; 0.001 for rmsprop, adam, adamw; 0.0001 for lion; 1 for lbfgs"
    )
    (decay,) = data("explain", "space.optimizer.weight_decay")
    assert decay["used by"] == "optimizer sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, lion"
    assert [topic["kind"] for topic in data("explain", "lecture7")] == ["augmentation", "shipped space"]
    assert len(data("explain", "resnet18")) == 2
    assert "did you mean scheduler.grace_epochs?" in refusal("explain", "scheduler.grace_epoch")
    assert "did you mean torchvision/resnet18?" in refusal("explain", "torchvision/resnet19")
    assert len(data("explain")) > 50


@pytest.mark.parametrize("arguments", [["backbones"], ["explain", "adamw"], ["spaces", "lecture7"], ["schema"]])
def test_none_of_them_loads_anything_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        f"import sys; sys.argv = ['meltpoint', *{arguments!r}]\n"
        "from service.commands.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'sqlalchemy', 'numpy'} & sys.modules.keys()))"
    )
    env = {**os.environ, "NO_COLOR": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60
    )
    assert result.stdout.splitlines()[-1] == "[]"
