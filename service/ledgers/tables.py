"""The ledger's tables (SQLAlchemy Core). Times are UTC milliseconds since 1970, durations are seconds."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("spec_text", Text, nullable=False),
    Column("spec_file", Text, nullable=False),
    Column("metric", String(64), nullable=False),
    Column("goal", String(8), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("data", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("best_trial_id", String(40)),
    Column("error", Text),
    Column("mlflow", JSON),
    Column("registered", JSON),
    Column("wanted", String(16)),
    Column("driver_attempt", Integer, nullable=False, server_default="0"),
    Column("driver", String(255)),
    Column("lease_until", BigInteger),
)

trials = Table(
    "trials",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("point", JSON, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("identity", String(64), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("best_epoch", Integer),
    Column("best_value", Float),
    Column("checkpoint", Text),
    Column("error", Text),
    Column("trace", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("mlflow_run_id", String(64)),
    Column("sharing", JSON),
    Column("latest", Text),
    UniqueConstraint("sweep_id", "number"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("error", Text),
    Column("cause", String(16)),
)

epochs = Table(
    "epochs",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

readings = Table(
    "readings",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("metrics", JSON, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("trial_id", ForeignKey("trials.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("first", Integer),
    Column("last", Integer),
    Index("ix_journal_sweep", "sweep_id", "id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("trial_id", String(40)),
    Column("kind", String(32), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("error", Text),
    Index("ix_outbox_waiting", "sent_at", "id"),
)
