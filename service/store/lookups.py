"""What every search asks of the database, asked together with the searches beside it."""

import uuid
from collections.abc import Collection, Mapping, Sequence

from service.store import keys, tracklets
from service.store.database import Database
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
