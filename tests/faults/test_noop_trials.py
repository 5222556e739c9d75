"""A sweep keeps no trial waiting for its own bookkeeping: trials that do nothing end at three a second or more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "noop_meltpoint.py"
TRIALS, LEAST_A_SECOND = 1000, 3.0


@pytest.mark.thorough
@pytest.mark.experiment("23 no-op")
def test_a_thousand_trials_that_do_nothing_end_at_three_a_second(
    record_property: Callable[[str, object], None],
) -> None:
    """Count from the first report until all are in the ledger, and until all are in MLflow."""
    shape = ["--trials", str(TRIALS), "--epochs", "3", "--metrics", "12", "--each-epoch"]
    done = subprocess.run([sys.executable, str(BENCHMARK), *shape], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout.splitlines()[-1])
    record_property("trials_a_second", TRIALS / seconds["trained"])
    record_property("sent_a_second", TRIALS / seconds["sent"])
    assert TRIALS / seconds["sent"] >= LEAST_A_SECOND
