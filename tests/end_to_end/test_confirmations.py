"""Confirmations on real Ray: a decision that interruptions do not change, and what pause, stop and cancel leave."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search_spaces import load_spec
from service.commands.app import app
from service.confirmations import Confirmation, Outcome
from service.errors import LeaseError, UsageError
from service.ledgers import EventKind, SweepAction, SweepState, Trial, TrialPhase, TrialState
from service.runs import SilentListener
from service.runs.leases import driving
from service.runs.runner import Outcome as SweepOutcome
from service.runs.runner import confirm_sweep, run_sweep
from service.settings import Home
from service.sweeps import HomeSweeps, is_complete, open_ledger, prepare_confirmation
from tests.faults.programs import Place, kill_all, until
from tests.own_modules import write_module

METRIC = """
from pathlib import Path
def measure(probabilities, labels):
    flag = Path(__file__).with_name("fail-once")
    try:
        flag.unlink()
    except FileNotFoundError:
        return float((probabilities.argmax(1) == labels).mean())
    raise RuntimeError("it fails once")
"""

SWEEP = """\
name: fresh-seeds
data: {{source: digits, image_size: 32}}
metric: [{{name: val/accuracy}}, {{name: "val/{module}:measure", goal: maximize}}]
search:
  algorithm: points
  points:
    - {{backbone: timm/test_efficientnet, weights: random, freeze_depth: all, optimizer.lr: 1.0e-5}}
    - {{backbone: timm/test_efficientnet, weights: random, freeze_depth: all, optimizer.lr: 1.0e-2}}
    - {{backbone: timm/test_efficientnet, weights: random, freeze_depth: all, optimizer.lr: 3.0e-3}}
budget: {{epochs: 10}}
scheduler: {{type: none}}
resources: {{gpu: 0}}
register: {{model: fresh-seeds}}
"""
RULE = {"seeds": 2}
RETRAININGS = 6


class Acting(SilentListener):
    """Does something once, when the first retraining has ended."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def trial_ended(self, trial: Trial) -> None:
        if trial.phase is TrialPhase.CONFIRM and self._act is not None:
            act, self._act = self._act, None
            act()


