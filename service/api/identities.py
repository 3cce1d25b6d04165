"""Identities: make, read, list, rename, delete; give and take tracklets; merge and un-merge; proposals."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.conditional import TAGGED, IfMatch, etag, versions_in
from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_cursor, decode_number, encode_cursor
from service.api.dependencies import ReadKey, ServiceDep, WriteKey, single_valued
from service.api.identity_schemas import (
    Appearance,
    AppearancePage,
    Assignment,
    EventPage,
    Identity,
    IdentityChange,
    IdentityDetails,
    IdentityListParameters,
    IdentityPage,
    Merge,
    Merged,
    NewIdentity,
    Unmerge,
    UnmergedAnswer,
)
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.api.proposal_schemas import ProposalParameters, ProposalsAnswer
from service.api.values import PageParameters
from service.errors import (
    GalleryDeleting,
    IdentityConflict,
    IdentityExists,
    IdentityMerged,
    IndexNotReady,
    MergeUndone,
    NotFound,
    TooManyTracklets,
)
from service.gallery.filters import Filters
from service.identities import changing, merging
from service.identities.portrait import most_typical
from service.runtime import Service
from service.store import assignments, identities, identity_events
from service.store import galleries as gallery_store
from service.store import tracklets as tracklet_store
from service.store.identities import IdentityRecord

router = APIRouter(
    prefix="/identities", tags=["identities"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)

_CHANGING = (401, 403, 404, 412, 422, 503, IdentityMerged, GalleryDeleting)


@router.post(
    "",
    operation_id="createIdentity",
    status_code=201,
    responses={
        201: TAGGED,
        **problems(401, 403, 404, 413, 415, 422, 503, IdentityExists, IdentityConflict, GalleryDeleting),
    },
    openapi_extra=json_body(NewIdentity),
)
async def create_identity(request: Request, response: Response, caller: WriteKey, service: ServiceDep) -> Identity:
    """Make an identity, with its first tracklets where they are given; this is how a proposal is accepted."""
    body = await read_json(request, NewIdentity)
    identity_id = await changing.create(service.identities, body.gallery, body.name, body.tracklet_ids, caller)
    response.headers["Location"] = f"/identities/{identity_id}"
    return await _identity(identity_id, response, service)


@router.get("", operation_id="listIdentities", responses=problems(401, 403, 404, 422, 503))
async def list_identities(
    parameters: Annotated[IdentityListParameters, Query()], caller: ReadKey, service: ServiceDep
) -> IdentityPage:
    """List a gallery's identities, newest first."""
    before = decode_cursor(parameters.cursor) if parameters.cursor is not None else None
    async with service.database.reading() as connection:
        await gallery_store.get(connection, parameters.gallery)
        found = await identities.list_page(
            connection, parameters.gallery, parameters.limit + 1, before, parameters.merged
        )
    page, next_cursor = cut_page(found, parameters.limit, lambda stored: encode_cursor(stored.created_at, stored.id))
    return IdentityPage(
        items=[Identity.of(stored) for stored in page],
        next_cursor=next_cursor,
    )


@router.get(
    "/proposals",
    operation_id="proposeIdentities",
    responses=problems(401, 403, 404, 422, 503, TooManyTracklets, IndexNotReady),
)
async def propose_identities(
    parameters: Annotated[ProposalParameters, Query()], caller: ReadKey, service: ServiceDep
) -> ProposalsAnswer:
    """Cluster tracklets that have no identity. Nothing is changed: accept one with `POST /identities`."""
    filters = Filters(
        cameras=frozenset(parameters.camera_id),
        started_after=parameters.started_after,
        ended_before=parameters.ended_before,
    )
    proposed = await service.proposals.propose(parameters.gallery, parameters.threshold, parameters.limit, filters)
    return ProposalsAnswer.of(proposed, parameters.gallery, parameters.threshold)


@router.get(
    "/{identity_id}",
    operation_id="getIdentity",
    responses={200: TAGGED, **problems(401, 403, 404, 422, 503, IndexNotReady)},
)
async def get_identity(
    identity_id: uuid.UUID, response: Response, caller: ReadKey, service: ServiceDep
) -> IdentityDetails:
    """Read one identity: its tracklets by camera, when it was seen, and the picture that is most typical of it."""
    stored = await _find(identity_id, service)
    async with service.database.reading() as connection:
        cameras = await identities.cameras(connection, stored)
        members = await identities.tracklets_of(connection, stored.gallery_id, stored.name)
    typical = None
    if members:
        loaded = await service.galleries.current(stored.gallery)
        found = most_typical(loaded.index, members)
        if found is not None:
            async with service.database.reading() as connection:
                typical = await tracklet_store.find(connection, found)
    response.headers["ETag"] = etag(stored.version)
    return IdentityDetails.of_all(stored, cameras, typical)


