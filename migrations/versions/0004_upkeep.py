"""Galleries count how often every process was asked to build its index anew."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("galleries", sa.Column("rebuild", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("galleries", "rebuild")
