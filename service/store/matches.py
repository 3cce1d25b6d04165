"""What people decided of pairs of tracklets: the same person, or not."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, any_, bindparam, delete, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from service.store.tables import GalleryRow, MatchDecisionRow, TrackletRow

Verdict = Literal["same", "different"]


@dataclass(frozen=True)
class MatchDecision:
    """A decision about two tracklets, `first_id` < `second_id`.

    Attributes:
        event_id: the event that put them into one identity, if this decision did.
    """

    id: uuid.UUID
    gallery_id: int
    gallery: str
    first_id: uuid.UUID
    second_id: uuid.UUID
    verdict: Verdict
    event_id: int | None
    decided_by: str
    at: datetime


_MATCH = select(
    MatchDecisionRow.id,
    MatchDecisionRow.gallery_id,
    GalleryRow.name,
    MatchDecisionRow.first_id,
    MatchDecisionRow.second_id,
    MatchDecisionRow.verdict,
    MatchDecisionRow.event_id,
    MatchDecisionRow.decided_by,
    MatchDecisionRow.at,
).join(GalleryRow, and_(GalleryRow.id == MatchDecisionRow.gallery_id, ~GalleryRow.deleting))
_UNNESTED = "unnest(CAST(:firsts AS uuid[]), CAST(:seconds AS uuid[])) AS pairs (first_id, second_id)"
_PAIRS = select(text("first_id"), text("second_id")).select_from(text(_UNNESTED))
_DECIDE = text(f"""
    INSERT INTO match_decisions (id, gallery_id, first_id, second_id, verdict, event_id, decided_by)
    SELECT gen_random_uuid(), :gallery_id, first_id, second_id, :verdict, CAST(:event_id AS bigint), :decided_by
    FROM {_UNNESTED}
    ON CONFLICT (first_id, second_id) DO UPDATE
    SET verdict = EXCLUDED.verdict, event_id = EXCLUDED.event_id, decided_by = EXCLUDED.decided_by,
        at = clock_timestamp()
    WHERE match_decisions.verdict <> EXCLUDED.verdict OR EXCLUDED.event_id IS NOT NULL
    RETURNING id
""")  # noqa: S608 - nothing comes from outside
_IDS = any_(bindparam("ids", type_=ARRAY(UUID(as_uuid=True))))


async def find(connection: AsyncConnection, match_id: uuid.UUID) -> MatchDecision | None:
    """The decision, if there is one."""
    row = (await connection.execute(_MATCH.where(MatchDecisionRow.id == match_id))).one_or_none()
    return MatchDecision(*row) if row else None


async def list_page(
    connection: AsyncConnection,
    gallery: str,
    verdict: Verdict | None,
    limit: int,
    before: tuple[datetime, uuid.UUID] | None,
) -> list[MatchDecision]:
    """Up to `limit` decisions in the gallery, newest first, older than `before` (time, id)."""
    statement = (
        _MATCH.where(GalleryRow.name == gallery)
        .order_by(MatchDecisionRow.at.desc(), MatchDecisionRow.id.desc())
        .limit(limit)
    )
    if verdict is not None:
        statement = statement.where(MatchDecisionRow.verdict == verdict)
    if before is not None:
        statement = statement.where(tuple_(MatchDecisionRow.at, MatchDecisionRow.id) < tuple_(*before))
    return [MatchDecision(*row) for row in await connection.execute(statement)]


async def decide(
    connection: AsyncConnection,
    gallery_id: int,
    pairs: Sequence[tuple[uuid.UUID, uuid.UUID]],
    verdict: Verdict,
    decided_by: str,
    event_id: int | None = None,
) -> tuple[list[MatchDecision], set[uuid.UUID]]:
    """Write decisions down, in the place of others about the same pairs; what changes nothing is left out.

    Returns:
        What is decided of the pairs now, and the ids of what was written.
    """
    values = {"firsts": [min(pair) for pair in pairs], "seconds": [max(pair) for pair in pairs]}
    made = {"gallery_id": gallery_id, "verdict": verdict, "decided_by": decided_by, "event_id": event_id}
    written = set(await connection.scalars(_DECIDE, values | made))
    found = _MATCH.where(tuple_(MatchDecisionRow.first_id, MatchDecisionRow.second_id).in_(_PAIRS))
    rows = await connection.execute(found.order_by(MatchDecisionRow.id), values)
    return [MatchDecision(*row) for row in rows], written


async def remove(connection: AsyncConnection, match_id: uuid.UUID) -> None:
    """Take a decision back."""
    await connection.execute(delete(MatchDecisionRow).where(MatchDecisionRow.id == match_id))


async def rejected(connection: AsyncConnection, gallery_id: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Every pair of the gallery that is not the same person."""
    statement = select(MatchDecisionRow.first_id, MatchDecisionRow.second_id).where(
        MatchDecisionRow.gallery_id == gallery_id, MatchDecisionRow.verdict == "different"
    )
    return [(row[0], row[1]) for row in await connection.execute(statement)]


async def contradicted(connection: AsyncConnection, tracklet_ids: Sequence[uuid.UUID]) -> list[MatchDecision]:
    """Decisions about one of the tracklets that say "different" of two that are of one identity now; a few."""
    first, second = aliased(TrackletRow), aliased(TrackletRow)
    statement = (
        _MATCH.join(first, first.id == MatchDecisionRow.first_id)
        .join(second, second.id == MatchDecisionRow.second_id)
        .where(
            or_(MatchDecisionRow.first_id == _IDS, MatchDecisionRow.second_id == _IDS),
            MatchDecisionRow.verdict == "different",
            first.identity == second.identity,
        )
        .limit(5)
    )
    return [MatchDecision(*row) for row in await connection.execute(statement, {"ids": list(tracklet_ids)})]
