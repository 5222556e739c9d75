"""Small sweeps for hours: two users submit to one service and watch, while samples of its memory are taken.

    python -m tests.faults.soak FOLDER --minutes 120 --experiments soak.json
    python -m tests.faults.soak FOLDER --read        the table again, from the samples of a soak that has ended

The service has its own home in FOLDER. Every seventh sweep is paused and resumed, every eleventh is cancelled. In the
end everything that the ledger has must be in MLflow, row by row, and nothing may have grown. Needs no test runner.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from search_spaces import MeltpointError
from service import Client
from service.clocks import now_ms
from service.errors import UsageError
from service.ledgers import Ledger, SweepState
from service.settings import Home
from tests.digit_photos import write_digits
from tests.faults.memory_samples import Growth, growths, take_sample
from tests.running_services import MARK, Drivers, sweep_text, until

USERS = ("ada", "bob")
EVERY_SECONDS = 30.0
PAUSE_EVERY, CANCEL_EVERY, REGISTER_EVERY = 7, 11, 10
END_SECONDS = 600.0


@dataclass(frozen=True)
class _Service:
    """The processes of a service: those with its mark in their environment, and the descendants of the first."""

    mark: str
    pid: int

    def processes(self) -> set[psutil.Process]:
        processes = set()
        with suppress(psutil.Error):
            first = psutil.Process(self.pid)
            processes |= {first, *first.children(recursive=True)}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    processes.add(process)
        return processes


@dataclass
class Soak:
    """A soak in a folder. counts: ends and errors so far, of all users."""

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def home(self) -> Home:
        """The service's home."""
        return Home(self.folder / "home")

    @property
    def samples(self) -> Path:
        """The file of samples, a line of JSON each."""
        return self.folder / "samples.jsonl"

    def run(self, minutes: float) -> bool:
        """Run it; return if ledger and MLflow are equal in the end."""
        write_digits(self.folder / "photos", ("zero", "one", "two"), 40)
        with _serving(self.home.create(), self.folder / "serve.log") as (url, service):
            threads = [threading.Thread(target=self._use, args=(url, user), daemon=True) for user in USERS]
            for thread in threads:
                thread.start()
            self._sample(service, minutes * 60)
            self._ended.set()
            for thread in threads:
                thread.join(END_SECONDS)
            return self._compare()

    def _sample(self, service: _Service, seconds: float) -> None:
        began = time.monotonic()
        with self.samples.open("a") as file:
            while (elapsed := time.monotonic() - began) < seconds:
                sample = take_sample(service.processes())
                sweeps = self.counts.total()
                file.write(json.dumps({"seconds": round(elapsed, 1), "sweeps": sweeps, "roles": sample}) + "\n")
                file.flush()
                time.sleep(EVERY_SECONDS - (time.monotonic() - began) % EVERY_SECONDS)

    def _use(self, url: str, user: str) -> None:
        """Submit one sweep after another as a user, and watch each until its end."""
        admin = self.home.admin_token.read_text().strip()
        with Client(url=url, token=admin) as client:
            client.user_add(user, role="submitter")
            token = client.token_create("soak", days=2, user=user).token
        number = 0
        with Client(url=url, token=token) as client:
            while not self._ended.is_set():
                number += 1
                try:
                    self.counts[self._run_sweep(client, user, number)] += 1
                except (MeltpointError, AssertionError) as error:
                    self.counts[f"{type(error).__name__}: {error}"[:200]] += 1
                    time.sleep(1.0)

    def _run_sweep(self, client: Client, user: str, number: int) -> str:
        register = f"register: {{model: soak-{user}}}\n" if number % REGISTER_EVERY == 0 else ""
        path = self.folder / f"{user}.yaml"
        path.write_text(sweep_text(trials=3, epochs=3, name=f"soak-{user}") + register)
        sweep_id = client.submit(path, key=f"{user}-{number}-{secrets.token_hex(4)}").id
        if number % CANCEL_EVERY == 0:
            time.sleep(2.0)
            with suppress(UsageError):  # it has ended
                client.cancel(sweep_id)
        elif number % PAUSE_EVERY == 0:
            _pause_and_resume(client, sweep_id)
        for _ in client.watch(sweep_id):
            pass
        client.trials(sweep_id)
        return client.status(sweep_id).sweep.state.value

    def _compare(self) -> bool:
        """Compare ledger and MLflow, row by row, once both are at rest."""
        drivers = Drivers(self.home, self.folder)
        ledger = Ledger.open(self.home, clock=now_ms)
        try:
            until(lambda: not ledger.outbox.count_unsent_at_rest(), "MLflow lacks some", END_SECONDS)
            sweeps = ledger.sweeps.list()
            self.counts["not ended"] = sum(not sweep.state.is_finished for sweep in sweeps)
            self.counts["trials"] = sum(len(ledger.trials.list(sweep.id)) for sweep in sweeps)
            rows = [drivers.check_rows(sweep.id) for sweep in sweeps]
        finally:
            ledger.close()
        self.counts["lost"] = sum(lost for lost, _ in rows)
        self.counts["doubled"] = sum(doubled for _, doubled in rows)
        return not any(self.counts[name] for name in ("not ended", "lost", "doubled"))

    def growths(self) -> tuple[float, dict[str, dict[str, Growth]]]:
        """Return the hours of the samples, and the growth in them."""
        lines = [json.loads(line) for line in self.samples.read_text().splitlines()]
        times = [line["seconds"] for line in lines]
        return times[-1] / 3600, growths(times, [line["roles"] for line in lines])


