"""Generations have an id and a state; jobs have parameters, a result, and can be asked to stop.

Every generation that exists by now was built and served, so it is ready.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generations", sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False))
    op.create_unique_constraint(op.f("uq_generations_id"), "generations", ["id"])
    op.add_column("generations", sa.Column("status", sa.Text(), server_default="ready", nullable=False))
    op.alter_column("generations", "status", server_default="building")
    op.create_check_constraint(op.f("ck_generations_status"), "generations", "status IN ('building', 'ready')")
    op.create_index(op.f("ix_descriptors_model_id"), "descriptors", ["model_id"], unique=False)
    op.add_column(
        "jobs",
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("jobs", sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("jobs", sa.Column("cancel_requested", sa.Boolean(), server_default="false", nullable=False))
    op.create_index(op.f("ix_jobs_created_at_id"), "jobs", ["created_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_jobs_created_at_id"), table_name="jobs")
    op.drop_column("jobs", "cancel_requested")
    op.drop_column("jobs", "result")
    op.drop_column("jobs", "parameters")
    op.drop_index(op.f("ix_descriptors_model_id"), table_name="descriptors")
    op.drop_constraint(op.f("ck_generations_status"), "generations", type_="check")
    op.drop_column("generations", "status")
    op.drop_constraint(op.f("uq_generations_id"), "generations", type_="unique")
    op.drop_column("generations", "id")
