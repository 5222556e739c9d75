"""Shell completion, in real shells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces import Goal
from service.clocks import now_ms
from service.ledgers import Ledger

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep file and a folder inside, and a home whose ledger has one sweep."""
    place = tmp_path_factory.mktemp("place")
    (place / "first.yaml").write_text("")
    (place / "notes.txt").write_text("")
    (place / "photos").mkdir()
    (place / "home").mkdir()
    ledger = Ledger.open_file(place / "home" / "ledger.db", clock=now_ms)
    ledger.sweeps.create(
        name="cells", spec_text="", spec_file="", metric="val/loss", goal=Goal.MINIMIZE, seed=0, data={}, settings={}
    )
    ledger.close()
    result = subprocess.run([BIN / "meltpoint", "completion", "bash"], capture_output=True, timeout=60, check=True)
    (place / "completion.bash").write_bytes(result.stdout)
    return place


def completed(place: Path, line: str) -> list[str]:
    """Return the completions of `line` that bash offers with the script that the command prints."""
    words = line.split(" ")
    script = (
        f"source {place / 'completion.bash'}\n"
        f"COMP_WORDS=({' '.join(words)}); [ -n '{words[-1]}' ] || COMP_WORDS+=('')\n"
        f"COMP_CWORD={len(words) - 1}\n"
        "_meltpoint_completion meltpoint\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "MELTPOINT_HOME": str(place / "home")}
    result = subprocess.run(["bash", "-c", script], cwd=place, env=env, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("meltpoint va", ["validate"]),
        ("meltpoint trials --to", ["--top"]),
        ("meltpoint status ce", ["cells"]),
        ("meltpoint ui la", ["last"]),
        ("meltpoint validate fi", ["first.yaml"]),
        ("meltpoint validate ph", []),
        ("meltpoint spaces head", ["head_only"]),
        ("meltpoint explain optimizer.we", ["optimizer.weight_decay"]),
        (
            "meltpoint backbones torchvision/resnet1",
            ["torchvision/resnet101", "torchvision/resnet152", "torchvision/resnet18"],
        ),
        ("meltpoint run first.yaml --set budget.tr", ["budget.trials"]),
        ("meltpoint completion f", ["fish"]),
        ("meltpoint ls -o j", ["json"]),
    ],
)
def test_bash_completes(place: Path, line: str, words: list[str]) -> None:
    assert sorted(completed(place, line)) == words


def test_sweeps_are_offered_without_what_takes_long_to_load(place: Path) -> None:
    code = (
        "import sys; sys.argv = ['meltpoint']\n"
        "from service.commands.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'mlflow', 'sqlalchemy', 'numpy'} & sys.modules.keys()))"
    )
    asked = {"_MELTPOINT_COMPLETE": "complete_bash", "COMP_WORDS": "meltpoint status ", "COMP_CWORD": "2"}
    env = {**os.environ, **asked, "MELTPOINT_HOME": str(place / "home")}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    first, *rest = result.stdout.split("\n")
    assert first == "last"
    assert [rest[1], rest[2]] == ["cells", "[]"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    result = subprocess.run([BIN / "meltpoint", "completion", shell], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"_MELTPOINT_COMPLETE=complete_{shell}" in result.stdout


def test_a_home_that_cannot_be_read_offers_nothing(place: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database")
    assert completed(place, f"meltpoint status --home {tmp_path} l") == []
