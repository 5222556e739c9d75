"""The ledger's tables (SQLAlchemy Core). Times are UTC milliseconds since 1970, durations are seconds."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""The type of a number that the database gives: SQLite counts only in a column of type INTEGER."""

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
    Column("owner", String(64)),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("slot_cap", Integer),
    Column("idempotency_key", String(128)),
    Column("request_digest", String(64)),
    Column("queued_at", BigInteger),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("waiting_for", Text),
    Column("gpu_seconds_reserved", Float, nullable=False, server_default="0"),
    Column("phase", String(8), nullable=False, server_default="search"),
    Column("confirmation", JSON),
    Column("model_costs", JSON),
    Column("warm_start", JSON),
    Index("ix_sweeps_state", "state", "created_at", "id"),
    Index("ix_sweeps_owner", "owner", "created_at", "id"),
    Index("ix_sweeps_created", "created_at", "id"),
    Index("ux_sweeps_idempotency_key", "owner", "idempotency_key", unique=True),
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
    Column("phase", String(8), nullable=False, server_default="search"),
    Column("retrains", String(40)),
    Column("breaks", Text),
    Column("node", String(255)),
    UniqueConstraint("sweep_id", "number"),
    Index("ix_trials_standing", "sweep_id", "phase", "state", "best_value", "breaks"),
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
    Column("node", String(255)),
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

predictions = Table(
    "predictions",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("images", Integer, nullable=False),
    Column("packed", Text, nullable=False),
    Column("read_by", String(16), nullable=False),
    Column("read_at", BigInteger, nullable=False),
)

split_labels = Table(
    "split_labels",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), primary_key=True),
    Column("split", String(16), primary_key=True),
    Column("packed", Text, nullable=False),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("model", String(256), nullable=False),
    Column("alias", String(256), nullable=False),
    Column("version", String(32), nullable=False),
    Column("previous", String(32)),
    Column("action", String(16), nullable=False),
    Column("sweep_id", String(32)),
    Column("trial_id", String(40)),
    Column("evidence", JSON),
    Column("user_name", String(64)),
    Column("at", BigInteger, nullable=False),
    Index("ix_promotions_model", "model", "alias", "id"),
    sqlite_autoincrement=True,
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
    Index("ix_outbox_sweep", "sweep_id", "id"),
)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("weight", Float, nullable=False, server_default="1"),
    Column("max_sweeps", Integer),
    Column("max_slots", Integer),
    Column("max_trials", Integer),
    Column("gpu_hours", Float),
    Column("gpu_seconds_used", Float, nullable=False, server_default="0"),
    Column("gpu_seconds_reserved", Float, nullable=False, server_default="0"),
    Column("own_code", Boolean, nullable=False, server_default=false()),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("user_name", ForeignKey("users.name"), nullable=False, index=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("user_name", String(64)),
    Column("token_id", String(16)),
    Column("address", String(64), nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("status", Integer, nullable=False),
    Column("detail", JSON),
    Index("ix_audit_user", "user_name", "id"),
    Index("ix_audit_target", "target", "id"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("trial_id", String(40)),
    Column("kind", String(24), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_events_sweep", "sweep_id", "id"),
    sqlite_autoincrement=True,
)

services = Table(
    "services",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("host", String(255), nullable=False),
    Column("version", String(64), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("status", JSON, nullable=False),
)
