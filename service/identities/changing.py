"""Making, naming and removing identities; giving them tracklets, and taking some away."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service import creation
from service.errors import IdentityExists, NotFound
from service.identities.editing import Edit, Editor
from service.store import assignments, identities
from service.store.identities import IdentityRecord
from service.store.versions import check_version


@dataclass(frozen=True)
class TrackletEdit:
    """What to change of a tracklet.

    Attributes:
        labels: in the place of those that it has; None: they stay.
        sets_identity: whether `identity` is to be its identity, by name; None is nobody.
    """

    labels: dict[str, Any] | None = None
    sets_identity: bool = False
    identity: str | None = None


async def create(editor: Editor, gallery: str, name: str, tracklet_ids: Sequence[uuid.UUID], done_by: str) -> uuid.UUID:
    """Make an identity of tracklets that have none; returns its id.

    Raises:
        NotFound: no such gallery, or it lacks a tracklet.
        IdentityExists: the gallery has one of this name.
        IdentityConflict: a tracklet is of another identity, or two were said to be of different people.
    """
    identity_id = creation.new_id(f"identity {gallery} {name}")
    async with editor.in_gallery(gallery, done_by) as edit:
        if creation.may_exist() and await identities.find(edit.connection, identity_id) is not None:
            # By a try of this request whose answer was lost.
            return identity_id
        made = await edit.make(name, await edit.tracklets(tracklet_ids), identity_id)
        if made is None:
            raise await _taken(edit, name)
        return made[0]


async def rename(
    editor: Editor, identity_id: uuid.UUID, name: str, versions: frozenset[int] | None, done_by: str
) -> None:
    """Give an identity another name; its tracklets keep it.

    Raises:
        NotFound, PreconditionFailed, IdentityMerged: as `Edit.identity`.
        IdentityExists: the name is taken.
    """
    async with editor.of_identity(identity_id, done_by) as edit:
        identity = await edit.identity(identity_id, versions)
        if identity.name == name:
            return
        renamed = await identities.rename(edit.connection, identity, name)
        if renamed is None:
            raise await _taken(edit, name)
        await edit.write(identity_id, "renamed", details={"name": name, "former_name": identity.name})
        await identities.count_edit(edit.connection, identity_id)
        edit.changed += renamed


async def delete(editor: Editor, identity_id: uuid.UUID, versions: frozenset[int] | None, done_by: str) -> None:
    """Remove an identity, and those that were merged into it; its tracklets stay, without one.

    Raises:
        NotFound, PreconditionFailed, IdentityMerged: as `Edit.identity`.
    """
    async with editor.of_identity(identity_id, done_by) as edit:
        identity = await edit.identity(identity_id, versions)
        lost = await identities.move_all(edit.connection, edit.gallery.id, identity.name, None)
        edit.changed += lost
        await edit.write(identity_id, "deleted", lost, details={"name": identity.name})
        for merged_id, name in await identities.merged_into(edit.connection, identity_id):
            await edit.write(merged_id, "deleted", details={"name": name})
        await identities.remove(edit.connection, identity_id)


async def assign(
    editor: Editor,
    identity_id: uuid.UUID,
    tracklet_ids: Sequence[uuid.UUID],
    move: bool,
    versions: frozenset[int] | None,
    done_by: str,
) -> None:
    """Give tracklets to an identity; those that it has already stay.

    Args:
        move: also tracklets of other identities.

    Raises:
        NotFound, PreconditionFailed, IdentityMerged: as `Edit.identity`, or the gallery lacks a tracklet.
        IdentityConflict: a tracklet is of another identity, or was said to be of a different person.
    """
    made_by = creation.new_id(f"assignment {identity_id}")
    async with editor.of_identity(identity_id, done_by) as edit:
        if await edit.made_before(identity_id, made_by) is not None:
            return
        identity = await edit.identity(identity_id, versions)
        given = await edit.give(identity, await edit.tracklets(tracklet_ids), move=move, made_by=made_by)
        if given is None and creation.is_keyed():
            # Sent again, it must not give back what somebody took away meanwhile.
            await edit.write(identity_id, "assigned", made_by=made_by)


async def unassign(
    editor: Editor, identity_id: uuid.UUID, tracklet_id: uuid.UUID, versions: frozenset[int] | None, done_by: str
) -> None:
    """Take a tracklet from an identity; it stays stored.

    Raises:
        NotFound: no such identity, or the tracklet is not one of its.
        PreconditionFailed, IdentityMerged: as `Edit.identity`.
    """
    async with editor.of_identity(identity_id, done_by) as edit:
        identity = await edit.identity(identity_id)
        held = await assignments.hold(edit.connection, edit.gallery.id, [tracklet_id])
        if not held or held[0].identity != identity.name:
            raise NotFound(f"Identity {identity_id} ({identity.name}) has no tracklet {tracklet_id}.")
        # After that, so that who sends it again, since the answer was lost, hears that it is done.
        check_version(identity.version, versions)
        await edit.take(held)


async def edit_tracklet(
    editor: Editor, tracklet_id: uuid.UUID, asked: TrackletEdit, versions: frozenset[int] | None, done_by: str
) -> None:
    """Change labels and identity of a stored tracklet. An identity that is named the first time is made.

    Raises:
        NotFound, PreconditionFailed: it is not stored, or has another version.
        IdentityConflict: it was said to be of a different person.
    """
    async with editor.of_tracklet(tracklet_id, done_by) as edit:
        identity = None
        if asked.sets_identity and asked.identity is not None:
            # Before the tracklet, as everywhere.
            identity = await _named(edit, asked.identity)
        held = await edit.tracklets([tracklet_id])
        check_version(held[0].version, versions)
        if asked.labels is not None:
            await assignments.label(edit.connection, tracklet_id, asked.labels)
            edit.changed.append(tracklet_id)
        if identity is not None:
            await edit.give(identity, held, move=True)
        elif asked.sets_identity:
            await edit.take(held)


async def _named(edit: Edit, name: str) -> IdentityRecord:
    """The identity that people call `name`, made where there is none; one that was merged is the one it is in."""
    found = await identities.find_by_name(edit.connection, edit.gallery.id, name)
    while found is not None and found.merged_into is not None:
        found = await identities.find(edit.connection, found.merged_into)
    if found is None:
        made = await edit.make(name, [])
        if made is None:
            # An upload made it a moment ago.
            return await _named(edit, name)
        return await edit.identity(made[0])
    return await edit.identity(found.id)


async def _taken(edit: Edit, name: str) -> IdentityExists:
    found = await identities.find_by_name(edit.connection, edit.gallery.id, name)
    which = "has one" if found is None else f"has {found.id}"
    merged = f", which was merged into {found.merged_into}" if found is not None and found.merged_into else ""
    return IdentityExists(
        f"Gallery {edit.gallery.name} {which} of the name {name!r} already{merged}. Assign tracklets to that one, or "
        "take another name."
    )
