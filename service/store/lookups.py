"""What many requests ask of the database at once, asked together with those beside it."""

import asyncio
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from service.store import changes, galleries, keys, tracklets
from service.store.changes import RecordedChange
from service.store.database import Database
from service.store.galleries import Gallery
from service.store.keys import ApiKey
from service.store.together import Together
from service.store.tracklets import StoredTracklet


class KeyLookup:
    """Finds API keys by their secrets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together = Together(self._load)

    async def find(self, secret: str) -> ApiKey | None:
        """The key with this secret, unless it is revoked.

        Raises:
            DatabaseUnavailable.
        """
        digest = keys.digest(secret)
        return (await self._together.find([digest])).get(digest)

    async def _load(self, digests: Collection[bytes]) -> Mapping[bytes, ApiKey]:
        async with self._database.reading() as connection:
            return await keys.find_by_digests(connection, digests)


class TrackletLookup:
    """Finds stored tracklets by their ids."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together = Together(self._load)

    async def find(self, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, StoredTracklet]:
        """Those of the tracklets that are stored, and maybe others.

        Raises:
            DatabaseUnavailable.
        """
        return await self._together.find(ids)

    async def _load(self, ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, StoredTracklet]:
        async with self._database.reading() as connection:
            return await tracklets.find_many(connection, list(ids))


class ChangesAsked(NamedTuple):
    """The changes of a gallery after a number, at most `limit`."""

    gallery: str
    after: int
    limit: int


class ChangesLookup:
    """Reads changes for those who follow galleries.

    A change wakes all who wait for it in the same turn, and one connection reads it for all of them.

    Args:
        at_once: connections that it holds at most.
    """

    def __init__(self, database: Database, at_once: int) -> None:
        self._database = database
        self._places = asyncio.Semaphore(at_once)
        self._together = Together(self._load)

    async def find(self, asked: ChangesAsked) -> tuple[Gallery, list[RecordedChange]] | None:
        """The gallery as it stands, and those of its changes; None where there is no such gallery.

        Raises:
            DatabaseUnavailable.
        """
        return (await self._together.find([asked])).get(asked)

    async def _load(
        self, asked: Collection[ChangesAsked]
    ) -> Mapping[ChangesAsked, tuple[Gallery, list[RecordedChange]]]:
        found = {}
        async with self._places, self._database.reading() as connection:
            # Before their changes: the number that a gallery shows must not be beyond what its followers were shown.
            stored = {name: await galleries.find(connection, name) for name in {one.gallery for one in asked}}
            for one in asked:
                gallery = stored[one.gallery]
                if gallery is not None:
                    found[one] = gallery, await changes.list_after(connection, gallery.id, one.after, one.limit)
        return found
