"""Migrations from an empty database, and from ledgers of older versions, make the tables that the code reads."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, insert, text

from search_spaces import parse_spec
from service.coordination.replays import replay
from service.errors import LedgerError
from service.ledgers import Ledger, SweepState, TrialPhase, TrialState, databases
from service.ledgers.databases import MIGRATIONS, VERSION_TABLE, open_database
from service.ledgers.tables import metadata
from service.schedulers import build_scheduler
from service.searchers import build_searcher
from tests.ready_ledgers import migrate

GOLDEN = Path(__file__).parents[1] / "golden"
OLDER = sorted(GOLDEN.glob("ledger-*.zip"))


@pytest.fixture(autouse=True)
def _migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every ledger be made by its migrations."""
    monkeypatch.setattr(databases, "_upgrade", migrate)


@pytest.fixture(params=["file", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "file":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    make: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return make()


def write_older(url: str, golden: Path) -> None:
    """Write the ledger of an older version: its schema by the migrations of that time, then its rows."""
    engine = create_engine(url)
    with zipfile.ZipFile(golden) as archive, engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, json.loads(archive.read("about.json"))["schema"])
        older = MetaData()
        older.reflect(connection)
        for table in older.sorted_tables:
            if table.name not in (VERSION_TABLE, "services"):  # a backup is without the processes of its time
                rows = [json.loads(line) for line in archive.read(f"{table.name}.jsonl").splitlines()]
                if table.name in ("outbox", "journal", "events"):  # the database gives the ids, as in the older version
                    rows = [{key: value for key, value in row.items() if key != "id"} for row in rows]
                if rows:
                    connection.execute(insert(table), rows)
    engine.dispose()


def test_migrations_and_tables_agree(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.experiment(24)
@pytest.mark.parametrize("golden", OLDER, ids=lambda path: path.stem)
def test_an_older_ledger_is_upgraded_and_its_sweep_can_go_on(url: str, golden: Path) -> None:
    write_older(url, golden)
    with closing(Ledger(url, clock=int)) as ledger:
        goes_on(ledger)


def goes_on(ledger: Ledger) -> None:
    (sweep,) = ledger.sweeps.list()
    trials = ledger.trials.list(sweep.id)
    assert sweep.state is SweepState.COMPLETED
    assert {trial.state for trial in trials} == {TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED}
    assert [len(ledger.trials.epochs(trial.id)) for trial in trials] == [trial.epochs for trial in trials]
    spec = parse_spec(sweep.spec_text, file=sweep.spec_file)
    milestones = frozenset(build_scheduler(spec).milestones)
    reports = replay(ledger.history(sweep.id), build_searcher(spec), metric=sweep.metric, milestones=milestones)
    assert reports is not None
    assert (sweep.owner, sweep.priority, sweep.restarts) == (None, 0, 0)
    assert (sweep.phase, sweep.confirmation) == (TrialPhase.SEARCH, None)
    assert {trial.phase for trial in trials} == {TrialPhase.SEARCH}
    last = ledger.events.last_id(sweep.id)
    lease = ledger.leases.take(sweep.id, holder="new", seconds=30)
    driver = ledger.with_lease(lease)
    assert driver.sweeps.move(sweep.id, SweepState.RUNNING).finished_at is None
    number = len(trials)
    new = driver.trials.create(sweep.id, number=number, point={}, recipe={}, identity="i", seed=0, started=True)
    assert [event.trial_id for event in ledger.events.after(sweep.id, last)] == [None, new.id]
    assert ledger.history(sweep.id).journal[-1].trial_id == new.id
    ledger.sweeps.cancel(sweep.id)
    ledger.sweeps.delete(sweep.id)
    assert ledger.sweeps.list() == []


def test_a_ledger_that_must_not_be_upgraded_is_refused_until_it_was(url: str) -> None:
    with pytest.raises(LedgerError, match=r"it has no tables yet, .*; run: meltpoint migrate$"):
        Ledger(url, clock=int, migrate=False)
    write_older(url, GOLDEN / "ledger-0003.zip")
    with pytest.raises(
        LedgerError, match=r"its schema is 0003, this version of Meltpoint needs .*run: meltpoint migrate$"
    ):
        Ledger(url, clock=int, migrate=False)
    Ledger(url, clock=int).close()
    Ledger(url, clock=int, migrate=False).close()


def test_the_drivers_of_an_older_ledger_are_counted_on(url: str) -> None:
    write_older(url, GOLDEN / "ledger-0003.zip")  # its sweep was paused and resumed
    with closing(Ledger(url, clock=int)) as ledger:
        (sweep,) = ledger.sweeps.list()
        assert ledger.leases.take(sweep.id, holder="new", seconds=30).attempt == 3


@pytest.mark.experiment(24)
def test_a_newer_schema_is_refused(url: str) -> None:
    Ledger(url, clock=int).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE meltpoint_schema SET version_num = '9999'"))
    engine.dispose()
    known = MIGRATIONS.joinpath("versions").glob("[0-9]*.py")
    newest = max(path.stem.partition("_")[0] for path in known)
    with pytest.raises(LedgerError, match=f"its schema is 9999, and this version .* none newer than {newest}; upgrade"):
        Ledger(url, clock=int)
