"""Matches: confirm or reject one, read and list what was decided, take a decision back."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_cursor, encode_cursor
from service.api.dependencies import ReadKey, ServiceDep, WriteKey, single_valued
from service.api.json_body import json_body, read_json
from service.api.match_schemas import DecidedMatches, Match, MatchListParameters, MatchPage, NewMatch
from service.api.problems import problems
from service.errors import GalleryDeleting, IdentityConflict, IdentityMerged, NotFound
from service.identities import matching
from service.store import galleries as gallery_store
from service.store import matches

router = APIRouter(
    prefix="/matches", tags=["identities"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)


@router.post(
    "",
    operation_id="decideMatch",
    status_code=201,
    responses=problems(401, 403, 404, 413, 415, 422, 503, IdentityConflict, IdentityMerged, GalleryDeleting),
    openapi_extra=json_body(NewMatch),
)
async def decide_match(request: Request, response: Response, caller: WriteKey, service: ServiceDep) -> DecidedMatches:
    """Confirm or reject that a tracklet is the person of another one, or of an identity.

    `same` puts both into one identity, a new one where neither has one. `different` is kept: no proposal has both. An
    earlier decision about the same pair is replaced.
    """
    body = await read_json(request, NewMatch)
    if body.other_tracklet_id is not None:
        decided = await matching.of_tracklets(
            service.identities, body.gallery, body.tracklet_id, body.other_tracklet_id, body.verdict, caller
        )
    else:
        assert body.identity_id is not None
        decided = await matching.with_identity(
            service.identities, body.gallery, body.tracklet_id, body.identity_id, body.verdict, caller
        )
    response.headers["Location"] = f"/matches/{decided.matches[0].id}"
    return DecidedMatches(identity_id=decided.identity_id, items=[Match.of(match) for match in decided.matches])


@router.get("", operation_id="listMatches", responses=problems(401, 403, 404, 422, 503))
async def list_matches(
    parameters: Annotated[MatchListParameters, Query()], caller: ReadKey, service: ServiceDep
) -> MatchPage:
    """List what was decided in a gallery, newest first."""
    before = decode_cursor(parameters.cursor) if parameters.cursor is not None else None
    async with service.database.reading() as connection:
        await gallery_store.get(connection, parameters.gallery)
        found = await matches.list_page(
            connection, parameters.gallery, parameters.verdict, parameters.limit + 1, before
        )
    page, next_cursor = cut_page(found, parameters.limit, lambda match: encode_cursor(match.at, match.id))
    return MatchPage(
        items=[Match.of(match) for match in page],
        next_cursor=next_cursor,
    )


@router.get("/{match_id}", operation_id="getMatch", responses=problems(401, 403, 404, 422, 503))
async def get_match(match_id: uuid.UUID, caller: ReadKey, service: ServiceDep) -> Match:
    """Read one decision."""
    async with service.database.reading() as connection:
        match = await matches.find(connection, match_id)
    if match is None:
        raise NotFound(f"There is no decision {match_id}; GET /matches lists a gallery's.")
    return Match.of(match)


@router.delete(
    "/{match_id}",
    operation_id="undoMatch",
    status_code=204,
    responses=problems(401, 403, 404, 422, 503, GalleryDeleting),
)
async def undo_match(match_id: uuid.UUID, caller: WriteKey, service: ServiceDep) -> None:
    """Take a decision back. What `same` put together comes apart again, unless somebody moved it since."""
    await matching.undo(service.identities, match_id, caller)
