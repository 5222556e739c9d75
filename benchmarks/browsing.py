"""The time until a sweep of 1,000 trials can be browsed: its report is written, and the charts of its view are drawn.

    python benchmarks/browsing.py [--trials N] [--repeats N]

Writes a made-up sweep into the ledger and sends it to MLflow, both untimed. Then it makes the report, starts the
server of `meltpoint ui`, and opens the sweep's prepared view in Chromium with an empty cache: until the first
parallel-coordinates chart is drawn, and, scrolling down, until the learning curves of the 100 runs that MLflow shows
are. A Markdown row goes to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import machines
from playwright.sync_api import Browser, sync_playwright

from search_spaces import Goal
from service.clocks import now_ms
from service.ledgers import Ending, EpochRow, Ledger, Sweep, SweepState, TrialState
from service.settings import Home, prepare_environment
from service.sweep_reports import render_report

SHOWN = 100
"""Runs that a page of MLflow compares in charts."""

CURVES = 3
"""Charts with a learning curve for each run."""

PATIENCE_MS = 180_000
EPOCHS = 5
DATA = {
    "name": "photos",
    "source": "photos",
    "digest": "d" * 32,
    "images": 100,
    "image_size": 32,
    "split": {"val": 0.2, "confirm": 0.1, "test": 0.2, "seed": 0},
    "classes": {name: {"train": 25, "val": 10, "confirm": 5, "test": 10} for name in ("sound", "broken")},
}
DRAWN = ("freeze_depth", "optimizer.name", "optimizer.lr", "optimizer.weight_decay", "dropout.rate", "augment.policy")


def main() -> None:
    """Measure, and print a row."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="meltpoint-browsing-") as folder:
        home = Home(Path(folder)).create()
        prepare_environment(home)
        with closing(Ledger.open(home, clock=now_ms)) as ledger:
            sweep = fill(ledger, options.trials)
            _tell(f"{options.trials} trials written")
            send(ledger, home, sweep)
            _tell("sent to MLflow")
            reports = [_time_report(ledger, sweep) for _ in range(options.repeats)]
            views = list(_time_views(home, ledger.sweeps.get(sweep.id), options.repeats))
    report, size = statistics.median(seconds for seconds, _ in reports), reports[0][1]
    first, last = (statistics.median(times) for times in zip(*views, strict=True))
    about = machines.describe()
    print(f"| {options.trials} | {report:.1f} s, {size / 1e6:.2f} MB | {first:.1f} s | {last:.1f} s |")
    _tell(f"{about['date']}, {about['machine']}, {about['commit']}")


def fill(ledger: Ledger, trials: int) -> Sweep:
    """Write a completed sweep; two thirds of its trials were pruned."""
    numbers = random.Random(0)
    sweep = ledger.sweeps.create(
        name="browsing",
        spec_text="name: browsing\n",
        spec_file="browsing.yaml",
        metric="val/accuracy",
        goal=Goal.MAXIMIZE,
        seed=0,
        data=DATA,
        settings={
            "budget.trials": trials,
            "space.drawn": list(DRAWN),
            "space.log": ["optimizer.lr", "optimizer.weight_decay"],
        },
    )
    ledger.sweeps.move(sweep.id, SweepState.RUNNING)
    for number in range(trials):
        recipe = _recipe(numbers)
        trial = ledger.trials.create(
            sweep.id, number=number, point={}, recipe=recipe, identity=f"{number:016x}", seed=0, started=True
        )
        is_pruned = number % 3 > 0
        ledger.trials.record_epochs(
            trial.id,
            attempt=1,
            rows=[_row(recipe, epoch, numbers) for epoch in range(1, 3 if is_pruned else EPOCHS + 1)],
            metric=sweep.metric,
            goal=sweep.goal,
            ending=Ending(state=TrialState.PRUNED if is_pruned else TrialState.COMPLETED),
        )
    ledger.sweeps.move(sweep.id, SweepState.COMPLETED)
    return ledger.sweeps.get(sweep.id)


def _recipe(numbers: random.Random) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "backbone": "timm/tf_efficientnet_lite0",
        "freeze_depth": numbers.choice([6, 7, 8, 9]),
        "optimizer.name": numbers.choice(["adamw", "nesterov"]),
        "optimizer.lr": 10 ** numbers.uniform(-4, -1),
        "dropout.rate": numbers.uniform(0, 0.5),
        "augment.policy": numbers.choice(["none", "flip"]),
    }
    if recipe["optimizer.name"] == "adamw":
        recipe["optimizer.weight_decay"] = 10 ** numbers.uniform(-3, -1)
    return recipe


def _row(recipe: dict[str, Any], epoch: int, numbers: random.Random) -> EpochRow:
    top = 0.9 - 0.05 * abs(math.log10(recipe["optimizer.lr"]) + 2.5) - 0.02 * abs(recipe["freeze_depth"] - 7)
    val = {"accuracy": top - 0.1 / epoch + numbers.uniform(0, 0.02), "loss": 0.8 / epoch}
    readings = {"train": {"loss": 1 / epoch}, "val": val}
    return EpochRow(epoch=epoch, seconds=1.5, recorded_at=now_ms(), readings=readings)


def send(ledger: Ledger, home: Home, sweep: Sweep) -> None:
    """Send all that waits to MLflow."""
    from service.tracking import Sender  # reads the environment that `main` prepares
    from service.tracking.trackers import Tracker

    sender = Sender(ledger, sweep.id, lambda: Tracker(ledger, home), backlog_lock=home.backlog_lock).start()
    if sender.finish(900.0):
        sys.exit(f"MLflow did not take everything: {sender.last_error}")


def _time_report(ledger: Ledger, sweep: Sweep) -> tuple[float, int]:
    """Return the seconds that a report takes, and its bytes."""
    began = time.perf_counter()
    page = render_report(ledger, sweep)
    return time.perf_counter() - began, len(page.encode())


def _time_views(home: Home, sweep: Sweep, repeats: int) -> list[tuple[float, float]]:
    """Return the seconds until the first chart is drawn, and until the learning curves are, each time anew."""
    from service.tracking import MlflowServer, view_address

    assert sweep.mlflow is not None
    shown = min(SHOWN, sweep.settings["budget.trials"])
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with closing(MlflowServer(home, port=0)) as server, sync_playwright() as playwright:
        server.wait_until_ready()
        base = f"http://127.0.0.1:{server.address.port}"
        address = view_address(base, sweep.mlflow["experiment_id"], sweep.id)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        times = []
        for _ in range(repeats):
            times.append(_time_view(browser, address, shown))
            _tell(f"the first chart after {times[-1][0]:.1f} s, the curves after {times[-1][1]:.1f} s")
        browser.close()
    return times


def _time_view(browser: Browser, address: str, shown: int) -> tuple[float, float]:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address)
    page.locator(".parcoords .label").first.wait_for(timeout=PATIENCE_MS)
    first = time.perf_counter() - began
    page.get_by_text("Learning curves").filter(visible=True).first.scroll_into_view_if_needed()
    page.mouse.wheel(0, 3000)
    traces = page.locator(".js-plotly-plot .scatterlayer .trace.scatter")
    traces.nth(CURVES * shown - 1).wait_for(state="attached", timeout=PATIENCE_MS)
    curves = time.perf_counter() - began
    context.close()
    return first, curves


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
