"""The time of a sweep on a service that ran one before, against `meltpoint run` with a warm home.

    python benchmarks/warm_service.py [digits|head|all] [--rounds N] [--out FILE]

Both run the same sweep file, one after the other, round by round, each with a home of its own that has run it before.
Seconds count from the start of the command (`run`, or `submit --follow`) as a fresh process:

    first result   the first report of a trial is in the ledger
    winner         the leaderboard is on stdout
    registered     the model is registered, and the command has ended
    CPU            seconds of all processes with that home, by /proc: those of the service count during its sweep only

A Markdown table goes to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import machines
from contenders import MELTPOINT

from service.clocks import now_ms
from service.ledgers import EventKind, Ledger

HERE = Path(__file__).parent
DIGITS = """\
name: digits-four
data: {source: digits, image_size: 32}
space:
  backbone: torchvision/resnet18
  weights: random
  freeze_depth: {values: [all, -1]}
  optimizer: {name: adamw, lr: {min: 1.0e-4, max: 1.0e-2, log: true}}
search: {algorithm: random, seed: 0}
scheduler: {type: none}
budget: {trials: 4, epochs: 1}
resources: {gpu: 0}
"""
CONTENDERS = ("run", "service")
_SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds from the start of the command; cpu: CPU seconds."""

    first: float
    winner: float
    registered: float
    cpu: float


def main() -> None:
    """Compare, and print a table a mix."""
    options = _options()
    about = machines.describe()
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    for mix in ("digits", "head") if options.mix == "all" else (options.mix,):
        results[mix] = {name: [asdict(times) for times in rounds] for name, rounds in compare(mix, options).items()}
        print(as_markdown(mix, results[mix], about), end="\n\n", flush=True)
    if options.out:
        options.out.write_text(json.dumps({"about": about, "results": results}, indent=2))


def compare(mix: str, options: argparse.Namespace) -> dict[str, list[Times]]:
    """Return the times of each round, by contender."""
    times: dict[str, list[Times]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="meltpoint-service-") as scratch:
        folder = Path(scratch)
        spec = HERE / "mixes" / "head.yaml"
        if mix == "digits":
            spec = folder / "digits.yaml"
            spec.write_text(DIGITS)
        homes = {name: folder / name for name in CONTENDERS}
        commands = {"run": ["run", str(spec)], "service": ["submit", str(spec), "--follow"]}
        with _serving(homes["service"]):
            for turn in range(options.rounds + 1):
                for name in CONTENDERS:
                    measured = _measure(commands[name], homes[name])
                    print(f"{mix} {name} {'warm-up' if turn == 0 else turn}: {measured}", file=sys.stderr, flush=True)
                    if turn:
                        times[name].append(measured)
    return times


@contextmanager
def _serving(home: Path) -> Iterator[None]:
    """Serve while entered; the workers are up when this is entered."""
    command = [*MELTPOINT, "serve", "--port", "0"]
    server = subprocess.Popen(command, env=_environment(home), stdout=subprocess.DEVNULL, stderr=sys.stderr)
    try:
        deadline = time.monotonic() + 120.0
        while not _is_ready(home):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not come up")
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait(90.0)


def _is_ready(home: Path) -> bool:
    if not (home / "ledger.db").exists():
        return False
    ledger = Ledger.open_file(home / "ledger.db", clock=now_ms)
    try:
        return any(process.status.get("state") == "ready" for process in ledger.services.list(role="drivers"))
    finally:
        ledger.close()


def _measure(arguments: list[str], home: Path) -> Times:
    """Run a command and return its times; a service keeps running."""
    with _CpuMeter(home) as meter:
        started_ms, started = now_ms(), time.perf_counter()
        process = subprocess.Popen([*MELTPOINT, *arguments], env=_environment(home), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        winner = None
        for _line in process.stdout:
            winner = winner or time.perf_counter() - started
        code = process.wait()
        registered = time.perf_counter() - started
    if code or winner is None:
        raise RuntimeError(f"{' '.join(arguments)} ended with code {code}")
    return Times(first=_first_report(home, started_ms), winner=winner, registered=registered, cpu=meter.seconds)


def _first_report(home: Path, started_ms: int) -> float:
    ledger = Ledger.open_file(home / "ledger.db", clock=now_ms)
    try:
        (sweep,) = ledger.sweeps.list(limit=1)
        reports = (event for event in ledger.events.after(sweep.id, 0) if event.kind is EventKind.TRIAL_REPORTED)
        return (next(reports).at - started_ms) / 1000
    finally:
        ledger.close()


class _CpuMeter:
    """Adds up the CPU seconds of every process that has the home in its environment, while entered."""

    def __init__(self, home: Path) -> None:
        self._mark = f"MELTPOINT_HOME={home}\0".encode()
        self._first: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _CpuMeter:
        self._first = self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """CPU seconds since it was entered; a process's last 50 ms may be missing."""
        return sum(used - self._first.get(key, 0.0) for key, used in self._last.items())

    def _watch(self) -> None:
        while not self._closed.wait(_SAMPLE_SECONDS):
            self._last |= self._read()
        self._last |= self._read()

    def _read(self) -> dict[tuple[str, str], float]:
        """Return CPU seconds by process; its number may be used again, its start not."""
        used = {}
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    if self._mark in (process / "environ").read_bytes() + b"\0":
                        fields = (process / "stat").read_text().rpartition(")")[2].split()
                        ticks = int(fields[11]) + int(fields[12])
                        used[process.name, fields[19]] = ticks / os.sysconf("SC_CLK_TCK")
                except OSError:
                    continue
        return used


def as_markdown(mix: str, rounds: dict[str, list[dict[str, float]]], about: dict[str, str]) -> str:
    """Return the medians of a mix as a table."""
    names = list(Times.__dataclass_fields__)
    medians = {
        name: {part: statistics.median(times[part] for times in turns) for part in names}
        for name, turns in rounds.items()
    }
    ratios = [medians["run"][part] / medians["service"][part] for part in names]
    lines = [
        f"{mix}: medians of {len(rounds['run'])}, {about['date']}, {about['machine']}, {about['commit']}",
        "",
        f"| | {' | '.join(names)} |",
        "| --- |" + " ---: |" * len(names),
        *(f"| {name} | {' | '.join(f'{medians[name][part]:.1f}' for part in names)} |" for name in CONTENDERS),
        f"| run / service | {' | '.join(f'{ratio:.1f}' for ratio in ratios)} |",
    ]
    return "\n".join(lines)


def _environment(home: Path) -> dict[str, str]:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "MELTPOINT_HOME": str(home)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare a warm service with `meltpoint run`.")
    parser.add_argument("mix", nargs="?", choices=("digits", "head", "all"), default="all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write every figure as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
