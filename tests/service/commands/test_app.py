"""The command line in a process of its own: its output and its exit code."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from service.clocks import now_ms
from service.commands.app import PANELS, report
from service.errors import SweepNotFoundError
from service.ledgers import Ledger
from tests.errors.cases import meltpoint as meltpoint_here
from trainables.processes import ForkedError

MELTPOINT = Path(sys.executable).with_name("meltpoint")

WRONG = """\
name: cells
data: {source: digits, image_size: 4}
metric: {name: val/acuracy}
space:
  optimizer.lr: {min: 0.1, max: 0.01}
  dropout.rat: 0.5
budget: {trials: 0}
"""


def meltpoint(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MELTPOINT_HOME": str(cwd / "home"), "NO_COLOR": "1", **environment}
    return subprocess.run([MELTPOINT, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


def test_help_lists_every_command_in_its_panel_and_imports_nothing_heavy(tmp_path: Path) -> None:
    result = meltpoint("--help", cwd=tmp_path)
    assert result.returncode == 0
    for panel, commands in PANELS.items():
        assert panel in result.stdout
        assert all(f" {command.__name__} " in result.stdout for command in commands)
    code = (
        "import sys; sys.argv = ['meltpoint', '--help']\n"
        "from service.commands.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'sqlalchemy', 'numpy', 'fastapi', 'uvicorn'} & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_the_process_of_a_driver_loads_neither_torch_nor_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys, service.terminals.outcome_views, service.runs.runner, service.terminals.console_listener\n"
        "print(sorted({'torch', 'torchvision', 'timm', 'sklearn', 'mlflow'} & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_validate_prints_every_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(WRONG)
    result = meltpoint("validate", "sweep.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        "sweep.yaml:2:24",
        "sweep.yaml:3:10",
        "sweep.yaml:5:28",
        "sweep.yaml:6:3",
        "sweep.yaml:7:10",
    ]
    assert "did you mean" in lines[3]
    assert "Traceback" not in result.stderr


def test_validate_accepts_every_example(tmp_path: Path) -> None:
    examples = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
    assert examples
    for example in examples:
        result = meltpoint_here(["validate", str(example), "-o", "json"])
        assert (result.exit_code, json.loads(result.stdout)["valid"]) == (0, True)


def test_a_missing_spec_is_one_line(tmp_path: Path) -> None:
    result = meltpoint("run", "absent.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "absent.yaml" in result.stderr


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "s.yaml").write_text("name: a\ndata: {source: digits}\nspace: {batch_size: 32}\n")
    result = meltpoint("run", "s.yaml", "--home", "file/home", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"home {tmp_path}/file/home: cannot be written (Not a directory); choose another with --home or MELTPOINT_HOME"
    ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SweepNotFoundError("no sweep x"), "no sweep x"),
        (OSError(28, "No space left on device", "/data/a"), "/data/a: No space left on device"),
        (
            OperationalError("select 1", {}, Exception("database is locked")),
            "the ledger cannot be read or written: database is locked",
        ),
        (ForkedError("the sender's process died"), "the sender's process died"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_that_a_user_can_act_on_is_one_plain_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error) == 1
    assert capsys.readouterr().err == f"{message}\n"


def test_a_defect_is_called_one_and_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(KeyError("lr")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "unexpected KeyError: 'lr'",
        "this is a defect of Meltpoint; run again with --debug for the traceback",
    ]


def test_a_hint_names_the_typed_home_and_works_when_typed(tmp_path: Path) -> None:
    folder = tmp_path / "my sweeps"
    folder.mkdir()
    result = meltpoint("init", "my sweeps/a b.yaml", cwd=tmp_path)
    (hint,) = [line for line in result.stderr.splitlines() if line.startswith("next: meltpoint ")]
    assert meltpoint(*shlex.split(hint)[2:], cwd=tmp_path).returncode == 0
    with closing(Ledger.open_file(folder / "source.db", clock=now_ms)) as ledger:
        ledger.backup(folder / "whole.zip")
    result = meltpoint("restore", "my sweeps/whole.zip", "--home", "my sweeps/home", cwd=tmp_path)
    assert result.stderr.splitlines()[-1] == "next: meltpoint ls --home 'my sweeps/home'"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = meltpoint("--debug", "status", "last", cwd=tmp_path)
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("command", ["status", "trials"])
def test_an_unknown_sweep_is_one_line(tmp_path: Path, command: str) -> None:
    result = meltpoint(command, "last", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"no sweeps yet in {tmp_path}/home; start one with: meltpoint run SPEC"]
    assert not (tmp_path / "home").exists()


def test_ls_of_a_new_home_is_an_empty_list(tmp_path: Path) -> None:
    result = meltpoint("ls", "-o", "json", cwd=tmp_path)
    assert (result.returncode, json.loads(result.stdout)) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trials last --top 0", "'--top': must be >= 1 (0)"),
        ("trials last --top ten", "'--top': must be an integer (ten)"),
        ("trials last --top 1.5", "'--top': must be an integer (1.5)"),
        ("ui --port 99999", "'--port': must be <= 65535 (99999)"),
        ("submit sweep.yaml --priority 1000", "'--priority': must be <= 100 (1000)"),
        ("token create --days 0", "'--days': must be >= 1 (0)"),
        ("ls -o jsn", "must be one of table, json, yaml, csv; did you mean json? (jsn)"),
        ("serve --role workers", "'--role': must be one of all, api, drivers (workers)"),
    ],
)
def test_a_wrong_option_is_named_with_its_rule_and_value(arguments: str, message: str) -> None:
    outcome = meltpoint_here(shlex.split(arguments))
    assert outcome.exit_code == 2
    words = " ".join(outcome.stderr.replace("│", " ").split())
    assert message in words
