"""The ledger: the truth about sweeps, trials, epochs and users, with the messages that MLflow has yet to take."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from service.ledgers.accounts import Audit, Tokens, Users
from service.ledgers.backups import Contents, read_backup, write_backup
from service.ledgers.databases import open_database
from service.ledgers.events import Events
from service.ledgers.evidence import PredictionRows, Promotions
from service.ledgers.journal import read_journal
from service.ledgers.leases import Leases
from service.ledgers.outbox import Outbox
from service.ledgers.records import Lease, SweepHistory, TrialPhase
from service.ledgers.services import Services
from service.ledgers.sweeps import Sweeps
from service.ledgers.transactions import Clock, Transactions
from service.ledgers.trials import Trials
from service.settings import Home

__all__ = ["Ledger"]


class Ledger:
    """The door to one database, through attributes that each have their own methods.

    Of sweeps: `sweeps`, `trials`, `predictions`, `leases`, `outbox` (for MLflow) and `events` (for followers). Of
    models: `promotions`. Of a service: `users`, `tokens`, `audit` and `services` (its processes).

    The process that drives a sweep takes its lease and writes through `with_lease`: what it writes after another
    process has taken the lease is refused with StaleAttemptError.

    Ownership: the ledger owns its engine; `close` releases it. Thread safety: any thread may call.
    Raises (any method): LedgerError if the database cannot be opened; SQLAlchemy's errors if it fails later.
    """

    def __init__(self, url: str, *, clock: Clock, migrate: bool = True) -> None:
        self._connect(open_database(url, migrate=migrate), clock, None)

    def _connect(self, engine: Engine, clock: Clock, lease: Lease | None) -> None:
        self._engine, self._clock = engine, clock
        self._transactions = Transactions(engine, clock, lease)
        self.outbox = Outbox(self._transactions)
        self.sweeps = Sweeps(self._transactions, self.outbox)
        self.trials = Trials(self._transactions, self.outbox)
        self.predictions = PredictionRows(self._transactions)
        self.promotions = Promotions(self._transactions)
        self.leases = Leases(self._transactions)
        self.events = Events(self._transactions)
        self.users = Users(self._transactions)
        self.tokens = Tokens(self._transactions)
        self.audit = Audit(self._transactions)
        self.services = Services(self._transactions)

    @classmethod
    def open(cls, home: Home, *, clock: Clock) -> Ledger:
        """Open the ledger of a home: its file, or the database that `MELTPOINT_LEDGER` names.

        An older schema is upgraded first, unless `MELTPOINT_MIGRATE` is false.
        """
        return cls(home.ledger_url, clock=clock, migrate=home.may_migrate)

    @classmethod
    def open_file(cls, path: Path, *, clock: Clock) -> Ledger:
        """Open a SQLite file."""
        return cls(f"sqlite:///{path}", clock=clock)

    def with_lease(self, lease: Lease) -> Ledger:
        """Return the same ledger for the holder of a lease; closing this one closes it too."""
        guarded = Ledger.__new__(Ledger)
        guarded._connect(self._engine, self._clock, lease)
        return guarded

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    def history(self, sweep_id: str, phase: TrialPhase = TrialPhase.SEARCH) -> SweepHistory:
        """Return everything that a restart of one phase of the sweep decides from.

        Raises:
            SweepNotFoundError: there is no such sweep.
        """
        trials = tuple(self.trials.list(sweep_id, phase))
        ids = {trial.id for trial in trials}
        with self._transactions.reading() as connection:
            journal = tuple(entry for entry in read_journal(connection, sweep_id) if entry.trial_id in ids)
        return SweepHistory(trials=trials, epochs=self.trials.epochs_of_sweep(sweep_id), journal=journal)

    def backup(self, path: Path) -> Contents:
        """Write all tables into a file; see `write_backup`."""
        return write_backup(self._engine, path)

    def restore(self, path: Path) -> Contents:
        """Put a backup into this ledger, which must be empty; see `read_backup`."""
        return read_backup(path, self._engine)
