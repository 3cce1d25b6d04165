"""Cameras of a gallery, how long the ways between them take, and what an index keeps of both."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from service.errors import GalleryDeleting
from service.store.gallery_records import announce
from service.store.tables import CameraRow, GalleryRow, TrackletRow, TransitRow

# Advisory locks share one space per database; the class keeps ours apart from other uses.
_TRANSITS_LOCK_CLASS = 0x74726E00 << 24


@dataclass(frozen=True)
class Camera:
    """A camera of a gallery.

    Attributes:
        time_offset_seconds: added to its times wherever times are compared.
        tracklets: how many it saw.
    """

    id: int
    gallery: str
    name: str
    place: str | None
    latitude: float | None
    longitude: float | None
    time_offset_seconds: float
    created_at: datetime
    tracklets: int

    @property
    def version(self) -> str:
        """Another one when something else is said of it, and of another camera that has its name later."""
        return _digest((self.id, self.place, self.latitude, self.longitude, self.time_offset_seconds))


@dataclass(frozen=True)
class Transit:
    """How long somebody takes from leaving one camera's view to entering another's; `longest` None: no bound."""

    origin: str
    destination: str
    shortest: float
    longest: float | None


@dataclass(frozen=True, eq=False)
class Rules:
    """What every process keeps of a gallery beside its index.

    Attributes:
        version: counts its changes; what is here may be newer, never older.
        frame_cap: frames of a tracklet that are embedded; None: as the setting says.
        offsets: seconds added to a camera's times; cameras that are not here have none.
        transits: by the two cameras, in order; None where there is no bound. Pairs that are not here are not known.
    """

    version: int = 0
    frame_cap: int | None = None
    offsets: Mapping[str, float] = field(default_factory=dict)
    transits: Mapping[tuple[str, str], tuple[float, float | None]] = field(default_factory=dict)


_CAMERA = select(
    CameraRow.id,
    GalleryRow.name,
    CameraRow.name,
    CameraRow.place,
    CameraRow.latitude,
    CameraRow.longitude,
    CameraRow.time_offset_seconds,
    CameraRow.created_at,
    select(func.count()).where(TrackletRow.camera_id == CameraRow.id).correlate(CameraRow).scalar_subquery(),
).join(GalleryRow, and_(GalleryRow.id == CameraRow.gallery_id, ~GalleryRow.deleting))


def by_one_clock(moment: SQLColumnExpression[datetime | None]) -> ColumnElement[datetime | None]:
    """A time of a tracklet with the offset of its camera, whose row the statement has."""
    return moment + func.make_interval(0, 0, 0, 0, 0, 0, CameraRow.time_offset_seconds)


async def find(connection: AsyncConnection, gallery_id: int, name: str) -> Camera | None:
    """The gallery's camera of this name, if there is one."""
    statement = _CAMERA.where(CameraRow.gallery_id == gallery_id, CameraRow.name == name)
    row = (await connection.execute(statement)).one_or_none()
    return Camera(*row) if row else None


async def list_page(connection: AsyncConnection, gallery_id: int, limit: int, after: int | None = None) -> list[Camera]:
    """Up to `limit` cameras of the gallery, oldest first; those with an id above `after`."""
    statement = _CAMERA.where(CameraRow.gallery_id == gallery_id).order_by(CameraRow.id).limit(limit)
    if after is not None:
        statement = statement.where(CameraRow.id > after)
    return [Camera(*row) for row in await connection.execute(statement)]


async def hold(connection: AsyncConnection, gallery_id: int, name: str) -> Camera | None:
    """As `find`; nobody says something else of the camera, or removes it, before this transaction ends."""
    statement = select(CameraRow.id).where(CameraRow.gallery_id == gallery_id, CameraRow.name == name)
    # Who only refers to it, as a new tracklet does, need not wait.
    await connection.execute(statement.with_for_update(key_share=True))
    # After the wait: what others committed meanwhile counts.
    return await find(connection, gallery_id, name)


async def hold_or_create(connection: AsyncConnection, gallery_id: int, name: str) -> tuple[Camera, bool]:
    """As `hold`, and makes the camera where there is none; whether it did. The caller keeps the gallery."""
    while True:
        # Waits for a concurrent creator to commit.
        statement = insert_or(CameraRow).values(gallery_id=gallery_id, name=name).on_conflict_do_nothing()
        created = await connection.scalar(statement.returning(CameraRow.id))
        camera = await hold(connection, gallery_id, name)
        # Else somebody removed it between the two.
        if camera is not None:
            return camera, created is not None


async def put(connection: AsyncConnection, camera: Camera, gallery_id: int, values: Mapping[str, Any]) -> int:
    """Make a held camera what `values` say. Nothing may follow but COMMIT.

    Returns:
        The number of the rules that know of it.

    Raises:
        GalleryDeleting: the gallery is being deleted.
    """
    await connection.execute(update(CameraRow).where(CameraRow.id == camera.id).values(**values))
    return await _changed(connection, gallery_id)


