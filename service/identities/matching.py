"""A person's word on two tracklets: the same person, or not."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import IdentityConflict, InvalidRequest, NotFound
from service.identities.editing import Edit, Editor
from service.identities.merging import still_placed
from service.store import assignments, identities, matches
from service.store import identity_events as events
from service.store.assignments import Held
from service.store.identities import IdentityRecord
from service.store.identity_events import DecisionKind
from service.store.matches import MatchDecision, Verdict


@dataclass(frozen=True)
class Decided:
    """What came of a decision: one for each pair it is about, and the identity that they are of now, if any."""

    matches: list[MatchDecision]
    identity_id: uuid.UUID | None


async def of_tracklets(
    editor: Editor, gallery: str, tracklet_id: uuid.UUID, other_id: uuid.UUID, verdict: Verdict, done_by: str
) -> Decided:
    """Confirm or reject a match of two tracklets.

    `same` puts both into one identity, a new one where neither has one. `different` keeps them apart: no proposal has
    both, and nobody can put both into one identity before it is taken back.

    Raises:
        InvalidRequest: they are one tracklet.
        NotFound: no such gallery, or it lacks one of them.
        IdentityConflict: `same`, and they are of two identities; `different`, and they are of one; or what else was
            said to be different would be of one identity.
    """
    if tracklet_id == other_id:
        raise InvalidRequest("A tracklet cannot be compared with itself.")
    async with editor.in_gallery(gallery, done_by) as edit:
        pair = await edit.tracklets([tracklet_id, other_id])
        if verdict == "different":
            if pair[0].identity is not None and pair[0].identity == pair[1].identity:
                raise IdentityConflict(
                    f"Both are of identity {pair[0].identity!r} now. Unassign one of them first: "
                    "DELETE /identities/{identity_id}/tracklets/{tracklet_id}."
                )
            return Decided(await _decide(edit, tracklet_id, [other_id], verdict), None)
        # An earlier verdict of the other kind about this very pair is replaced, so it contradicts nothing.
        identity, event_id = await _together(edit, pair)
        return Decided(await _decide(edit, tracklet_id, [other_id], verdict, event_id), identity)


async def with_identity(
    editor: Editor, gallery: str, tracklet_id: uuid.UUID, identity_id: uuid.UUID, verdict: Verdict, done_by: str
) -> Decided:
    """Confirm or reject that a tracklet is of an identity.

    `same` gives it to the identity, and is a decision about it and the identity's oldest tracklet. `different` is one
    about it and every tracklet that the identity has.

    Raises:
        NotFound, IdentityMerged: as `Edit.identity`, or the gallery lacks the tracklet.
        IdentityConflict: as `of_tracklets`, or the identity has no tracklet.
    """
    async with editor.in_gallery(gallery, done_by) as edit:
        identity = await edit.identity(identity_id)
        members = await identities.tracklets_of(edit.connection, edit.gallery.id, identity.name)
        # All at once, in one order. Members that are deleted meanwhile are not held, and no decision is about them.
        held_ids = {one.id for one in await assignments.hold(edit.connection, edit.gallery.id, [tracklet_id, *members])}
        (held,) = await edit.tracklets([tracklet_id])
        others = [one for one in members if one != tracklet_id and one in held_ids]
        if not others:
            raise IdentityConflict(
                f"Identity {identity.name!r} has no other tracklet to compare with. Assign the first ones: "
                f"POST /identities/{identity_id}/tracklets."
            )
        if verdict == "different":
            if held.identity == identity.name:
                raise IdentityConflict(
                    f"Tracklet {tracklet_id} is of identity {identity.name!r} now. Unassign it first: "
                    f"DELETE /identities/{identity_id}/tracklets/{tracklet_id}."
                )
            return Decided(await _decide(edit, tracklet_id, others, verdict), None)
        _refuse_merging(held, identity)
        event_id = await edit.give(identity, [held], move=False)
        return Decided(await _decide(edit, tracklet_id, others[:1], verdict, event_id), identity_id)


async def undo(editor: Editor, match_id: uuid.UUID, done_by: str) -> None:
    """Take a decision back. What `same` put together comes apart again, unless somebody moved it since.

    An identity that the decision made, and that has nothing left then, goes too.

    Raises:
        NotFound: there is no such decision.
    """
    async with editor.of_match(match_id, done_by) as (edit, match):
        event = None if match.event_id is None else await events.find(edit.connection, match.event_id)
        owner_id, placed_ids = (event.identity_id, event.tracklet_ids) if event is not None else (None, [])
        # Before the tracklets, as everywhere; one that is gone has none of them.
        owner = None if owner_id is None else (await identities.hold(edit.connection, [owner_id])).get(owner_id)
        pair = [match.first_id, match.second_id]
        held = await assignments.hold(edit.connection, edit.gallery.id, [*pair, *placed_ids])
        if not set(pair) <= {tracklet.id for tracklet in held}:
            raise NotFound(f"There is no decision {match_id} any more: it went with a tracklet.")
        await _tell(edit, "withdrawn", pair, {"verdict": match.verdict, "decided_by": match.decided_by})
        # After the tracklets: a deletion beside it takes them first, and the decision with them.
        await matches.remove(edit.connection, match_id)
        if event is None:
            return
        since = await events.after(edit.connection, edit.gallery.id, event.id, event.tracklet_ids)
        placed = still_placed(event, since)
        await edit.take([tracklet for tracklet in held if tracklet.id in placed])
        made = event.kind == "created" and owner is not None and owner.name == event.details["name"]
        if made and owner is not None and owner.merged_into is None:
            left = await identities.tracklets_of(edit.connection, edit.gallery.id, owner.name)
            if not left and not await identities.merged_into(edit.connection, owner.id):
                await edit.write(owner.id, "deleted", details={"name": owner.name})
                await identities.remove(edit.connection, owner.id)


async def _together(edit: Edit, pair: list[Held]) -> tuple[uuid.UUID, int | None]:
    """Put two tracklets into one identity; its id, and the event that did."""
    names = {tracklet.identity for tracklet in pair} - {None}
    if not names:
        while True:
            name = f"unnamed-{uuid.uuid4().hex[:8]}"
            made = await edit.make(name, pair)
            if made is not None:
                return made
    ids = await identities.ids_of(edit.connection, edit.gallery.id, sorted(name for name in names if name))
    first, *others = (ids[name] for name in sorted(ids))
    identity = await identities.find(edit.connection, first)
    assert identity is not None
    if others:
        raise IdentityConflict(
            f"They are of two identities, {' and '.join(repr(name) for name in sorted(ids))}. If these are one person, "
            f'merge them: POST /identities/{first}/merge with {{"from_id": "{others[0]}"}}.'
        )
    return first, await edit.give(identity, pair, move=False)


def _refuse_merging(held: Held, identity: IdentityRecord) -> None:
    if held.identity not in (None, identity.name):
        raise IdentityConflict(
            f"Tracklet {held.id} is of identity {held.identity!r}. If that is the same person, merge the two: "
            f"POST /identities/{identity.id}/merge."
        )


async def _decide(
    edit: Edit,
    tracklet_id: uuid.UUID,
    other_ids: Sequence[uuid.UUID],
    verdict: Verdict,
    event_id: int | None = None,
) -> list[MatchDecision]:
    """Write the decision down for each pair, and in the histories, where it is not what was decided already."""
    pairs = [(tracklet_id, one) for one in other_ids]
    decided, written = await matches.decide(edit.connection, edit.gallery.id, pairs, verdict, edit.done_by, event_id)
    new = {one for match in decided if match.id in written for one in (match.first_id, match.second_id)}
    if new:
        about = [tracklet_id, *(one for one in other_ids if one in new)]
        await _tell(edit, "confirmed" if verdict == "same" else "rejected", about)
    return decided


async def _tell(
    edit: Edit, kind: DecisionKind, tracklet_ids: Sequence[uuid.UUID], details: dict[str, Any] | None = None
) -> None:
    """Write into the histories of held tracklets, and of the one or two identities that they are of now."""
    held = await assignments.hold(edit.connection, edit.gallery.id, tracklet_ids)
    name_of = {tracklet.id: tracklet.identity for tracklet in held}
    names = [name for name in dict.fromkeys(name_of[one] for one in tracklet_ids) if name is not None]
    ids = await identities.ids_of(edit.connection, edit.gallery.id, names)
    identity_id, other_id = [*(ids[name] for name in names), None, None][:2]
    said = dict(zip(("name", "other_name"), names, strict=False)) | (details or {})
    await edit.write(identity_id, kind, tracklet_ids, other_id, said)
