"""Tracklets have a purity: whether their frames are of one person. Those that are stored by now have none."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tracklets", sa.Column("purity", sa.REAL(), nullable=True))


def downgrade() -> None:
    op.drop_column("tracklets", "purity")
