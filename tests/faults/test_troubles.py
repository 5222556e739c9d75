"""Trials whose process dies, hangs or needs too much memory are tried again, and the other trials go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces import load_spec
from service.clocks import now_ms
from service.coordination.retries import RETRIES
from service.ledgers import Cause, Ledger, SweepState, TrialState
from service.runs.runner import run_sweep
from service.settings import Home
from service.terminals import stderr
from service.terminals.console_listener import ConsoleListener
from service.tune import tune_runs as tuning
from tests.own_modules import write_module

Record = Callable[[str, object], None]

AUGMENTATION = """
import os
import resource
import signal
import time
from pathlib import Path

def trouble(times, counter, make):
    done = len(counter.read_text()) if counter.exists() else 0
    if done < times:
        counter.write_text("x" * (done + 1))
        make()

def dies(image, generator):
    trouble(99, HERE / "dies", lambda: os.kill(os.getpid(), signal.SIGKILL))
    return image

def ends(image, generator):
    trouble(2, HERE / "ends", lambda: os._exit(7))
    return image

def hangs(image, generator):
    trouble(1, HERE / "hangs", lambda: time.sleep(3600))
    return image

def eat():
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    np.ones(16 << 30)

def eats(image, generator):
    trouble(99, HERE / "eats", eat)
    return image
"""
HANG_SECONDS = 4.0


@pytest.mark.experiment(5, 9, 10, runs=3)
def test_trials_in_trouble_are_tried_again_and_trouble_no_other(
    home: Home,
    ray_once: None,
    tiny_folder: Path,
    tmp_path: Path,
    turn: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    monkeypatch.setattr("service.coordination.retries.Retries.pause_before", lambda *_: 0.2)
    monkeypatch.setattr(tuning, "HANG_SECONDS", HANG_SECONDS)
    name = write_module(tmp_path, f"from pathlib import Path\nHERE = Path({str(tmp_path)!r})\n{AUGMENTATION}")
    same = "backbone: timm/test_efficientnet, weights: random, freeze_depth: 0, batch_size: 16"
    troubled = ("dies", "ends", "hangs", "eats")
    points = [f"{{{same}}}", *(f"{{{same}, augment.policy: '{name}:{trouble}'}}" for trouble in troubled)]
    (tmp_path / "s.yaml").write_text(
        f"name: troubled\ndata: {{source: {tiny_folder}, image_size: 32}}\nresources: {{gpu: 0}}\n"
        "budget: {epochs: 2}\nscheduler: {type: none}\n"
        f"search: {{algorithm: points, points: [{', '.join(points)}]}}\n"
    )
    began = time.monotonic()
    outcome = run_sweep(load_spec(tmp_path / "s.yaml"), home=home, listener=ConsoleListener(stderr()))
    record_property("recovery", time.monotonic() - began)
    assert outcome.sweep.state is SweepState.COMPLETED
    calm, dies, ends, hangs, eats = sorted(outcome.board.trials, key=lambda trial: trial.number)
    assert [trial.state for trial in (calm, ends, hangs)] == [TrialState.COMPLETED] * 3
    assert [trial.attempt for trial in (calm, ends, hangs)] == [1, 3, 2]
    assert [trial.state for trial in (dies, eats)] == [TrialState.FAILED] * 2
    assert dies.error == (
        "the trial's process died: killed by SIGKILL, which is what the system does when memory runs out"
    )
    assert "Unable to allocate" in (eats.error or "")
    assert dies.trace
    assert eats.trace
    ledger = Ledger.open(home, clock=now_ms)
    counted = {
        (trial.number, cause): ledger.trials.count_failures(trial.id, cause)
        for trial in outcome.board.trials
        for cause in Cause
    }
    ledger.close()
    most = RETRIES[Cause.OUT_OF_MEMORY].most
    assert {key: count for key, count in counted.items() if count} == {
        (dies.number, Cause.OUT_OF_MEMORY): most,
        (ends.number, Cause.DIED): 2,
        (hangs.number, Cause.HUNG): 1,
        (eats.number, Cause.OUT_OF_MEMORY): most,
    }