@pytest.fixture(scope="module")
def searched(ray_once: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a sweep whose search has ended; tests copy it."""
    folder = tmp_path_factory.mktemp("searched")
    module = write_module(folder, METRIC)
    (folder / "sweep.yaml").write_text(SWEEP.format(module=module))
    home = Home(folder / "home").create()
    assert run_sweep(load_spec(folder / "sweep.yaml"), home=home).sweep.state is SweepState.COMPLETED
    return home


@pytest.fixture
def copy(searched: Home, tmp_path: Path) -> Home:
    """A copy of the home after the search."""
    shutil.copytree(searched.root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def whole(searched: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose sweep was confirmed without an interruption."""
    root = tmp_path_factory.mktemp("confirmed") / "home"
    shutil.copytree(searched.root, root)
    assert confirm(Home(root)).sweep.state is SweepState.COMPLETED
    return Home(root)


def confirm(home: Home, listener: SilentListener | None = None) -> SweepOutcome:
    """Confirm the home's sweep in this process, as the command does."""
    with open_ledger(home) as ledger:
        sweep, spec, confirmation = prepare_confirmation(ledger, "last", RULE)
    return confirm_sweep(sweep, spec, confirmation, home=home, listener=listener)


def confirmation_of(home: Home) -> Confirmation:
    confirmation = HomeSweeps(home).confirmation("last")
    assert confirmation is not None
    return confirmation


def decision_of(home: Home) -> str:
    """Return the bytes of the decision; the ids of retrainings are not in them."""
    return json.dumps((HomeSweeps(home).find("last").confirmation or {})["decision"], sort_keys=True)


def retrainings(home: Home) -> list[Trial]:
    with open_ledger(home) as ledger:
        return list(ledger.trials.list(ledger.sweeps.find("last").id, TrialPhase.CONFIRM))


def states(home: Home) -> Counter[TrialState]:
    return Counter(trial.state for trial in retrainings(home))


def printed(home: Home, *arguments: str) -> str:
    """Run a command in this process; return what it prints on stdout."""
    result = CliRunner().invoke(app, [*arguments, "--home", str(home.root)])
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_a_confirmation_retrains_decides_and_reads_the_test_images_once(whole: Home) -> None:
    sweep, confirmation = HomeSweeps(whole).find("last"), confirmation_of(whole)
    decision = confirmation.decision
    assert decision is not None
    assert (decision.outcome, decision.retrainings, decision.seeds) == (Outcome.WINNER, RETRAININGS, 2)
    assert (decision.val_images, decision.confirm_images) == (361, 179)
    assert is_complete(sweep, confirmation)
    assert [trial.state for trial in retrainings(whole)] == [TrialState.COMPLETED] * RETRAININGS
    with open_ledger(whole) as ledger:
        read = ledger.predictions.of_sweep(sweep.id, "test", phase=TrialPhase.CONFIRM)
        assert {packed.read_by for packed in read.values()} == {"decision"}
        assert len(ledger.trials.list(sweep.id)) == 3
    assert len(read) == 4, "winner and default, two seeds each"
    kinds = Counter(event.kind for event in HomeSweeps(whole).events(sweep.id))
    assert (kinds[EventKind.CONFIRMING], kinds[EventKind.DECIDED]) == (1, 1)
    assert sweep.registered is not None


def test_the_commands_show_a_confirmation_that_is_decided(whole: Home) -> None:
    status = json.loads(printed(whole, "status", "last", "-o", "json"))
    assert status["confirmation"]["retrainings"] == {"finished": RETRAININGS, "planned": RETRAININGS}
    assert status["confirmation"]["outcome"] == "winner"
    rows = json.loads(printed(whole, "trials", "last", "--phase", "confirm", "-o", "json"))
    assert [row["contender"] for row in rows].count("default") == 2
    assert {"val/accuracy", "confirm/accuracy"} <= rows[0]["metrics"].keys()
    table = printed(whole, "trials", "last", "--phase", "confirm").splitlines()
    assert table[0].split()[:4] == ["retraining", "recipe", "seed", "state"]
    assert len(table) == 1 + RETRAININGS
    assert "the winner is trial " in printed(whole, "status", "last")


def test_a_restored_ledger_gives_the_same_bytes(whole: Home, tmp_path: Path) -> None:
    printed(whole, "backup", "-f", str(tmp_path / "backup.zip"))
    elsewhere = Home(tmp_path / "elsewhere")
    printed(elsewhere, "restore", str(tmp_path / "backup.zip"))
    here, there = (printed(home, "confirm", "last", "-o", "json") for home in (whole, elsewhere))
    assert there == here


def test_a_stopped_confirmation_goes_on_to_the_same_decision(copy: Home, whole: Home) -> None:
    """Ask meanwhile for another rule, which is refused with the command that follows the confirmation."""
    sweep_id = HomeSweeps(copy).find("last").id

    def refuse_and_stop() -> None:
        follow = f"a confirmation of it is under way. To follow it: meltpoint watch {sweep_id}$"
        with open_ledger(copy) as ledger, pytest.raises(UsageError, match=f"^{sweep_id} is running: {follow}"):
            prepare_confirmation(ledger, "last", {"seeds": 3})
        HomeSweeps(copy).act(sweep_id, SweepAction.STOP)

    stopped = confirm(copy, Acting(refuse_and_stop)).sweep
    assert (stopped.state, stopped.error) == (SweepState.STOPPED, "stopped by `meltpoint stop`")
    assert confirmation_of(copy).decision is None
    status = HomeSweeps(copy).status("last").confirmation
    assert status is not None
    assert 0 < status.finished < RETRAININGS
    assert status.describe(stopped.state) == f"not finished: {status.finished} of 6 retrainings"
    before = {trial.id: trial for trial in retrainings(copy) if trial.state is TrialState.COMPLETED}
    assert confirm(copy).sweep.state is SweepState.COMPLETED
    after = {trial.id: trial for trial in retrainings(copy)}
    assert {trial_id: after[trial_id] for trial_id in before} == before, "what was trained is not trained again"
    assert states(copy) == {TrialState.COMPLETED: RETRAININGS}
    assert decision_of(copy) == decision_of(whole)


def test_of_two_commands_at_once_the_second_is_refused_and_told_how_to_follow(copy: Home) -> None:
    sweep_id = HomeSweeps(copy).find("last").id
    with open_ledger(copy) as ledger, driving(copy, ledger, sweep_id):
        follow = f"driven by another process on this machine; to follow it: meltpoint watch {sweep_id}$"
        with pytest.raises(LeaseError, match=follow):
            confirm(copy)
    assert HomeSweeps(copy).find("last").state is SweepState.COMPLETED
    assert retrainings(copy) == []


def test_a_retraining_that_fails_is_replaced_by_the_spare_seed(copy: Home, searched: Home) -> None:
    (searched.root.parent / "fail-once").touch()
    assert confirm(copy).sweep.state is SweepState.COMPLETED
    assert states(copy) == {TrialState.COMPLETED: RETRAININGS, TrialState.FAILED: 1}
    confirmation = confirmation_of(copy)
    (spare,) = [trial for trial in retrainings(copy) if trial.seed == confirmation.seeds[-1]]
    (failed,) = [trial for trial in retrainings(copy) if trial.state is TrialState.FAILED]
    assert spare.identity == failed.identity
    assert "it fails once" in str(failed.error)
    assert confirmation.decision is not None
    assert (confirmation.decision.seeds, confirmation.decision.retrainings) == (2, RETRAININGS + 1)
    status = HomeSweeps(copy).status("last").confirmation
    assert status is not None
    assert (status.finished, status.planned) == (RETRAININGS + 1, RETRAININGS + 1)


@pytest.mark.slow
def test_ctrl_c_and_a_kill_change_nothing(searched: Home, copy: Home, whole: Home) -> None:
    """Interrupt `confirm` by Ctrl-C, kill `resume` with all its processes, then confirm to the end."""
    place = Place(searched.root.parent, copy.root)
    interrupted = place.start("confirm", "last", "--seeds", "2")
    await_training(interrupted, copy)
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 1, errors
    assert "confirming: 2 finalists and the default on 2 seeds, 6 retrainings" in errors
    assert "is paused: paused by SIGINT" in errors
    assert "next: meltpoint resume s-" in errors
    killed = place.start("resume", "last")
    await_training(killed, copy)
    kill_all(killed)
    assert place.run_json("status", "last")["state"] == "interrupted"
    decided = place.run_json("confirm", "last")
    place.await_end()
    assert decided["decision"] == json.loads(decision_of(whole))
    assert states(copy) == {TrialState.COMPLETED: RETRAININGS}


def await_training(process: subprocess.Popen[str], home: Home) -> None:
    """Wait until a retraining runs."""

    def is_training() -> bool:
        return HomeSweeps(home).find("last").state is SweepState.RUNNING and states(home)[TrialState.RUNNING] > 0

    until(lambda: process.poll() is not None or is_training(), "no retraining began")
    assert process.poll() is None, process.communicate()
