"""Who may write or remove frame files of a gallery, and which of them no tracklet refers to."""

from collections.abc import Sequence

from sqlalchemy import exists, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import GalleryDeleting
from service.store.tables import FrameRow, GalleryRow

# Advisory locks share one space per database; the class keeps ours apart from other uses.
_FRAMES_LOCK_CLASS = 0x66726D00 << 24


async def lock_frames_shared(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody removes frame files of the gallery. Taken before files are written."""
    await connection.execute(
        text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _FRAMES_LOCK_CLASS + gallery_id}
    )


async def refuse_deleting(connection: AsyncConnection, gallery_id: int) -> None:
    """See whether files may be written for the gallery, under the lock on them.

    Raises:
        GalleryDeleting: it is being deleted, or was.
    """
    statement = select(GalleryRow.id).where(GalleryRow.id == gallery_id, ~GalleryRow.deleting)
    if await connection.scalar(statement) is None:
        raise GalleryDeleting("The gallery is being deleted; try again when that job is done.")


async def lock_frames_exclusively(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody writes frame files of the gallery. Taken before files are removed."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FRAMES_LOCK_CLASS + gallery_id})


async def unreferenced(connection: AsyncConnection, gallery_id: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Those of `hashes` that no frame of the gallery refers to; none of them when there is no such gallery any more."""
    candidates = select(text("hash")).select_from(text("unnest(CAST(:hashes AS bytea[])) AS hash"))
    statement = candidates.where(~exists().where(FrameRow.gallery_id == gallery_id, FrameRow.sha256 == text("hash")))
    # The folder of a gallery that was deleted may be that of another one by now, of the same name.
    statement = statement.where(exists().where(GalleryRow.id == gallery_id))
    return list(await connection.scalars(statement, {"hashes": list(hashes)}))
