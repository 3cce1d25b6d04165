"""A gallery names the generation that is joining: uploads are described for it too, before it serves."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("galleries", sa.Column("joining", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("galleries", "joining")