async def remove(connection: AsyncConnection, camera: Camera, gallery_id: int) -> int | None:
    """Delete the camera, and what is said of ways from and to it. Nothing may follow but COMMIT.

    Returns:
        The number of the rules without it; None when tracklets name it, and nothing happened.

    Raises:
        GalleryDeleting: the gallery is being deleted.
    """
    # An upload that names the camera holds a lock on its row; this waits for that, and then sees the tracklet.
    await connection.execute(select(CameraRow.id).where(CameraRow.id == camera.id).with_for_update())
    if await connection.scalar(select(TrackletRow.id).where(TrackletRow.camera_id == camera.id).limit(1)) is not None:
        return None
    await connection.execute(delete(CameraRow).where(CameraRow.id == camera.id))
    return await _changed(connection, gallery_id)


async def unknown(connection: AsyncConnection, gallery_id: int, names: Sequence[str]) -> list[str]:
    """Those of the names that no camera of the gallery has; the others stay until this transaction ends."""
    statement = (
        select(CameraRow.name)
        .where(CameraRow.gallery_id == gallery_id, CameraRow.name.in_(names))
        .order_by(CameraRow.id)
        .with_for_update(read=True, key_share=True)
    )
    found = set(await connection.scalars(statement))
    return [name for name in names if name not in found]


async def transits(connection: AsyncConnection, gallery_id: int) -> list[Transit]:
    """What is said of the ways between the gallery's cameras, by the cameras' names."""
    origin, destination = aliased(CameraRow), aliased(CameraRow)
    statement = (
        select(origin.name, destination.name, TransitRow.min_seconds, TransitRow.max_seconds)
        .join(origin, origin.id == TransitRow.from_camera_id)
        .join(destination, destination.id == TransitRow.to_camera_id)
        .where(TransitRow.gallery_id == gallery_id)
        .order_by(origin.name, destination.name)
    )
    return [Transit(*row) for row in await connection.execute(statement)]


def version_of(said: Sequence[Transit]) -> str:
    """Another one when something else is said of the ways between a gallery's cameras."""
    return _digest(sorted((one.origin, one.destination, one.shortest, one.longest) for one in said))


async def lock_transits(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody else says how long the ways take. Taken before what is in the gallery."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TRANSITS_LOCK_CLASS + gallery_id})


async def put_transits(connection: AsyncConnection, gallery_id: int, given: Sequence[Transit]) -> int:
    """Say this of the ways between cameras and nothing else. Nothing may follow but COMMIT.

    The caller has locked them: two at once would each add the same pairs.

    Returns:
        The number of the rules that know of it.

    Raises:
        GalleryDeleting: the gallery is being deleted.
    """
    await connection.execute(delete(TransitRow).where(TransitRow.gallery_id == gallery_id))
    cameras = select(CameraRow.name, CameraRow.id).where(CameraRow.gallery_id == gallery_id)
    ids = {row[0]: row[1] for row in await connection.execute(cameras)}
    if given:
        await connection.execute(
            insert(TransitRow),
            [
                {
                    "gallery_id": gallery_id,
                    "from_camera_id": ids[one.origin],
                    "to_camera_id": ids[one.destination],
                    "min_seconds": one.shortest,
                    "max_seconds": one.longest,
                }
                for one in given
            ],
        )
    return await _changed(connection, gallery_id)


async def rules(connection: AsyncConnection, gallery_id: int) -> Rules:
    """The gallery's rules as they are now."""
    # The number first: what is read afterwards may be newer, and is then read again.
    state = select(GalleryRow.rules, GalleryRow.frame_cap).where(GalleryRow.id == gallery_id)
    row = (await connection.execute(state)).one_or_none()
    if row is None:
        return Rules()
    moved = select(CameraRow.name, CameraRow.time_offset_seconds).where(
        CameraRow.gallery_id == gallery_id, CameraRow.time_offset_seconds != 0
    )
    offsets = {row[0]: row[1] for row in await connection.execute(moved)}
    ways = await transits(connection, gallery_id)
    bounds = {(one.origin, one.destination): (one.shortest, one.longest) for one in ways}
    return Rules(row.rules, row.frame_cap, offsets, bounds)


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


async def _changed(connection: AsyncConnection, gallery_id: int) -> int:
    """Count a change of the rules. Locks the gallery's row, so it comes last."""
    statement = (
        update(GalleryRow)
        .where(GalleryRow.id == gallery_id, ~GalleryRow.deleting)
        .values(rules=GalleryRow.rules + 1)
        .returning(GalleryRow.rules)
    )
    number: int | None = await connection.scalar(statement)
    if number is None:
        raise GalleryDeleting("The gallery is being deleted.")
    await announce(connection, gallery_id)
    return number
