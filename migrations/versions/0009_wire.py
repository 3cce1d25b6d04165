"""Keys have limits and say whose a tracklet is; requests may be repeated; jobs name the request that started them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.UUID(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "path", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_expires_at"), "idempotency_keys", ["expires_at"], unique=False)
    op.add_column("api_keys", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.add_column("api_keys", sa.Column("max_tracklets", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("tracklets", sa.Column("key_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_tracklets_key_id_api_keys"), "tracklets", "api_keys", ["key_id"], ["id"])
    op.create_index(op.f("ix_tracklets_key_id"), "tracklets", ["key_id"], unique=False)
    op.add_column("jobs", sa.Column("request_id", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "request_id")
    op.drop_index(op.f("ix_tracklets_key_id"), table_name="tracklets")
    op.drop_constraint(op.f("fk_tracklets_key_id_api_keys"), "tracklets", type_="foreignkey")
    op.drop_column("tracklets", "key_id")
    op.drop_column("api_keys", "version")
    op.drop_column("api_keys", "max_tracklets")
    op.drop_column("api_keys", "requests_per_minute")
    op.drop_index(op.f("ix_idempotency_keys_expires_at"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