def _pause_and_resume(client: Client, sweep_id: str) -> None:
    time.sleep(2.0)
    with suppress(UsageError):  # it has ended
        client.pause(sweep_id)
        until(lambda: not client.status(sweep_id).sweep.state.is_under_way, f"{sweep_id} does not pause")
        if client.status(sweep_id).sweep.state is SweepState.PAUSED:
            client.resume(sweep_id)


@contextmanager
def _serving(home: Home, log: Path) -> Iterator[tuple[str, _Service]]:
    """Run `meltpoint serve` on a free port; yield its address, and its processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    mark = secrets.token_hex(8)
    command = [sys.executable, "-c", "from service.commands.app import script; script()", "serve", "--port", str(port)]
    environment = {**os.environ, "MELTPOINT_HOME": str(home.root), MARK: mark, "NO_COLOR": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    service = _Service(mark, process.pid)
    try:
        ledger = Ledger.open(home, clock=now_ms)
        until(lambda: _is_ready(ledger), "the service was not ready", 300.0)
        ledger.close()
        yield f"http://127.0.0.1:{port}", service
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(120.0)
        for left in service.processes():
            left.kill()


def _is_ready(ledger: Ledger) -> bool:
    return any(each.status["state"] == "ready" for each in ledger.services.list(role="drivers"))


def render(changes: dict[str, dict[str, Growth]]) -> str:
    """Return a table: level, drift and noise of each role and quantity."""
    lines = ["| process | quantity | level | drift | noise | flat |", "| --- | --- | --- | --- | --- | --- |"]
    for role, quantities in changes.items():
        for name, growth in quantities.items():
            values = " | ".join(f"{value:.1f}" for value in (growth.level, growth.drift, growth.noise))
            lines.append(f"| {role} | {name} | {values} | {'yes' if growth.is_flat else 'no'} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak, or read the samples of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an empty folder for home, images and samples")
    parser.add_argument("--minutes", type=float, default=120.0, help="how long users submit (default: 120)")
    parser.add_argument("--experiments", type=Path, metavar="FILE", help="write the result as JSON for the page")
    parser.add_argument("--read", action="store_true", help="only read the samples of a soak that has ended")
    options = parser.parse_args(arguments)
    soak = Soak(options.folder.absolute())
    if not options.read:
        options.folder.mkdir(parents=True)
    is_equal = options.read or soak.run(options.minutes)
    hours, changes = soak.growths()
    is_flat = all(growth.is_flat for quantities in changes.values() for growth in quantities.values())
    sys.stdout.write(f"{hours:.2f} h\n\n{render(changes)}\n\n{dict(soak.counts)}\n")
    if options.experiments:
        row = {
            "test": "tests/faults/soak.py",
            "experiments": ["23 soak"],
            "examples": 1,
            "passed": is_equal and is_flat,
        }
        row |= {"hours": hours, "counts": soak.counts, "lost": soak.counts["lost"], "doubled": soak.counts["doubled"]}
        options.experiments.write_text(json.dumps([row], indent=1))
    return 0 if is_equal and is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
