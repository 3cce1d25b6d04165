"""Galleries count the generations that they ever had, so that no number is given twice."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("galleries", sa.Column("generations", sa.BigInteger(), server_default="1", nullable=False))
    op.execute(
        "UPDATE galleries SET generations ="
        " greatest(generation, (SELECT max(number) FROM generations WHERE gallery_id = galleries.id))"
    )


def downgrade() -> None:
    op.drop_column("galleries", "generations")
