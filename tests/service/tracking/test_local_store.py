"""The home's own MLflow store: whole or not there, whenever its maker dies, and mended if it is half made."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from service.errors import TrackingError
from service.settings import Home
from service.tracking import MlflowServer, prepare_local_store
from service.tracking.local_store import is_local_store_ready
from tests.service.tracking.killed_makers import MLFLOWS, Makers, makers

pytestmark = pytest.mark.slow

STORE_FILES = {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlflow.db.lock"}


@pytest.fixture(scope="module")
def killed_makers() -> Iterator[Makers]:
    with makers() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture(scope="module")
def half_made_store(killed_makers: Makers, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store that MLflow has made half."""
    folder = tmp_path_factory.mktemp("half-made")
    steps = killed_makers.make(folder / "whole", way=MLFLOWS)
    killed_makers.make_until(steps // 2, folder / "half", way=MLFLOWS)
    return Home(folder / "half").mlflow_store.read_bytes()


@pytest.fixture
def half_made(home: Home, half_made_store: bytes) -> Home:
    """A home with a store that MLflow has made half."""
    home.mlflow_store.write_bytes(half_made_store)
    return home


def takes_runs(home: Home) -> bool:
    client = MlflowClient(tracking_uri=home.local_tracking_uri)
    run = client.create_run(client.create_experiment("after"))
    return [match.info.run_id for match in client.search_runs([run.info.experiment_id])] == [run.info.run_id]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files(home: Home) -> set[str]:
    return {path.name for path in home.root.iterdir() if path.name.startswith("mlflow") and path.is_file()}


def journal_mode(home: Home) -> str:
    with closing(sqlite3.connect(home.mlflow_store)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_new_store_is_whole_and_has_a_write_ahead_log(home: Home) -> None:
    prepare_local_store(home)
    assert journal_mode(home) == "wal"
    assert takes_runs(home)
    assert files(home) <= STORE_FILES
    before = home.mlflow_store.stat().st_ino
    prepare_local_store(home)
    assert home.mlflow_store.stat().st_ino == before, "a store that is whole stays as it is"


def test_a_store_whose_maker_dies_at_any_step_is_whole_or_not_there(
    tmp_path: Path, killed_makers: Makers, thorough: bool
) -> None:
    steps = killed_makers.make(tmp_path / "whole")
    assert steps > 1000
    in_mlflow = range(0, steps, 20) if thorough else [steps // 2]
    afterwards = range(
        steps - 28, steps, 1 if thorough else 9
    )  # from the end of MLflow's steps on: copied, renamed, tidied
    is_there = []
    for step in sorted({*in_mlflow, *afterwards}):
        home = Home(tmp_path / f"home-{step}")
        killed_makers.make_until(step, home.root)
        is_there.append(home.mlflow_store.exists())
        killed_makers.make(home.root)
        assert takes_runs(home), step
        assert files(home) <= STORE_FILES, f"{step}: nothing is left over, and nothing had to be set aside"
    assert is_there == sorted(is_there)
    assert set(is_there) == {False, True}


def test_a_half_made_store_is_set_aside_whenever_its_mender_dies(
    tmp_path: Path, killed_makers: Makers, half_made_store: bytes, thorough: bool
) -> None:
    def half_made_home(name: str) -> Home:
        home = Home(tmp_path / name).create()
        home.mlflow_store.write_bytes(half_made_store)
        return home

    steps = killed_makers.make(half_made_home("mended").root)
    for step in range(steps - 24, steps, 1 if thorough else 8):
        home = half_made_home(f"home-{step}")
        killed_makers.make_until(step, home.root)
        killed_makers.make(home.root)
        assert takes_runs(home), step
        assert files(home) - STORE_FILES == {"mlflow.db.broken-1"}, step


def test_mlflow_refuses_a_store_that_is_half_made_and_takes_runs_once_it_is_mended(half_made: Home) -> None:
    before = half_made.root / "before.db"
    before.write_bytes(half_made.mlflow_store.read_bytes())
    with pytest.raises(SQLAlchemyError, match="already exists"):
        MlflowClient(tracking_uri=f"sqlite:///{before}").search_experiments()
    prepare_local_store(half_made)
    assert takes_runs(half_made)
    assert (half_made.root / "mlflow.db.broken-1").exists()


def test_the_server_of_a_home_with_a_half_made_store_comes_up(half_made: Home) -> None:
    with closing(MlflowServer(half_made, port=None)) as server:
        server.wait_until_ready()
        assert server.answers()
    assert is_local_store_ready(half_made)
    assert (half_made.root / "mlflow.db.broken-1").exists()


def test_a_half_made_store_that_is_in_use_is_not_touched(half_made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tracking.local_store._BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(half_made.mlflow_store, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN")
        other.execute("SELECT * FROM sqlite_master").fetchone()
        with pytest.raises(TrackingError, match="half made, and another process has it open"):
            prepare_local_store(half_made)
    assert "mlflow.db.broken-1" not in files(half_made)


def test_processes_that_want_a_new_store_at_once_get_the_same(home: Home) -> None:
    threads = [threading.Thread(target=prepare_local_store, args=(home,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert takes_runs(home)
    assert files(home) <= STORE_FILES


def test_files_that_outlived_a_deleted_store_do_not_damage_the_new_one(home: Home) -> None:
    prepare_local_store(home)
    with closing(sqlite3.connect(home.mlflow_store)) as connection:
        connection.execute("CREATE TABLE old (x)")
        connection.commit()
        log = home.mlflow_store.with_name("mlflow.db-wal").read_bytes()
    home.mlflow_store.unlink()
    home.mlflow_store.with_name("mlflow.db-wal").write_bytes(log)
    prepare_local_store(home)
    with closing(sqlite3.connect(home.mlflow_store)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'old'").fetchone() is None
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_with_runs_and_a_file_that_is_no_database_stay_as_they_are(home: Home, tmp_path: Path) -> None:
    prepare_local_store(home)
    assert takes_runs(home)
    with closing(sqlite3.connect(home.mlflow_store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
        connection.commit()
    prepare_local_store(home)
    assert files(home) <= STORE_FILES
    other = Home(tmp_path / "other").create()
    other.mlflow_store.write_text("not a database, and long enough to be seen as one that is damaged" * 20)
    assert is_local_store_ready(other)


def test_a_server_needs_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    prepare_local_store(home)
    assert is_local_store_ready(home)
    assert not files(home)


def test_a_file_of_another_home_is_made_whole_too_and_keeps_its_journal_mode(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Home(tmp_path / "other").create()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other.local_tracking_uri)
    prepare_local_store(home)
    assert not files(home)
    assert takes_runs(other)
    assert journal_mode(other) == "delete"


def test_a_store_that_mlflow_itself_is_making_is_left_to_it(home: Home, killed_makers: Makers) -> None:
    making = threading.Thread(target=killed_makers.make, args=(home.root,), kwargs={"way": MLFLOWS})
    making.start()
    until(home.mlflow_store.exists)
    prepare_local_store(home)
    making.join()
    assert takes_runs(home)
    assert files(home) <= STORE_FILES
