"""Who may change what is in a gallery, and who may begin to delete it.

A gallery that is being deleted is passed over by every query. Whoever reads before they write would not find any more
what is in their way, were it marked in between: they keep the gallery first, and who marks it waits for them.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Advisory locks share one space per database; the class keeps ours apart from other uses.
_LOCK_CLASS = 0x67616C00 << 24


async def lock_shared(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody begins to delete the gallery. Taken before all else."""
    await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _LOCK_CLASS + gallery_id})


async def lock_exclusively(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody keeps the gallery. Taken before it is marked, and before all else."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_CLASS + gallery_id})
