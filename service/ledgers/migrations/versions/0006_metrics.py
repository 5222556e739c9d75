"""Costs of models, limits that trials break, and what a sweep knows from earlier sweeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sweeps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("model_costs", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("warm_start", sa.JSON(), nullable=True))
    with op.batch_alter_table("trials", schema=None) as batch_op:
        batch_op.add_column(sa.Column("breaks", sa.Text(), nullable=True))
    op.drop_index("ix_trials_standing", "trials")
    op.create_index("ix_trials_standing", "trials", ["sweep_id", "phase", "state", "best_value", "breaks"])
