"""Data for resuming: the order of events, each trial's newest checkpoint, the action requested of a driver.

The outbox of an older ledger has the same events in the same order, so it fills the journal.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KINDS = {"trial_started": "asked", "epochs": "reported", "trial_finished": "ended"}


def upgrade() -> None:
    with op.batch_alter_table("sweeps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("wanted", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("driver_attempt", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("driver", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("lease_until", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.add_column(sa.Column("latest", sa.Text(), nullable=True))
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cause", sa.String(length=16), nullable=True))
    journal = op.create_table(
        "journal",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("sweep_id", sa.String(length=32), nullable=False),
        sa.Column("trial_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("first", sa.Integer(), nullable=True),
        sa.Column("last", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name=op.f("fk_journal_sweep_id")),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_journal_trial_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index("ix_journal_sweep", "journal", ["sweep_id", "id"])
    connection = op.get_bind()
    messages = connection.execute(
        sa.text("SELECT sweep_id, trial_id, kind, payload FROM outbox WHERE trial_id IS NOT NULL ORDER BY id")
    )
    rows = []
    for sweep_id, trial_id, kind, payload in messages:
        content = json.loads(payload) if isinstance(payload, str) else payload
        if kind in _KINDS and content.get("attempt", 1) == 1:
            epochs = {"first": content.get("first"), "last": content.get("last")}
            rows.append({"sweep_id": sweep_id, "trial_id": trial_id, "kind": _KINDS[kind]} | epochs)
    if rows:
        op.bulk_insert(journal, rows)
