"""A purity is of the model that gave it, so it is kept with that model's descriptor."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Kept where it is certain which model gave it: no generation of the gallery was purged, and none of another model was
# there when the tracklet came. Elsewhere nobody can say any more, and a value of another model must not be shown.
_TO_DESCRIPTORS = """
    UPDATE descriptors SET purity = tracklets.purity
    FROM tracklets JOIN galleries ON galleries.id = gallery_id
    WHERE tracklets.id = tracklet_id AND NOT given AND tracklets.purity IS NOT NULL
    AND galleries.generations = (SELECT count(*) FROM generations WHERE generations.gallery_id = galleries.id)
    AND NOT EXISTS (
        SELECT 1 FROM generations WHERE generations.gallery_id = galleries.id
        AND generations.model_id <> descriptors.model_id AND generations.created_at <= tracklets.created_at
    )
"""

_TO_TRACKLETS = """
    UPDATE tracklets SET purity = descriptors.purity
    FROM galleries, generations, descriptors
    WHERE galleries.id = tracklets.gallery_id AND generations.gallery_id = galleries.id
    AND generations.number = galleries.generation AND descriptors.tracklet_id = tracklets.id
    AND descriptors.model_id = generations.model_id
"""


def upgrade() -> None:
    op.add_column("descriptors", sa.Column("purity", sa.REAL(), nullable=True))
    op.execute(_TO_DESCRIPTORS)
    op.drop_column("tracklets", "purity")


def downgrade() -> None:
    op.add_column("tracklets", sa.Column("purity", sa.REAL(), nullable=True))
    op.execute(_TO_TRACKLETS)
    op.drop_column("descriptors", "purity")
