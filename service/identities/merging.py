"""Two identities that are one person, and taking that back without loss."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from service import creation
from service.errors import InvalidRequest, MergeUndone, NotFound
from service.identities.editing import Edit, Editor
from service.store import assignments, identities
from service.store import identity_events as events
from service.store.identity_events import DECISIONS, IdentityEvent


@dataclass(frozen=True)
class Unmerged:
    """What an un-merge did with the tracklets that the merge had moved.

    Attributes:
        identity_id: the identity that stands for itself again.
        restored: they are its tracklets again.
        elsewhere: somebody gave them to somebody, or took them away, since: they stay as they are.
        gone: they were deleted since.
    """

    identity_id: uuid.UUID
    restored: list[uuid.UUID]
    elsewhere: list[uuid.UUID]
    gone: list[uuid.UUID]


async def merge(
    editor: Editor, kept_id: uuid.UUID, other_id: uuid.UUID, versions: frozenset[int] | None, done_by: str
) -> int:
    """Give all tracklets of `other_id` to `kept_id`; the other stays readable. Returns the event that can be undone.

    Raises:
        InvalidRequest: they are one identity.
        NotFound, PreconditionFailed, IdentityMerged: as `Edit.identity`; the versions are those of `kept_id`.
        IdentityConflict: two of their tracklets were said to be of different people.
    """
    if kept_id == other_id:
        raise InvalidRequest("An identity cannot be merged into itself.")
    made_by = creation.new_id(f"merge {kept_id} {other_id}")
    async with editor.of_identity(kept_id, done_by) as edit:
        made = await edit.made_before(kept_id, made_by)
        if made is not None:
            return made.id
        kept, other = await edit.identities([kept_id, other_id], versions)
        moved = await identities.move_all(edit.connection, edit.gallery.id, other.name, kept.name)
        edit.changed += moved
        await identities.set_merged(edit.connection, other_id, kept_id)
        for identity_id in (kept_id, other_id):
            await identities.count_edit(edit.connection, identity_id)
        details = {"name": kept.name, "other_name": other.name}
        return await edit.write(kept_id, "merged", moved, other_id, details, made_by)


async def unmerge(
    editor: Editor, kept_id: uuid.UUID, event_id: int, versions: frozenset[int] | None, done_by: str
) -> Unmerged:
    """Take a merge back: exactly what it moved and nobody moved since goes back.

    Raises:
        NotFound: no such identity, or the event is no merge into it.
        PreconditionFailed: `kept_id` has another version.
        IdentityMerged: the identity went into another one since: that merge comes first.
        MergeUndone: it is undone already.
    """
    made_by = creation.new_id(f"undoing of merge {event_id}")
    async with editor.of_identity(kept_id, done_by) as edit:
        event = await events.find(edit.connection, event_id)
        if event is None or event.kind != "merged" or event.identity_id != kept_id or event.other_id is None:
            raise NotFound(f"Event {event_id} is no merge into identity {kept_id}; GET /identities/{kept_id}/history.")
        made = await edit.made_before(kept_id, made_by)
        if made is not None:
            return await _as_undone(edit, event, event.other_id, made.tracklet_ids)
        held = await identities.hold(edit.connection, [kept_id, event.other_id])
        kept = await edit.identity(kept_id, versions)
        other = held.get(event.other_id)
        last = await events.last_merge(edit.connection, kept_id, event.other_id)
        if other is None or other.merged_into != kept_id or last != event_id:
            raise MergeUndone(f"Merge {event_id} is undone already; GET /identities/{kept_id}/history.")
        stored = await _stored(edit, event)
        since = await events.after(edit.connection, edit.gallery.id, event_id, event.tracklet_ids)
        placed = still_placed(event, since)
        restored = [one for one in event.tracklet_ids if one in placed and one in stored]
        await identities.set_merged(edit.connection, other.id, None)
        for identity in (kept, other):
            await identities.count_edit(edit.connection, identity.id)
        details = {"name": kept.name, "other_name": other.name, "event_id": event_id}
        await edit.write(kept_id, "unmerged", restored, other.id, details, made_by)
        if restored:
            await assignments.assign(edit.connection, restored, other.name)
            edit.changed += restored
        return await _as_undone(edit, event, other.id, restored)


async def _stored(edit: Edit, merge: IdentityEvent) -> set[uuid.UUID]:
    """Those of the tracklets that a merge moved which are stored; they are held."""
    return {one.id for one in await assignments.hold(edit.connection, edit.gallery.id, merge.tracklet_ids)}


async def _as_undone(
    edit: Edit, merge: IdentityEvent, identity_id: uuid.UUID, restored: Sequence[uuid.UUID]
) -> Unmerged:
    stored, back = await _stored(edit, merge), set(restored)
    left = [one for one in merge.tracklet_ids if one not in back]
    elsewhere = [one for one in left if one in stored]
    return Unmerged(identity_id, list(restored), elsewhere, [one for one in left if one not in stored])


def still_placed(placing: IdentityEvent, since: Sequence[IdentityEvent]) -> set[uuid.UUID]:
    """Those of the tracklets that an event placed which are where they are because of it.

    A later merge that was undone does not count: it put them back where they were, for the reason that they were.

    Args:
        since: the gallery's events after it that are about them, in order.
    """
    reason: dict[uuid.UUID, int | None] = dict.fromkeys(placing.tracklet_ids, placing.id)
    before: dict[tuple[int, uuid.UUID], int | None] = {}
    for event in since:
        for tracklet_id in reason.keys() & set(event.tracklet_ids):
            if event.kind == "merged":
                before[event.id, tracklet_id] = reason[tracklet_id]
                reason[tracklet_id] = event.id
            elif event.kind == "unmerged":
                reason[tracklet_id] = before[event.details["event_id"], tracklet_id]
            elif event.kind in ("created", "assigned"):
                reason[tracklet_id] = event.id
            elif event.kind not in DECISIONS:
                reason[tracklet_id] = None
    return {tracklet_id for tracklet_id, event_id in reason.items() if event_id == placing.id}
