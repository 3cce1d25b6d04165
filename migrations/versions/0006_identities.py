"""Identities are rows, with a history; decisions about pairs; tracklets that change say so.

Every name that a tracklet has by now becomes an identity. What was done to it before is not known, so its history
begins with one event that gives it the tracklets that it has.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("merged_into", sa.UUID(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_identities_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["identities.id"], name=op.f("fk_identities_merged_into_identities"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("gallery_id", "name", name=op.f("uq_identities_gallery_id_name")),
    )
    op.create_index(op.f("ix_identities_merged_into"), "identities", ["merged_into"], unique=False)
    op.create_index(
        op.f("ix_identities_gallery_id_created_at_id"), "identities", ["gallery_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "identity_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("identity_id", sa.UUID(), nullable=False),
        sa.Column("other_id", sa.UUID(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tracklet_ids", postgresql.ARRAY(sa.UUID()), server_default="{}", nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("done_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('created', 'renamed', 'assigned', 'unassigned', 'merged', 'unmerged', 'deleted', "
            "'tracklet_deleted')",
            name=op.f("ck_identity_events_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_identity_events_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_events")),
    )
    op.create_index(op.f("ix_identity_events_gallery_id_id"), "identity_events", ["gallery_id", "id"], unique=False)
    op.create_index(op.f("ix_identity_events_identity_id_id"), "identity_events", ["identity_id", "id"], unique=False)
    op.create_index(op.f("ix_identity_events_other_id_id"), "identity_events", ["other_id", "id"], unique=False)
    op.create_table(
        "match_decisions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("first_id", sa.UUID(), nullable=False),
        sa.Column("second_id", sa.UUID(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("first_id < second_id", name=op.f("ck_match_decisions_order")),
        sa.CheckConstraint("verdict IN ('same', 'different')", name=op.f("ck_match_decisions_verdict")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["identity_events.id"], name=op.f("fk_match_decisions_event_id_identity_events")
        ),
        sa.ForeignKeyConstraint(
            ["first_id"], ["tracklets.id"], name=op.f("fk_match_decisions_first_id_tracklets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_match_decisions_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["second_id"], ["tracklets.id"], name=op.f("fk_match_decisions_second_id_tracklets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_match_decisions")),
        sa.UniqueConstraint("first_id", "second_id", name=op.f("uq_match_decisions_first_id_second_id")),
    )
    op.create_index(op.f("ix_match_decisions_second_id"), "match_decisions", ["second_id"], unique=False)
    op.create_index(
        op.f("ix_match_decisions_gallery_id_at_id"), "match_decisions", ["gallery_id", "at", "id"], unique=False
    )
    op.add_column("tracklets", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.create_index(op.f("ix_tracklets_gallery_id_identity"), "tracklets", ["gallery_id", "identity"], unique=False)
    op.execute("""
        INSERT INTO identities (id, gallery_id, name, created_at)
        SELECT gen_random_uuid(), gallery_id, identity, min(created_at) FROM tracklets
        WHERE identity IS NOT NULL GROUP BY gallery_id, identity
    """)
    op.execute("""
        INSERT INTO identity_events (gallery_id, identity_id, kind, tracklet_ids, details, done_by)
        SELECT identities.gallery_id, identities.id, 'created', array_agg(tracklets.id ORDER BY tracklets.id),
            jsonb_build_object('name', name), 'before there was a history'
        FROM identities JOIN tracklets ON tracklets.gallery_id = identities.gallery_id AND identity = name
        GROUP BY identities.id ORDER BY identities.created_at, identities.id
    """)
    op.create_foreign_key(
        op.f("fk_tracklets_gallery_id_identity_identities"),
        "tracklets",
        "identities",
        ["gallery_id", "identity"],
        ["gallery_id", "name"],
        onupdate="CASCADE",
    )
    op.drop_constraint(op.f("ck_changes_kind"), "changes", type_="check")
    op.create_check_constraint(op.f("ck_changes_kind"), "changes", "kind IN ('added', 'deleted', 'updated')")


def downgrade() -> None:
    # An index that follows from before such a change finds what was added already, and is built anew.
    op.execute("UPDATE changes SET kind = 'added' WHERE kind = 'updated'")
    op.drop_constraint(op.f("ck_changes_kind"), "changes", type_="check")
    op.create_check_constraint(op.f("ck_changes_kind"), "changes", "kind IN ('added', 'deleted')")
    op.drop_constraint(op.f("fk_tracklets_gallery_id_identity_identities"), "tracklets", type_="foreignkey")
    op.drop_index(op.f("ix_tracklets_gallery_id_identity"), table_name="tracklets")
    op.drop_column("tracklets", "version")
    op.drop_table("match_decisions")
    op.drop_table("identity_events")
    op.drop_table("identities")
