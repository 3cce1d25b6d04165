"""Galleries are described and deleted, cameras have a place and a time offset, and ways between cameras take time.

A job outlives its gallery: it keeps the gallery's name. A descriptor says of how many frames it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("galleries", sa.Column("description", sa.Text(), nullable=True))
    op.add_column("galleries", sa.Column("purpose", sa.Text(), nullable=True))
    op.add_column("galleries", sa.Column("legal_basis", sa.Text(), nullable=True))
    op.add_column("galleries", sa.Column("frame_cap", sa.Integer(), nullable=True))
    op.add_column("galleries", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("galleries", sa.Column("rules", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("galleries", sa.Column("deleting", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(op.f("ck_galleries_frame_cap"), "galleries", "frame_cap >= 1")
    op.add_column("cameras", sa.Column("place", sa.Text(), nullable=True))
    op.add_column("cameras", sa.Column("latitude", sa.Float(), nullable=True))
    op.add_column("cameras", sa.Column("longitude", sa.Float(), nullable=True))
    op.add_column("cameras", sa.Column("time_offset_seconds", sa.Float(), server_default="0", nullable=False))
    op.create_table(
        "transits",
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("from_camera_id", sa.BigInteger(), nullable=False),
        sa.Column("to_camera_id", sa.BigInteger(), nullable=False),
        sa.Column("min_seconds", sa.Float(), nullable=False),
        sa.Column("max_seconds", sa.Float(), nullable=True),
        sa.CheckConstraint("min_seconds >= 0 AND max_seconds >= min_seconds", name=op.f("ck_transits_bounds")),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_transits_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["from_camera_id"], ["cameras.id"], name=op.f("fk_transits_from_camera_id_cameras"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["to_camera_id"], ["cameras.id"], name=op.f("fk_transits_to_camera_id_cameras"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("from_camera_id", "to_camera_id", name=op.f("pk_transits")),
    )
    op.create_index(op.f("ix_transits_gallery_id"), "transits", ["gallery_id"], unique=False)
    op.create_index(op.f("ix_transits_to_camera_id"), "transits", ["to_camera_id"], unique=False)
    op.add_column("descriptors", sa.Column("frames", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("gallery_name", sa.Text(), nullable=True))
    op.execute("UPDATE jobs SET gallery_name = galleries.name FROM galleries WHERE galleries.id = jobs.gallery_id")
    op.drop_constraint(op.f("fk_jobs_gallery_id_galleries"), "jobs", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_jobs_gallery_id_galleries"), "jobs", "galleries", ["gallery_id"], ["id"], ondelete="SET NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_jobs_gallery_id_galleries"), "jobs", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_jobs_gallery_id_galleries"), "jobs", "galleries", ["gallery_id"], ["id"], ondelete="CASCADE"
    )
    op.drop_column("jobs", "gallery_name")
    op.drop_column("descriptors", "frames")
    op.drop_table("transits")
    for name in ("time_offset_seconds", "longitude", "latitude", "place"):
        op.drop_column("cameras", name)
    op.drop_constraint(op.f("ck_galleries_frame_cap"), "galleries", type_="check")
    for name in ("deleting", "rules", "version", "frame_cap", "legal_basis", "purpose", "description"):
        op.drop_column("galleries", name)
