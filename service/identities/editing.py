"""The transactions in which people change identities: locked in one order, written down, and followed by the index."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service import creation
from service.errors import FieldError, IdentityConflict, IdentityMerged, NotFound
from service.gallery.galleries import Galleries
from service.store import assignments, changes, identities, matches
from service.store import galleries as gallery_store
from service.store import identity_events as events
from service.store.assignments import Held
from service.store.database import Database
from service.store.galleries import Gallery
from service.store.identities import IdentityRecord
from service.store.identity_events import EventKind, IdentityEvent
from service.store.matches import MatchDecision
from service.store.versions import check_version

_NAMED = 20


@dataclass
class Edit:
    """One transaction of one person in one gallery.

    Attributes:
        changed: tracklets that have other columns now; every index hears of them.
    """

    connection: AsyncConnection
    gallery: Gallery
    done_by: str
    changed: list[uuid.UUID] = field(default_factory=list)

    async def made_before(self, identity_id: uuid.UUID, made_by: uuid.UUID) -> IdentityEvent | None:
        """The event that an earlier try of the running request wrote, whose answer was lost.

        Args:
            made_by: the `creation.new_id` of what the request does, as `write` was given it.
        """
        return await events.find_made(self.connection, identity_id, made_by) if creation.may_exist() else None

    async def identity(self, identity_id: uuid.UUID, versions: frozenset[int] | None = None) -> IdentityRecord:
        """An identity that can be changed; nobody gives it a tracklet before this transaction ends.

        Args:
            versions: those that the caller expects it to have; None: any.

        Raises:
            NotFound, PreconditionFailed: there is none, or it has another version.
            IdentityMerged: it went into another one.
        """
        return (await self.identities([identity_id], versions))[0]

    async def identities(
        self, ids: Sequence[uuid.UUID], versions: frozenset[int] | None = None
    ) -> list[IdentityRecord]:
        """Several identities, locked in one order; see `identity`. `versions` are the first one's."""
        held = await identities.hold(self.connection, ids)
        for identity_id in ids:
            found = held.get(identity_id)
            if found is None or found.gallery_id != self.gallery.id:
                raise NotFound(f"Gallery {self.gallery.name} has no identity {identity_id}.")
            if found.merged_into is not None:
                raise IdentityMerged(
                    f"Identity {identity_id} ({found.name}) was merged into {found.merged_into}: change that one, or "
                    f"POST /identities/{found.merged_into}/unmerge first."
                )
        check_version(held[ids[0]].version, versions)
        return [held[identity_id] for identity_id in ids]

    async def tracklets(self, tracklet_ids: Sequence[uuid.UUID]) -> list[Held]:
        """Tracklets of the gallery, held.

        Raises:
            NotFound: the gallery lacks one.
        """
        held = await assignments.hold(self.connection, self.gallery.id, tracklet_ids)
        missing = sorted(set(tracklet_ids) - {tracklet.id for tracklet in held})
        if missing:
            named = ", ".join(str(one) for one in missing[:_NAMED])
            more = f" and {len(missing) - _NAMED} others" if len(missing) > _NAMED else ""
            raise NotFound(f"Gallery {self.gallery.name} has no tracklets {named}{more}.")
        return held

    async def give(
        self, identity: IdentityRecord, held: Sequence[Held], *, move: bool, made_by: uuid.UUID | None = None
    ) -> int | None:
        """Give tracklets to an identity.

        Args:
            move: also those of other identities.
            made_by: see `made_before`.

        Returns:
            The event; None when they were its tracklets already.

        Raises:
            IdentityConflict: one is of another identity.
        """
        if not move:
            _refuse_others(held, identity.name)
        moving = [tracklet for tracklet in held if tracklet.identity != identity.name]
        if not moving:
            return None
        await self._write_loss([tracklet for tracklet in moving if tracklet.identity is not None])
        event_id = await self.write(identity.id, "assigned", [tracklet.id for tracklet in moving], made_by=made_by)
        await identities.count_edit(self.connection, identity.id)
        await self._assign(moving, identity.name)
        return event_id

    async def take(self, held: Sequence[Held]) -> None:
        """Take tracklets from the identities that they have."""
        losing = [tracklet for tracklet in held if tracklet.identity is not None]
        await self._write_loss(losing)
        await self._assign(losing, None)

    async def make(
        self, name: str, held: Sequence[Held], identity_id: uuid.UUID | None = None, **details: Any
    ) -> tuple[uuid.UUID, int] | None:
        """Make an identity of tracklets that have none; its id and the event, or None when the name is taken.

        Args:
            identity_id: its id; a random one unless given.

        Raises:
            IdentityConflict: one has an identity.
        """
        _refuse_others(held, None)
        identity_id = await identities.create(self.connection, self.gallery.id, identity_id or uuid.uuid4(), name)
        if identity_id is None:
            return None
        ids = [tracklet.id for tracklet in held]
        event_id = await self.write(identity_id, "created", ids, details={"name": name, **details})
        await self._assign(held, name)
        return identity_id, event_id

    async def write(
        self,
        identity_id: uuid.UUID | None,
        kind: EventKind,
        tracklet_ids: Sequence[uuid.UUID] = (),
        other_id: uuid.UUID | None = None,
        details: dict[str, Any] | None = None,
        made_by: uuid.UUID | None = None,
    ) -> int:
        """Write an event of this person down; returns its id."""
        if made_by is not None and creation.is_keyed():
            details = (details or {}) | {"made_by": str(made_by)}
        return await events.add(
            self.connection, self.gallery.id, identity_id, kind, self.done_by, tracklet_ids, other_id, details
        )

    async def _write_loss(self, losing: Sequence[Held]) -> None:
        names = sorted({tracklet.identity for tracklet in losing if tracklet.identity is not None})
        ids = await identities.ids_of(self.connection, self.gallery.id, names)
        for name in names:
            lost = [tracklet.id for tracklet in losing if tracklet.identity == name]
            await self.write(ids[name], "unassigned", lost)
            await identities.count_edit(self.connection, ids[name])

    async def _assign(self, held: Sequence[Held], identity: str | None) -> None:
        ids = [tracklet.id for tracklet in held]
        if ids:
            await assignments.assign(self.connection, ids, identity)
            self.changed += ids


