"""Commands that take a sweep's result into production, as processes of their own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service.exports import load_recipe
from service.ledgers import Ledger, SweepState
from service.settings import Home
from tests.service.sweeps.sweeps import add_sweep, add_trials

MELTPOINT = Path(sys.executable).with_name("meltpoint")
TINY = """\
name: cells
data: {source: photos, image_size: 32}
space: {backbone: timm/test_efficientnet, weights: random}
search: {algorithm: random}
budget: {trials: 2, epochs: 2}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MELTPOINT), *arguments], cwd=folder, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )


def test_export_writes_to_stdout_or_to_a_file_that_is_not_there_yet(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    add_trials(ledger, add_sweep(ledger, SweepState.COMPLETED), 0.5, 0.75)
    place = ("--home", str(home.root))
    shown = run(tmp_path, "export", "last", "--format", "json", *place)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["chosen"]["how"] == "unconfirmed"
    assert "UNCONFIRMED: the best of 2 trials" in shown.stderr

    written = run(tmp_path, "export", "last", "-f", "best recipe.yaml", *place)
    assert written.returncode == 0, written.stderr
    assert written.stdout == ""
    command = f"meltpoint train 'best recipe.yaml' --home {shlex.quote(str(home.root))}"
    assert f"next: {command}" in written.stderr
    assert load_recipe(tmp_path / "best recipe.yaml").command == command

    before = (tmp_path / "best recipe.yaml").read_bytes()
    assert run(tmp_path, "export", "last", "-f", "best recipe.yaml", "--format", "timm", *place).returncode == 2
    assert (tmp_path / "best recipe.yaml").read_bytes() == before
    forced = run(tmp_path, "export", "last", "-f", "best recipe.yaml", "--format", "timm", "--force", *place)
    assert forced.returncode == 0, forced.stderr
    assert "next:" not in forced.stderr
    assert (tmp_path / "best recipe.yaml").read_text().startswith("# Recipe of sweep ")


@pytest.mark.slow
def test_the_command_in_the_file_trains(home: Home, ledger: Ledger, tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "photos").symlink_to(tiny_folder)
    sweep = add_sweep(ledger, SweepState.COMPLETED, text=TINY)
    add_trials(ledger, sweep, 0.5, recipe={"backbone": "timm/test_efficientnet", "weights": "random"})
    assert run(tmp_path, "export", "last", "-f", "recipe.yaml", "--home", str(home.root)).returncode == 0
    program, *arguments = shlex.split(load_recipe(tmp_path / "recipe.yaml").command)
    assert program == "meltpoint"
    trained = run(tmp_path, *arguments, "-o", "json")
    assert trained.returncode == 0, trained.stderr
    outcome = json.loads(trained.stdout)
    assert outcome["sweep"] == sweep.id
    assert outcome["scores"]["test"]["images"] == 24
    assert outcome["mlflow"]["model_uri"].startswith("models:/")
    assert "epoch 1/1" in trained.stderr
