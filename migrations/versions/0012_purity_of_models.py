"""A purity is of the model that gave it, so it is kept with that model's descriptor."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# A tracklet's single purity is of the model that served when the tracklet came. Which that was is certain where the
# gallery's first generation is still there, and nobody had yet asked for one of another model. Purged generations leave
# no row, and their numbers were given again, but the jobs that made them stay as long as their gallery. A job that
# names no model kept the one that served. Elsewhere a purity may be another model's, and must not be shown.
_OF_THE_UPLOAD = """
    CREATE TEMPORARY VIEW of_the_upload AS
    SELECT tracklets.id AS tracklet_id, generations.model_id
    FROM tracklets JOIN generations ON generations.gallery_id = tracklets.gallery_id AND number = 1
    WHERE NOT EXISTS (
        SELECT 1 FROM jobs WHERE jobs.gallery_id = tracklets.gallery_id AND kind = 'reindex'
        AND parameters ->> 'model_id' <> generations.model_id AND jobs.created_at <= tracklets.created_at
    )
    AND NOT EXISTS (
        SELECT 1 FROM generations AS other WHERE other.gallery_id = tracklets.gallery_id
        AND other.model_id <> generations.model_id AND other.created_at <= tracklets.created_at
    )
"""

_TO_DESCRIPTORS = """
    UPDATE descriptors SET purity = tracklets.purity FROM of_the_upload JOIN tracklets ON id = tracklet_id
    WHERE descriptors.tracklet_id = id AND descriptors.model_id = of_the_upload.model_id
    AND NOT given AND tracklets.purity IS NOT NULL
"""

# Whichever model serves by now: the way up takes it for that of the upload.
_TO_TRACKLETS = """
    UPDATE tracklets SET purity = descriptors.purity FROM of_the_upload JOIN descriptors USING (tracklet_id, model_id)
    WHERE id = tracklet_id
"""


def upgrade() -> None:
    op.add_column("descriptors", sa.Column("purity", sa.REAL(), nullable=True))
    op.execute(_OF_THE_UPLOAD)
    op.execute(_TO_DESCRIPTORS)
    op.execute("DROP VIEW of_the_upload")
    op.drop_column("tracklets", "purity")


def downgrade() -> None:
    op.add_column("tracklets", sa.Column("purity", sa.REAL(), nullable=True))
    op.execute(_OF_THE_UPLOAD)
    op.execute(_TO_TRACKLETS)
    op.execute("DROP VIEW of_the_upload")
    op.drop_column("descriptors", "purity")
