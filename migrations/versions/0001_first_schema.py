"""The first schema: models, galleries, tracklets, keys, jobs, and the job queue.

The queue is procrastinate's; its schema is installed from the library, into a PostgreSQL schema of its own. A later
procrastinate that changes its schema comes with a revision here that runs the library's own migration.
"""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("CREATE SCHEMA procrastinate")
    connection.exec_driver_sql("SET LOCAL search_path = procrastinate")
    # Many statements and no parameters: the driver itself takes them as they are, percent signs and all.
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(SchemaManager.get_schema())
    connection.exec_driver_sql("SET LOCAL search_path = public")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_table(
        "galleries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("change", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_galleries")),
        sa.UniqueConstraint("name", name=op.f("uq_galleries_name")),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("architecture", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("image", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("provenance", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
    )
    op.create_table(
        "cameras",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_cameras_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cameras")),
        sa.UniqueConstraint("gallery_id", "name", name=op.f("uq_cameras_gallery_id_name")),
    )
    op.create_table(
        "changes",
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tracklet_id", sa.UUID(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("kind IN ('added', 'deleted')", name=op.f("ck_changes_kind")),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_changes_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("gallery_id", "number", name=op.f("pk_changes")),
    )
    op.create_table(
        "generations",
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_generations_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_generations_model_id_models")),
        sa.PrimaryKeyConstraint("gallery_id", "number", name=op.f("pk_generations")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_jobs_status")
        ),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_jobs_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_gallery_id"), "jobs", ["gallery_id"], unique=False)
    op.create_table(
        "tracklets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("camera_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("frames_digest", sa.LargeBinary(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("frame_count", sa.Integer(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("ck_tracklets_times")),
        sa.ForeignKeyConstraint(["camera_id"], ["cameras.id"], name=op.f("fk_tracklets_camera_id_cameras")),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_tracklets_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tracklets")),
        sa.UniqueConstraint("gallery_id", "external_id", name=op.f("uq_tracklets_gallery_id_external_id")),
    )
    op.create_index(op.f("ix_tracklets_camera_id"), "tracklets", ["camera_id"], unique=False)
    op.create_index(
        op.f("ix_tracklets_gallery_id_created_at_id"), "tracklets", ["gallery_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "descriptors",
        sa.Column("tracklet_id", sa.UUID(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_descriptors_model_id_models")),
        sa.ForeignKeyConstraint(
            ["tracklet_id"], ["tracklets.id"], name=op.f("fk_descriptors_tracklet_id_tracklets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tracklet_id", "model_id", name=op.f("pk_descriptors")),
    )
    op.create_table(
        "frames",
        sa.Column("tracklet_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("gallery_id", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_frames_gallery_id_galleries"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tracklet_id"], ["tracklets.id"], name=op.f("fk_frames_tracklet_id_tracklets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tracklet_id", "position", name=op.f("pk_frames")),
    )
    op.create_index(op.f("ix_frames_gallery_id_sha256"), "frames", ["gallery_id", "sha256"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_frames_gallery_id_sha256"), table_name="frames")
    op.drop_table("frames")
    op.drop_table("descriptors")
    op.drop_index(op.f("ix_tracklets_gallery_id_created_at_id"), table_name="tracklets")
    op.drop_index(op.f("ix_tracklets_camera_id"), table_name="tracklets")
    op.drop_table("tracklets")
    op.drop_index(op.f("ix_jobs_gallery_id"), table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("generations")
    op.drop_table("changes")
    op.drop_table("cameras")
    op.drop_table("models")
    op.drop_table("galleries")
    op.drop_table("api_keys")
    op.get_bind().exec_driver_sql("DROP SCHEMA procrastinate CASCADE")
