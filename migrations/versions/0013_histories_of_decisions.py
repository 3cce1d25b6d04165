"""Decisions about pairs are in the history, also of tracklets that have no identity."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BEFORE = "'created', 'renamed', 'assigned', 'unassigned', 'merged', 'unmerged', 'deleted', 'tracklet_deleted'"
_DECISIONS = "'confirmed', 'rejected', 'withdrawn'"


def upgrade() -> None:
    _allow(f"{_BEFORE}, {_DECISIONS}")
    op.alter_column("identity_events", "identity_id", existing_type=sa.UUID(), nullable=True)
    op.create_index(
        op.f("ix_identity_events_tracklet_ids"), "identity_events", ["tracklet_ids"], postgresql_using="gin"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_identity_events_tracklet_ids"), table_name="identity_events")
    op.execute(f"DELETE FROM identity_events WHERE kind IN ({_DECISIONS})")  # noqa: S608 - nothing comes from outside
    op.alter_column("identity_events", "identity_id", existing_type=sa.UUID(), nullable=False)
    _allow(_BEFORE)


def _allow(kinds: str) -> None:
    op.drop_constraint(op.f("ck_identity_events_kind"), "identity_events", type_="check")
    op.create_check_constraint(op.f("ck_identity_events_kind"), "identity_events", f"kind IN ({kinds})")
