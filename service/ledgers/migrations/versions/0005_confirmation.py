"""Phases of sweeps and trials, predictions of single images, and promotions of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("sweeps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("phase", sa.String(length=8), nullable=False, server_default="search"))
        batch_op.add_column(sa.Column("confirmation", sa.JSON(), nullable=True))
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.add_column(sa.Column("phase", sa.String(length=8), nullable=False, server_default="search"))
        batch_op.add_column(sa.Column("retrains", sa.String(length=40), nullable=True))
    op.drop_index("ix_trials_standing", "trials")
    op.create_index("ix_trials_standing", "trials", ["sweep_id", "phase", "state", "best_value"])
    op.create_table(
        "predictions",
        sa.Column("trial_id", sa.String(length=40), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("packed", sa.Text(), nullable=False),
        sa.Column("read_by", sa.String(length=16), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_predictions_trial_id")),
        sa.PrimaryKeyConstraint("trial_id", "split", name=op.f("pk_predictions")),
    )
    op.create_table(
        "split_labels",
        sa.Column("sweep_id", sa.String(length=32), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("packed", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name=op.f("fk_split_labels_sweep_id")),
        sa.PrimaryKeyConstraint("sweep_id", "split", name=op.f("pk_split_labels")),
    )
    op.create_table(
        "promotions",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("alias", sa.String(length=256), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("previous", sa.String(length=32), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("sweep_id", sa.String(length=32), nullable=True),
        sa.Column("trial_id", sa.String(length=40), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.Column("user_name", sa.String(length=64), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_promotions_model", "promotions", ["model", "alias", "id"])