class Editor:
    """Opens these transactions.

    One person at a time changes identities of a gallery, over all processes: an advisory lock sees to that.
    """

    def __init__(self, database: Database, galleries: Galleries) -> None:
        self._database = database
        self._galleries = galleries
        # Those who wait here for one another do not each hold a connection.
        self._turns: dict[int, asyncio.Lock] = {}

    @asynccontextmanager
    async def in_gallery(self, name: str, done_by: str) -> AsyncIterator[Edit]:
        """An edit in the gallery called `name`.

        Raises:
            NotFound: there is no such gallery.
            IdentityConflict: two tracklets that were said to be of different people would be of one.
        """
        async with self._database.reading() as connection:
            gallery = await gallery_store.find(connection, name)
        if gallery is None:
            raise NotFound(f"There is no gallery {name!r}; the first upload that names it makes it.")
        async with self._edit(gallery, done_by) as edit:
            yield edit

    @asynccontextmanager
    async def of_identity(self, identity_id: uuid.UUID, done_by: str) -> AsyncIterator[Edit]:
        """An edit in the gallery that has the identity; raises as `in_gallery`."""
        async with self._database.reading() as connection:
            found = await identities.find(connection, identity_id)
            if found is None:
                raise NotFound(f"There is no identity {identity_id}.")
            gallery = await gallery_store.get_state(connection, found.gallery_id)
        async with self._edit(gallery, done_by) as edit:
            yield edit

    @asynccontextmanager
    async def of_tracklet(self, tracklet_id: uuid.UUID, done_by: str) -> AsyncIterator[Edit]:
        """An edit in the gallery that has the tracklet; raises as `in_gallery`."""
        async with self._database.reading() as connection:
            gallery_id = await assignments.gallery_of(connection, tracklet_id)
            if gallery_id is None:
                raise NotFound(f"There is no tracklet {tracklet_id}.")
            gallery = await gallery_store.get_state(connection, gallery_id)
        async with self._edit(gallery, done_by) as edit:
            yield edit

    @asynccontextmanager
    async def of_match(self, match_id: uuid.UUID, done_by: str) -> AsyncIterator[tuple[Edit, MatchDecision]]:
        """An edit in the gallery that a decision is about, and the decision; raises as `in_gallery`."""
        async with self._database.reading() as connection:
            match = await matches.find(connection, match_id)
            if match is None:
                raise NotFound(f"There is no decision {match_id}.")
            gallery = await gallery_store.get_state(connection, match.gallery_id)
        async with self._edit(gallery, done_by) as edit:
            match = await matches.find(edit.connection, match_id)
            if match is None:
                raise NotFound(f"There is no decision {match_id} any more.")
            yield edit, match

    @asynccontextmanager
    async def _edit(self, gallery: Gallery, done_by: str) -> AsyncIterator[Edit]:
        turn = self._turns.setdefault(gallery.id, asyncio.Lock())
        async with turn, self._database.transaction() as connection:
            kept = await gallery_store.keep(connection, gallery.id)
            await identities.lock(connection, gallery.id)
            edit = Edit(connection, kept, done_by)
            yield edit
            changed = list(dict.fromkeys(edit.changed))
            if not changed:
                return
            _refuse_contradicted(await matches.contradicted(connection, changed))
            number = (await changes.record_all(connection, gallery.id, "updated", changed)).number
        await self._galleries.catch_up(gallery.name, number)


def _refuse_others(held: Sequence[Held], name: str | None) -> None:
    others = [tracklet for tracklet in held if tracklet.identity not in (None, name)]
    if others:
        raise IdentityConflict(
            f"{len(others)} of the tracklets are of another identity ({others[0].id} of {others[0].identity!r}). "
            "Send `move: true` to POST /identities/{identity_id}/tracklets to move them, or leave them out.",
            [FieldError(str(one.id), f"is of identity {one.identity!r}") for one in others[:_NAMED]],
        )


def _refuse_contradicted(contradicted: Sequence[MatchDecision]) -> None:
    if contradicted:
        first = contradicted[0]
        raise IdentityConflict(
            f"Tracklets {first.first_id} and {first.second_id} were said to be of different people, by "
            f"{first.decided_by}. Take that back first: DELETE /matches/{first.id}.",
            [FieldError(str(one.id), f"{one.first_id} and {one.second_id} are different") for one in contradicted],
        )
