"""`meltpoint report` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.ledgers import Ledger, SweepState
from service.settings import Home
from service.sweep_reports import SweepReport
from tests.service.sweeps.sweeps import add_sweep, add_trials

MELTPOINT = Path(sys.executable).with_name("meltpoint")


def run(folder: Path, home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(MELTPOINT), "report", *arguments, "--home", str(home.root)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def test_a_page_goes_to_a_file_and_writes_over_none(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    sweep = add_sweep(ledger, SweepState.COMPLETED)
    add_trials(ledger, sweep, 0.5, 0.75)
    written = run(tmp_path, home, "last", "-f", "report.html")
    assert written.returncode == 0, written.stderr
    assert (written.stdout, "wrote report.html" in written.stderr) == ("", True)
    page = (tmp_path / "report.html").read_text()
    assert page.endswith("</html>")
    assert "The prepared images are gone" in page

    refused = run(tmp_path, home, "last", "-f", "report.html", "--no-images")
    assert (refused.returncode, "--force writes over it" in refused.stderr) == (2, True)
    assert (tmp_path / "report.html").read_text() == page
    assert run(tmp_path, home, "last", "-f", "report.html", "--no-images", "--force").returncode == 0
    assert "where they are not at hand" in (tmp_path / "report.html").read_text()

    assert run(tmp_path, home, "last", "--no-images").returncode == 0
    assert (tmp_path / f"{sweep.id}.html").exists()
    assert not list(tmp_path.glob(".*.partial"))


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    add_trials(ledger, add_sweep(ledger, SweepState.COMPLETED), 0.5)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused = run(tmp_path, home, "last", "-f", "pipe", "--force", "--no-images")
    assert (refused.returncode, "pipe: not a file that can be written" in refused.stderr) == (2, True)
    assert pipe.is_fifo()


def test_the_numbers_go_to_stdout_or_to_a_file(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    add_trials(ledger, add_sweep(ledger, SweepState.COMPLETED), 0.5, 0.75)
    shown = run(tmp_path, home, "last", "-o", "json")
    assert shown.returncode == 0, shown.stderr
    report = SweepReport.model_validate_json(shown.stdout)
    assert (report.format, report.headline.value) == ("meltpoint-report-1", 0.75)
    assert run(tmp_path, home, "last", "-o", "json", "-f", "report.json").returncode == 0
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(shown.stdout)


def test_bad_places_and_unknown_sweeps_are_refused_before_anything_is_made(
    home: Home, ledger: Ledger, tmp_path: Path
) -> None:
    add_sweep(ledger, SweepState.COMPLETED)
    absent = run(tmp_path, home, "last", "-f", "no/such/folder/report.html")
    assert (absent.returncode, "in a folder that exists" in absent.stderr) == (2, True)
    unknown = run(tmp_path, home, "fish")
    assert (unknown.returncode, unknown.stderr.startswith("no sweep fish")) == (1, True)


def test_a_full_disk_leaves_no_half_of_a_report(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    add_trials(ledger, add_sweep(ledger, SweepState.COMPLETED), 0.5)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / ".report.html.partial").symlink_to(full)
    result = run(tmp_path, home, "last", "-f", "report.html", "--no-images")
    assert (result.returncode, "No space left on device" in result.stderr) == (1, True)
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / ".report.html.partial").is_symlink()
