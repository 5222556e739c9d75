"""A service's drivers in a process of their own, which tests ask through the ledger, stop and kill."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from mlflow.tracking import MlflowClient

from search_spaces import parse_spec
from service.clocks import now_ms
from service.ledgers import Event, EventKind, Ledger, Sweep, SweepAction, SweepState, Trial
from service.plans import flat_settings
from service.settings import Home

__all__ = ["Board", "Drivers", "attempts", "mlflow_points", "sweep_text", "until"]

PATIENCE_SECONDS = 120.0
NOTICE_SECONDS = 30.0
"""Time between SIGTERM and SIGKILL on machines that are taken away."""

MARK = "MELTPOINT_TESTED_SERVICE"
"""Variable by which the processes of a service are known."""

Board = dict[int, tuple[str, list[float]]]

AT_REST = frozenset(state for state in SweepState if not state.is_under_way) - {SweepState.INTERRUPTED}
"""States that only people change; a service goes on with an interrupted sweep by itself."""


@dataclass
class Drivers:
    """The drivers' role of a service. folder: of the sweep files. url: of the ledger, by default the home's file."""

    home: Home
    folder: Path
    url: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _mark: str = ""

    def beside(self, home: Home | None = None) -> Drivers:
        """Return another service on the same ledger, with the same home or another one; it is not started."""
        return Drivers(home or self.home, self.folder, self.url, self.variables)

    def become(self, other: Drivers) -> None:
        """Stand for another service from now on; the service until now has ended."""
        self._process, self._mark = other._process, other._mark

    def start(self) -> None:
        """Start the process, which ends with this one."""
        self.home.create()
        ledger = {} if self.url is None else {"MELTPOINT_LEDGER": self.url}
        self._mark = secrets.token_hex(8)
        home = {"MELTPOINT_HOME": str(self.home.root), MARK: self._mark}
        environment = {**os.environ, **home, **ledger, **self.variables}
        command = [sys.executable, "-m", "service.drivers", "--home", str(self.home.root), "--end-with-stdin"]
        with (self.home.root / "drivers.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)

    def await_ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a lane of this service is up."""
        began = int(psutil.Process(self.process.pid).create_time() * 1000)

        def is_ready() -> bool:
            assert self.process.poll() is None, (self.home.root / "drivers.log").read_text()[-3000:]
            with self.ledger() as ledger:
                services = ledger.services.list(role="drivers")
            return any(each.status["state"] == "ready" and each.started_at >= began for each in services)

        until(is_ready, "the drivers were not ready", seconds)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor's process."""
        assert self._process is not None
        return self._process

    def terminate(self) -> float:
        """Send SIGTERM and wait for the end; return the seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(NOTICE_SECONDS)
        seconds = time.monotonic() - began
        self._await_gone()
        return seconds

    def kill(self) -> None:
        """Send SIGKILL to all processes of the service at once, and wait until they have ended."""
        for process in [psutil.Process(self.process.pid), *self.processes()]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        self._await_gone()

    def close(self) -> None:
        """End everything, however it stands."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _await_gone(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        until(lambda: not self.processes(), "processes were left behind", 60.0)

    # Processes.

    def processes(self) -> list[psutil.Process]:
        """Return the processes that the service has started, and what they have."""
        matches = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark:
                    matches.append(process)
        return matches

    def named(self, name: str) -> list[psutil.Process]:
        """Return the service's processes of this name, such as `sweep:lanes`, the pool of lanes."""
        with_name = []
        for process in self.processes():
            with suppress(psutil.Error):
                if process.name() == name:
                    with_name.append(process)
        return with_name

    def driver_of(self, sweep_id: str) -> psutil.Process | None:
        """Return the driver's process of a sweep; None if it has none."""
        return next(iter(self._named_with_log("sweep:driver", self.home.sweep(sweep_id) / "driver.log")), None)

    def trainers_of(self, sweep_id: str) -> list[psutil.Process]:
        """Return the processes that train trials of a sweep."""
        return self._named_with_log("sweep:trial", self.home.sweep(sweep_id) / "trials.log")

    def _named_with_log(self, name: str, log: Path) -> list[psutil.Process]:
        processes = []
        for process in self.named(name):
            with suppress(OSError):
                if Path(f"/proc/{process.pid}/fd/2").readlink() == log:
                    processes.append(process)
        return processes

    # The ledger.

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The service's ledger, while entered."""
        ledger = Ledger(self.url or f"sqlite:///{self.home.ledger}", clock=now_ms)
        try:
            yield ledger
        finally:
            ledger.close()

    def submit(
        self, text: str, owner: str = "alice", *, priority: int = 0, slot_cap: int | None = None, key: str | None = None
    ) -> str:
        """Submit a sweep file's text; return the sweep's id."""
        spec = parse_spec(text, file=str(self.folder / "sweep.yaml"))
        with self.ledger() as ledger:
            sweep, _ = ledger.sweeps.submit(
                name=spec.name,
                spec_text=spec.text,
                spec_file=spec.file,
                metric=spec.metric.name,
                goal=spec.metric.goal,
                seed=spec.seed,
                settings=flat_settings(spec),
                owner=owner,
                priority=priority,
                slot_cap=slot_cap,
                idempotency_key=key,
                request_digest=key,
            )
        return sweep.id

    def sweep(self, sweep_id: str) -> Sweep:
        """Return the sweep as it is now."""
        with self.ledger() as ledger:
            return ledger.sweeps.get(sweep_id)

    def trials(self, sweep_id: str) -> list[Trial]:
        """Return the sweep's trials as they are now."""
        with self.ledger() as ledger:
            return list(ledger.trials.list(sweep_id))

    def events(self, sweep_id: str) -> list[Event]:
        """Return the sweep's events."""
        with self.ledger() as ledger:
            events = list[Event]()
            while page := ledger.events.after(sweep_id, events[-1].id if events else 0):
                events += page
            return events

    def ask(self, sweep_id: str, action: SweepAction) -> None:
        """Write a request for the sweep's driver into the ledger."""
        with self.ledger() as ledger:
            ledger.sweeps.request_action(sweep_id, action)

    def resume(self, sweep_id: str) -> None:
        """Queue a sweep that is at rest."""
        with self.ledger() as ledger:
            ledger.sweeps.move(sweep_id, SweepState.QUEUED)

    # Waiting.

    def await_state(self, sweep_id: str, *states: SweepState, seconds: float = PATIENCE_SECONDS) -> Sweep:
        """Wait until the sweep is in one of the states; fail at once if it comes to another rest."""
        sweep = self.sweep(sweep_id)
        deadline = time.monotonic() + seconds
        while sweep.state not in states:
            assert sweep.state not in AT_REST, f"{sweep_id} is {sweep.state}: {sweep.error}"
            assert time.monotonic() < deadline, f"{sweep_id} is still {sweep.state} ({sweep.waiting_for})"
            time.sleep(0.05)
            sweep = self.sweep(sweep_id)
        return sweep

    def await_completed(self, sweep_ids: Iterable[str], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all sweeps have completed and MLflow has everything, for which it has at least a minute."""
        deadline = time.monotonic() + seconds
        for sweep_id in sweep_ids:
            self.await_state(sweep_id, SweepState.COMPLETED, seconds=deadline - time.monotonic())
            with self.ledger() as ledger:
                patience = max(60.0, deadline - time.monotonic())
                until(partial(_is_sent, ledger, sweep_id), partial(_tell_lacking, ledger, sweep_id), patience)

    def await_epochs(self, sweep_id: str, epochs: int = 1) -> None:
        """Wait until the sweep's trials have reported so many epochs."""

        def has_reported() -> bool:
            sweep = self.sweep(sweep_id)
            assert sweep.state not in AT_REST, f"{sweep_id} is {sweep.state}: {sweep.error}"
            with self.ledger() as ledger:
                return ledger.trials.count_epochs(sweep_id) >= epochs

        until(has_reported, f"{sweep_id} did not train")

    # Results.

    def board(self, sweep_id: str) -> Board:
        """Return the state and the validation losses of each trial, by its number."""
        with self.ledger() as ledger:
            trials, epochs = ledger.trials.list(sweep_id), ledger.trials.epochs_of_sweep(sweep_id)
        losses = {trial_id: [row.metrics()["val/loss"] for row in rows] for trial_id, rows in epochs.items()}
        return {trial.number: (trial.state.value, losses.get(trial.id, [])) for trial in trials}

    def ledger_points(self, sweep_id: str) -> Counter[tuple[str, int]]:
        """Count the ledger's rows for each trial and epoch."""
        with self.ledger() as ledger:
            epochs = ledger.trials.epochs_of_sweep(sweep_id)
        return Counter((trial_id, row.epoch) for trial_id, rows in epochs.items() for row in rows)

    def check_rows(self, sweep_id: str) -> tuple[int, int]:
        """Compare ledger and MLflow row by row; return the points that MLflow lacks, and those that it has twice."""
        expected, points = self.ledger_points(sweep_id), mlflow_points(self.home, sweep_id)
        assert set(expected.values()) <= {1}
        assert points.keys() <= expected.keys(), "MLflow has rows that the ledger has not"
        return len(expected.keys() - points.keys()), sum(count - 1 for count in points.values())


def sweep_text(*, trials: int = 4, epochs: int = 8, photos: str = "photos", name: str = "cells") -> str:
    """Return a sweep file whose trials report each epoch; none is stopped early, so that every run gives the same."""
    return (
        f"name: {name}\n"
        f"data: {{source: {photos}, image_size: 32, split: {{val: 0.2, confirm: 0.1, test: 0.2, seed: 0}}}}\n"
        "space:\n"
        "  backbone: timm/test_efficientnet\n"
        "  weights: random\n"
        "  batch_size: 4\n"
        "  freeze_depth: {values: [0, 3]}\n"
        "  dropout.rate: {min: 0.0, max: 0.5}\n"
        f"budget: {{trials: {trials}, epochs: {epochs}}}\n"
        "search: {algorithm: random, seed: 0}\n"
        "scheduler: {type: median, min_trials: 999}\n"
        "resources: {gpu: 0}\n"
    )


def mlflow_points(place: Home | str, sweep_id: str, metric: str = "val/loss") -> Counter[tuple[str, int]]:
    """Count the points of a metric in a home's MLflow store, or in that of a URI, for each trial and epoch."""
    client = MlflowClient(tracking_uri=place if isinstance(place, str) else place.local_tracking_uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    chosen = f"tags.`meltpoint.kind` = 'trial' and tags.`meltpoint.sweep_id` = '{sweep_id}'"
    runs = client.search_runs(experiments, filter_string=chosen, max_results=10_000)
    return Counter(
        (run.data.tags["meltpoint.trial_id"], point.step)
        for run in runs
        for point in client.get_metric_history(run.info.run_id, metric)
    )


def attempts(events: Sequence[Event]) -> Counter[str]:
    """Count the attempts of each trial that began."""
    return Counter(str(event.trial_id) for event in events if event.kind is EventKind.TRIAL_STARTED)


def until(condition: Callable[[], object], failure: str | Callable[[], str], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition is true; `failure` is, or returns, the message if the seconds pass first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{failure if isinstance(failure, str) else failure()} within {seconds:.0f} s")
        time.sleep(0.05)


def _is_sent(ledger: Ledger, sweep_id: str) -> bool:
    return ledger.outbox.count_unsent(sweep_id) == 0


def _tell_lacking(ledger: Ledger, sweep_id: str) -> str:
    unsent = [
        f"{message.kind} of {message.trial_id} ({message.tries} tries)" for message in ledger.outbox.unsent(sweep_id)
    ]
    return f"{sweep_id}: MLflow lacks {', '.join(unsent)}; last error: {ledger.outbox.last_error(sweep_id)}"
