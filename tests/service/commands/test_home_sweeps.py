"""Commands about sweeps on a home: watch, logs, rm, the filters of ls, and exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.ledgers import Ledger, SweepState
from service.runs.leases import driving
from service.settings import Home
from tests.service.sweeps.sweeps import add_sweep, add_trials

MELTPOINT = Path(sys.executable).with_name("meltpoint")


def meltpoint(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(MELTPOINT), *arguments, "--home", str(home.root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_watch_shows_a_finished_sweep_and_tells_by_its_exit_code_how_it_ended(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5, 0.75)
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    ledger.sweeps.note(sweep.id, registered={"uri": "models:/cells@candidate", "version": "1"})
    result = meltpoint(home, "watch", "last")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].startswith(f"{sweep.id}-0001  completed  0.7500")
    assert "registered models:/cells@candidate (version 1, unconfirmed)" in result.stderr
    assert f"sweep {sweep.id} completed in" in result.stderr
    outcome = json.loads(meltpoint(home, "watch", "last", "-o", "json").stdout)
    assert (outcome["sweep_id"], outcome["state"]) == (sweep.id, "completed")
    assert meltpoint(home, "watch", "fish").returncode == 102


@pytest.mark.parametrize(("state", "code"), [(SweepState.FAILED, 100), (SweepState.PAUSED, 101)])
def test_status_tells_by_its_exit_code_how_a_sweep_stands(
    home: Home, ledger: Ledger, state: SweepState, code: int
) -> None:
    add_sweep(ledger, state)
    assert meltpoint(home, "status", "last", "--exit-code").returncode == code
    assert meltpoint(home, "status", "last").returncode == 0
    assert meltpoint(home, "status", "fish", "--exit-code").returncode == 102


def test_change_says_what_differs_now(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.PAUSED)
    ledger.sweeps.note(sweep.id, settings={"budget.trials": 2, "budget.epochs": 3})
    result = meltpoint(home, "change", "last", "--set", "budget.trials=64", "--set", "budget.wall=1h", "--slots", "2")
    assert result.returncode == 0, result.stderr
    line = result.stderr.splitlines()[0]
    assert line.startswith(f"{sweep.id} (paused): changed slot_cap from none to 2, budget.trials from 2 to 64")
    assert "budget.wall from none to 3600" in line
    again = json.loads(
        meltpoint(home, "change", sweep.id, "--set", "budget.trials=64", "--slots", "0", "-o", "json").stdout
    )
    assert (again["sweep_id"], again["state"], again["changes"]) == (sweep.id, "paused", {"slot_cap": [2, None]})
    nothing = meltpoint(home, "change", "last")
    assert (nothing.returncode, "nothing to change" in nothing.stderr) == (2, True)
    wrong = meltpoint(home, "change", "last", "--set", "budget.trails=64")
    assert (wrong.returncode, "unknown key; did you mean trials?" in wrong.stderr) == (2, True)


def test_ctrl_c_ends_the_view_and_leaves_the_sweep(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    with driving(home, ledger, sweep.id):
        command = [str(MELTPOINT), "watch", sweep.id, "--home", str(home.root)]
        watcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert watcher.stderr is not None
        assert watcher.stderr.readline().startswith(f"sweep {sweep.id} (cells)")
        time.sleep(0.1)
        watcher.send_signal(signal.SIGINT)
        _, rest = watcher.communicate(timeout=30)
        assert (watcher.returncode, rest.splitlines()) == (
            101,
            [f"detached; {sweep.id} goes on", f"next: meltpoint watch {sweep.id} --home {home.root}"],
        )
        assert ledger.sweeps.get(sweep.id).state is SweepState.RUNNING


def test_logs_prints_a_line_for_each_event(home: Home, ledger: Ledger) -> None:
    sweep = add_sweep(ledger, SweepState.RUNNING)
    add_trials(ledger, sweep, 0.5)
    ledger.sweeps.move(sweep.id, SweepState.FAILED, error="no more")
    for follow in ([], ["-f"]):
        lines = meltpoint(home, "logs", "last", *follow).stdout.splitlines()
        assert [line.split(" ", 1)[1] for line in lines][-2:] == [
            f"{sweep.id}-0000 completed, best 0.5000",
            f"{sweep.id} failed: no more",
        ]


def test_ls_shows_only_what_is_asked_for(home: Home, ledger: Ledger) -> None:
    paused, failed = add_sweep(ledger, SweepState.PAUSED), add_sweep(ledger, SweepState.FAILED)

    def ids(*arguments: str) -> set[str]:
        rows = json.loads(meltpoint(home, "ls", "-o", "json", *arguments).stdout)
        return {row["sweep_id"] for row in rows}

    assert ids() == {paused.id, failed.id}
    assert ids("--state", "paused") == {paused.id}
    assert ids("--state", "paused", "--state", "failed") == {paused.id, failed.id}
    assert len(ids("--limit", "1")) == 1
    assert ids("--owner", "ada") == ids("--name", "fish") == set()
    assert meltpoint(home, "ls", "--mine", "--owner", "ada").returncode == 2


def test_rm_deletes_after_asking_and_only_sweeps_that_nobody_drives(home: Home, ledger: Ledger) -> None:
    done, running = add_sweep(ledger, SweepState.FAILED), add_sweep(ledger, SweepState.RUNNING)
    with driving(home, ledger, running.id):
        asked = meltpoint(home, "rm", done.id)
        assert (asked.returncode, "confirm with --yes" in asked.stderr) == (2, True)
        assert meltpoint(home, "rm", done.id, "fish", "--yes").returncode == 1
        assert ledger.sweeps.get(done.id) == done
        assert f"deleted {done.id}: " in meltpoint(home, "rm", done.id, "--yes").stderr
        refused = meltpoint(home, "rm", running.id, "--yes")
        way = f"end it first with: meltpoint cancel --home {home.root} {running.id}"
        assert refused.stderr.strip() == f"{running.id} is running; {way}"


def test_a_home_and_a_context_cannot_both_be_typed(home: Home) -> None:
    result = meltpoint(home, "ls", "--context", "lab")
    assert (result.returncode, "--context and --home cannot be given together" in result.stderr) == (2, True)


def test_submit_without_a_service_says_how_to_get_one(home: Home, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("name: a\n")
    result = meltpoint(home, "submit", str(tmp_path / "s.yaml"))
    assert result.returncode == 2
    assert result.stderr.strip() == (
        "no service to act on: sign in to one with `meltpoint login URL`, or start one here with `meltpoint serve`"
    )
    assert (
        meltpoint(home, "submit", "absent.yaml").stderr.strip()
        == "absent.yaml: cannot be read: No such file or directory"
    )