@router.patch(
    "/{identity_id}",
    operation_id="renameIdentity",
    responses={200: TAGGED, **problems(*_CHANGING, 413, 415, IdentityExists)},
    openapi_extra=json_body(IdentityChange),
)
async def rename_identity(
    identity_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> Identity:
    """Give an identity another name; its tracklets keep it."""
    body = await read_json(request, IdentityChange)
    await changing.rename(service.identities, identity_id, body.name, versions_in(if_match), caller)
    return await _identity(identity_id, response, service)


@router.delete(
    "/{identity_id}",
    operation_id="deleteIdentity",
    status_code=204,
    responses=problems(*_CHANGING),
)
async def delete_identity(
    identity_id: uuid.UUID, caller: WriteKey, service: ServiceDep, if_match: IfMatch = None
) -> None:
    """Delete an identity, and those that were merged into it. Its tracklets stay, without an identity."""
    await changing.delete(service.identities, identity_id, versions_in(if_match), caller)


@router.post(
    "/{identity_id}/tracklets",
    operation_id="assignTracklets",
    responses={200: TAGGED, **problems(*_CHANGING, 413, 415, IdentityConflict)},
    openapi_extra=json_body(Assignment),
)
async def assign_tracklets(
    identity_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> Identity:
    """Give tracklets to an identity, all or none. Those that it has already stay."""
    body = await read_json(request, Assignment)
    versions = versions_in(if_match)
    await changing.assign(service.identities, identity_id, body.tracklet_ids, body.move, versions, caller)
    return await _identity(identity_id, response, service)


@router.delete(
    "/{identity_id}/tracklets/{tracklet_id}",
    operation_id="unassignTracklet",
    status_code=204,
    responses=problems(*_CHANGING),
)
async def unassign_tracklet(
    identity_id: uuid.UUID, tracklet_id: uuid.UUID, caller: WriteKey, service: ServiceDep, if_match: IfMatch = None
) -> None:
    """Take a tracklet from an identity. It stays stored."""
    await changing.unassign(service.identities, identity_id, tracklet_id, versions_in(if_match), caller)


@router.post(
    "/{identity_id}/merge",
    operation_id="mergeIdentities",
    responses={200: TAGGED, **problems(*_CHANGING, 413, 415, IdentityConflict)},
    openapi_extra=json_body(Merge),
)
async def merge_identities(
    identity_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> Merged:
    """Merge another identity into this one, which is kept. The other has no tracklets then, and stays readable."""
    body = await read_json(request, Merge)
    event_id = await merging.merge(service.identities, identity_id, body.from_id, versions_in(if_match), caller)
    return Merged(identity=await _identity(identity_id, response, service), event_id=event_id)


@router.post(
    "/{identity_id}/unmerge",
    operation_id="unmergeIdentities",
    responses={200: TAGGED, **problems(*_CHANGING, 413, 415, IdentityConflict, MergeUndone)},
    openapi_extra=json_body(Unmerge),
)
async def unmerge_identities(
    identity_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> UnmergedAnswer:
    """Undo a merge into this identity: what it moved, and nobody moved since, goes back."""
    body = await read_json(request, Unmerge)
    unmerged = await merging.unmerge(service.identities, identity_id, body.event_id, versions_in(if_match), caller)
    return UnmergedAnswer(
        identity=await _identity(unmerged.identity_id, response, service),
        restored=unmerged.restored,
        elsewhere=unmerged.elsewhere,
        gone=unmerged.gone,
    )


@router.get("/{identity_id}/history", operation_id="listIdentityHistory", responses=problems(401, 403, 404, 422, 503))
async def list_history(
    identity_id: uuid.UUID, parameters: Annotated[PageParameters, Query()], caller: ReadKey, service: ServiceDep
) -> EventPage:
    """List who did what to an identity, newest first; also of one that was deleted since."""
    before = decode_number(parameters.cursor) if parameters.cursor is not None else None
    async with service.database.reading() as connection:
        found = await identity_events.list_page(connection, identity_id, parameters.limit + 1, before)
    if not found and before is None:
        raise NotFound(f"There is no identity {identity_id}, and there was none.")
    return EventPage.of(found, parameters.limit)


@router.get("/{identity_id}/appearances", operation_id="listAppearances", responses=problems(401, 403, 404, 422, 503))
async def list_appearances(
    identity_id: uuid.UUID, parameters: Annotated[PageParameters, Query()], caller: ReadKey, service: ServiceDep
) -> AppearancePage:
    """List an identity's tracklets in order of time, over all cameras, whose time offsets are added."""
    after = decode_cursor(parameters.cursor) if parameters.cursor is not None else None
    stored = await _find(identity_id, service)
    async with service.database.reading() as connection:
        found = await assignments.in_order_of_time(connection, stored, parameters.limit + 1, after)
        page, next_cursor = cut_page(found, parameters.limit, lambda seen: encode_cursor(*seen.place))
        rows = await tracklet_store.find_many(connection, [seen.tracklet_id for seen in page])
    return AppearancePage(
        items=[Appearance.of(rows[seen.tracklet_id], seen) for seen in page if seen.tracklet_id in rows],
        next_cursor=next_cursor,
    )


async def _find(identity_id: uuid.UUID, service: Service) -> IdentityRecord:
    async with service.database.reading() as connection:
        stored = await identities.find(connection, identity_id)
    if stored is None:
        raise NotFound(f"There is no identity {identity_id}.")
    return stored


async def _identity(identity_id: uuid.UUID, response: Response, service: Service) -> Identity:
    """The identity as it is after a change, with its version in the answer's header."""
    stored = await _find(identity_id, service)
    response.headers["ETag"] = etag(stored.version)
    return Identity.of(stored)
