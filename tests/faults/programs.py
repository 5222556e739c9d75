"""Sweeps in processes of their own, which tests kill, and readers of the sweeps' ledgers and MLflow stores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from service.clocks import now_ms
from service.ledgers import Ledger, SweepState, Trial
from service.reports import Leaderboard

MELTPOINT = Path(sys.executable).with_name("meltpoint")
PATIENCE_SECONDS = 180
GONE_SECONDS = 120
"""Time after the end of a sweep in which all its processes must end."""


@dataclass
class Place:
    """A folder with a sweep file, and a home; variables: additions to the environment of every command."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "MELTPOINT_HOME": str(self.home), "NO_COLOR": "1", **self.variables}
        return subprocess.Popen(
            [str(MELTPOINT), *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run_json(self, *arguments: str) -> Any:
        """Run a command that must succeed, and return the JSON that it prints."""
        process = self.start(*arguments, "-o", "json")
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, err
        return json.loads(out)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        url = self.variables.get("MELTPOINT_LEDGER") or f"sqlite:///{self.home / 'ledger.db'}"
        ledger = Ledger(url, clock=now_ms)
        try:
            yield ledger
        finally:
            ledger.close()

    def trials(self) -> list[Trial]:
        """Return the trials of the newest sweep."""
        with self.ledger() as ledger:
            return [trial for sweep in ledger.sweeps.list()[:1] for trial in ledger.trials.list(sweep.id)]

    def leaderboard(self) -> list[tuple[str, str, dict[str, float]]]:
        """Return number, state and metrics of each trial of the newest sweep, best first."""
        with self.ledger() as ledger:
            trials = Leaderboard.read(ledger, ledger.sweeps.list()[0]).as_json()
        return [(trial["trial_id"][-4:], trial["state"], trial["metrics"]) for trial in trials]

    def await_epochs(self, process: subprocess.Popen[str], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a trial of a running sweep has finished an epoch."""
        until(lambda: process.poll() is not None or self._trains(), "no trial trained", seconds)
        assert process.poll() is None, process.communicate()

    def _trains(self) -> bool:
        if not (self.home / "sweeps").exists():
            return False
        with self.ledger() as ledger:
            return any(
                trial.epochs
                for sweep in ledger.sweeps.list()
                if sweep.state is SweepState.RUNNING
                for trial in ledger.trials.list(sweep.id)
            )

    def processes(self) -> list[psutil.Process]:
        """Return the processes that have this home in their environment."""
        matches = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("MELTPOINT_HOME") == str(self.home):
                    matches.append(process)
        return matches

    def await_end(self) -> None:
        """Wait until all processes that were started here have ended."""
        until(lambda: not self.processes(), "processes were left behind", GONE_SECONDS)

    def seconds_until_trained_again(self, resume: subprocess.Popen[str]) -> float:
        """Wait until an attempt of the resumed sweep begins; return the seconds."""
        began, before = time.monotonic(), sum(trial.attempt for trial in self.trials())
        until(
            lambda: resume.poll() is not None or sum(trial.attempt for trial in self.trials()) > before,
            "the sweep did not go on",
        )
        return time.monotonic() - began


def until(condition: Callable[[], object], failure: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition is true; `failure` is the message if the seconds pass first."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{failure} within {seconds:.0f} s"
        time.sleep(0.1)


def kill_all(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to the driver and all its descendants at once; do nothing if the driver has ended."""
    running = [psutil.Process(process.pid)] if process.poll() is None else []
    descendants = [child for driver in running for child in driver.children(recursive=True)]
    for target in [*running, *descendants]:
        with suppress(psutil.NoSuchProcess):
            target.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(descendants, timeout=20)


def points_in_mlflow(tracking_uri: str, metric: str = "val/loss") -> Counter[tuple[str, int]]:
    """Count MLflow's points of a metric for each trial and step, over all experiments and runs."""
    client = MlflowClient(tracking_uri=tracking_uri)
    return Counter(
        (run.data.tags["meltpoint.trial_id"], point.step)
        for run in _trial_runs(client)
        for point in client.get_metric_history(run.info.run_id, metric)
    )


def states_in_mlflow(tracking_uri: str) -> dict[str, tuple[str, str]]:
    """Return, for each trial in MLflow, the state in its tag and its run's status."""
    runs = _trial_runs(MlflowClient(tracking_uri=tracking_uri))
    return {run.data.tags["meltpoint.trial_id"]: (run.data.tags["meltpoint.state"], run.info.status) for run in runs}


def _trial_runs(client: MlflowClient) -> Iterable[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(experiments, filter_string="tags.`meltpoint.kind` = 'trial'", max_results=10_000)
