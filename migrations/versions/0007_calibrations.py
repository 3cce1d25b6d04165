"""Calibrations: what scores of a model mean in a gallery."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calibrations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("tracklets", sa.BigInteger(), nullable=False),
        sa.Column("slope", sa.Double(), nullable=False),
        sa.Column("intercept", sa.Double(), nullable=False),
        sa.Column("prior", sa.Double(), nullable=False),
        sa.Column("match_threshold", sa.Double(), nullable=False),
        sa.Column("possible_threshold", sa.Double(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_calibrations_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_calibrations_model_id_models"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibrations")),
    )
    op.create_index(
        op.f("ix_calibrations_gallery_id_created_at_id"),
        "calibrations",
        ["gallery_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_calibrations_model_id"), "calibrations", ["model_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_calibrations_model_id"), table_name="calibrations")
    op.drop_index(op.f("ix_calibrations_gallery_id_created_at_id"), table_name="calibrations")
    op.drop_table("calibrations")
