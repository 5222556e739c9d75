"""Full disks under checkpoints, the ledger and a report: a clear message, no damaged file, and a sweep that goes on."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from search_spaces import Goal, load_spec
from service.ledgers import Ledger, Message, MessageKind, Sweep
from service.runs.runner import run_sweep
from service.settings import Home
from service.terminals import stderr
from service.terminals.console_listener import ConsoleListener
from service.tracking import Sender
from service.tracking.trackers import Tracker
from tests.faults.programs import Place, until
from tests.tracked_sweeps import Clock, deliver_all, mixed_sweep

Record = Callable[[str, object], None]

SPEC = """\
name: filled
data: {{source: {photos}, image_size: 32}}
search:
  algorithm: points
  points: [{{backbone: timm/test_efficientnet, weights: random, freeze_depth: 0, batch_size: 8}}]
scheduler: {{type: none}}
budget: {{epochs: 3}}
resources: {{gpu: 0}}
"""


def fill(disk: Path) -> Path:
    """Fill the disk with a file, and return the file."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"0" * 4096)
        except OSError:
            return ballast


@pytest.mark.experiment(11, runs=3)
def test_trials_wait_while_the_disk_under_checkpoints_is_full(
    ray_once: None,
    home: Home,
    tiny_folder: Path,
    tmp_path: Path,
    small_disk: Path,
    turn: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    record_property: Record,
) -> None:
    monkeypatch.setattr("service.coordination.retries.Retries.pause_before", lambda *_: 1.0)
    monkeypatch.setattr(Home, "sweep", lambda _, sweep_id: small_disk / sweep_id)
    (tmp_path / "s.yaml").write_text(SPEC.format(photos=tiny_folder))
    ballast: list[Path] = []

    def fill_for_a_while() -> None:
        until(lambda: list(small_disk.glob("s-*/trials.log")), "no trial began")
        ballast.append(fill(small_disk))
        time.sleep(3.0)
        ballast[0].unlink()

    filler = threading.Thread(target=fill_for_a_while)
    filler.start()
    outcome = run_sweep(load_spec(tmp_path / "s.yaml"), home=home, listener=ConsoleListener(stderr()))
    filler.join()
    assert outcome.board.counts() == {"completed": 1, "pruned": 0, "failed": 0}
    (trial,) = outcome.board.trials
    assert trial.epochs == 3
    assert trial.attempt > 1, "the disk was never full when it mattered"
    assert "No space left on device" in capfd.readouterr().err
    assert not list(small_disk.glob("s-*/s-*/*.part"))


@pytest.mark.experiment(12)
def test_a_full_disk_under_the_ledger_damages_nothing(small_disk: Path) -> None:
    ledger, sweep = _ledger_on(small_disk)
    ballast = fill(small_disk)
    with pytest.raises(OperationalError, match="disk is full"):
        _put_until_it_fails(ledger, sweep.id)
    unsent = ledger.outbox.unsent(sweep.id)
    ballast.unlink()
    ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {})
    assert len(ledger.outbox.unsent(sweep.id)) == len(unsent) + 1
    ledger.close()
    _is_whole(small_disk / "ledger.db")


class Network:
    """A network that takes every message."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def deliver(self, messages: Sequence[Message]) -> None:
        self.taken += [message.payload["n"] for message in messages if "n" in message.payload]


@pytest.mark.experiment(12)
def test_a_full_disk_under_the_ledger_delays_its_sender(small_disk: Path, tmp_path: Path) -> None:
    """Messages that were sent but could not be marked may be sent again; all are marked when the disk has room."""
    ledger, sweep = _ledger_on(small_disk)
    ledger.outbox.mark_sent(*(message.id for message in ledger.outbox.unsent(sweep.id)))
    for number in range(300):
        ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"n": number, "text": "x" * 1000})
    ballast = fill(small_disk)
    with pytest.raises(OperationalError, match="disk is full"):
        _put_until_it_fails(ledger, sweep.id)
    network = Network()
    sender = Sender(ledger, sweep.id, lambda: network, backlog_lock=tmp_path / "lock").start()
    until(lambda: sender.last_error, "the sender did not notice")
    ballast.unlink()
    assert sender.finish(60) == 0
    assert set(range(300)) <= set(network.taken)
    ledger.close()


def test_a_full_disk_under_the_report_delays_the_report_alone(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report waits in the outbox with the reason, later messages pass it, and it is written when there is room."""
    monkeypatch.setattr(Home, "mlflow_artifacts", property(lambda _: small_disk / "artifacts"))
    place = Home(tmp_path / "home").create()
    ledger = Ledger.open(place, clock=Clock())
    sweep = mixed_sweep(ledger)
    deliver_all(ledger, place)
    ledger.outbox.put(sweep.id, MessageKind.REPORT, {})
    ballast = fill(small_disk)
    trial = ledger.trials.list(sweep.id)[0]
    ledger.outbox.put(sweep.id, MessageKind.EPOCHS, {"first": 1, "last": 1}, trial_id=trial.id)
    sender = Sender(ledger, sweep.id, lambda: Tracker(ledger, place), backlog_lock=place.backlog_lock).start()
    until(lambda: sender.last_error, "the sender did not notice")
    until(lambda: ledger.outbox.count_unsent(sweep.id) == 1, "a later message waits for the report")
    (waiting,) = ledger.outbox.unsent(sweep.id)
    assert waiting.kind is MessageKind.REPORT
    assert "No space left on device" in (ledger.outbox.last_error(sweep.id) or "")
    ballast.unlink()
    assert sender.finish(60) == 0
    (page,) = small_disk.rglob("report.html")
    assert page.read_text().endswith("</html>")
    ledger.close()


def _ledger_on(disk: Path) -> tuple[Ledger, Sweep]:
    """Make a ledger with one sweep on the disk."""
    ledger = Ledger.open_file(disk / "ledger.db", clock=int)
    sweep = ledger.sweeps.create(
        name="full", spec_text="", spec_file="", metric="val/loss", goal=Goal.MINIMIZE, seed=0, data={}, settings={}
    )
    return ledger, sweep


def _is_whole(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _put_until_it_fails(ledger: Ledger, sweep_id: str) -> None:
    while True:
        ledger.outbox.put(sweep_id, MessageKind.EPOCHS, {"text": "x" * 10_000})


@pytest.mark.ray
@pytest.mark.thorough
@pytest.mark.experiment(12, runs=3)
def test_a_sweep_interrupted_by_a_full_disk_under_the_ledger_is_resumed(
    place: Place, whole: Place, small_disk: Path, turn: int, record_property: Record
) -> None:
    file = small_disk / "ledger.db"
    place.variables["MELTPOINT_LEDGER"] = f"sqlite:///{file}"
    process = place.start("run", "sweep.yaml")
    place.await_epochs(process)
    ballast = fill(small_disk)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "database or disk is full" in errors
    assert "meltpoint resume s-" in errors
    assert "Traceback" not in errors
    ballast.unlink()
    _is_whole(file)
    resume = place.start("resume", "last")
    record_property("recovery", place.seconds_until_trained_again(resume))
    _, errors = resume.communicate(timeout=120)
    assert resume.returncode == 0, errors
    assert place.leaderboard() == whole.leaderboard()
