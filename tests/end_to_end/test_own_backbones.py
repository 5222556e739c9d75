"""A backbone of the user's own, from the sweep file to the served model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from search_spaces import MeltpointError, load_spec
from search_spaces.extensions import count_stages_by
from service.ledgers import SweepState
from service.runs.runner import run_sweep
from service.settings import Home
from service.terminals import stderr
from service.terminals.console_listener import ConsoleListener
from trainables.architectures import count_stages

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_code" / "stripes.yaml"
MELTPOINT = Path(sys.executable).with_name("meltpoint")


def validate(sweep: Path, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MELTPOINT_HOME": str(home), "NO_COLOR": "1"}
    return subprocess.run(
        [MELTPOINT, "validate", sweep, "-o", "json"], env=env, cwd="/", capture_output=True, text=True, timeout=180
    )


def test_the_command_line_counts_its_stages(tmp_path: Path) -> None:
    result = validate(EXAMPLE, tmp_path)
    assert (result.returncode, json.loads(result.stdout)["valid"]) == (0, True)
    (tmp_path / "stripes.py").write_text(EXAMPLE.with_name("stripes.py").read_text())
    (tmp_path / "deep.yaml").write_text(EXAMPLE.read_text().replace("[0, -1, all]", "[0, -1, 5]"))
    result = validate(tmp_path / "deep.yaml", tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"{tmp_path}/deep.yaml:8:34 space.freeze_depth.values[2]: must lie in -3..3, or be all: "
        "stripes:small has 3 stages (5)"
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example as a module of another name, because other tests have imported a `stripes`."""
    count_stages_by(count_stages)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_stripes.py").write_text(EXAMPLE.with_name("stripes.py").read_text())
    text = (
        EXAMPLE.read_text().replace("stripes:", "own_stripes:").replace("trials: 4, epochs: 2", "trials: 1, epochs: 1")
    )
    (tmp_path / "s.yaml").write_text(f"{text}resources: {{gpu: 0}}\nregister: {{model: own-net}}\n")
    return tmp_path


def test_a_sweep_of_it_registers_a_model_that_serves_without_it(
    home: Home, ray_once: None, tracks_home: None, folder: Path
) -> None:
    outcome = run_sweep(load_spec(folder / "s.yaml"), home=home, listener=ConsoleListener(stderr()))
    assert (outcome.sweep.state, outcome.unsent) == (SweepState.COMPLETED, 0)
    assert outcome.board.trials[0].recipe["backbone"] == "own_stripes:small"
    assert outcome.sweep.registered is not None
    sys.modules.pop("own_stripes")
    (folder / "own_stripes.py").unlink()
    served = mlflow.pyfunc.load_model(outcome.sweep.registered["uri"])
    probabilities = served.predict(np.full((3, 40, 50, 3), 128, dtype=np.uint8))
    assert np.asarray(probabilities).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_what_cannot_work_is_refused_before_a_sweep_is_made(home: Home, ray_once: None, folder: Path) -> None:
    code = folder / "own_stripes.py"
    (folder / "own_narrow.py").write_text(code.read_text().replace("_halved(8, 16)", "_halved(9, 16)"))
    (folder / "n.yaml").write_text((folder / "s.yaml").read_text().replace("own_stripes:small", "own_narrow:small"))
    before = set((home.root / "sweeps").glob("*"))
    with pytest.raises(MeltpointError, match=r"backbone: own_narrow:small: stage 2 of 3, on images of 32 px, raised"):
        run_sweep(load_spec(folder / "n.yaml"), home=home, listener=ConsoleListener(stderr()))
    assert set((home.root / "sweeps").glob("*")) == before
