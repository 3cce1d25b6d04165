"""API keys: make, list, change, revoke."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.admin_schemas import CreatedKey, Key, KeyChange, KeyList, NewKey
from service.api.conditional import TAGGED, IfMatch, check_unchanged, etag
from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_cursor, encode_cursor
from service.api.dependencies import AdminKey, ServiceDep, single_valued
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.api.values import PageParameters
from service.errors import NotFound
from service.store import keys as store

router = APIRouter(
    prefix="/admin/keys", tags=["admin"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)


@router.post(
    "",
    operation_id="createKey",
    status_code=201,
    responses={201: TAGGED, **problems(401, 403, 413, 415, 422, 503)},
    openapi_extra=json_body(NewKey),
)
async def create_key(request: Request, response: Response, caller: AdminKey, service: ServiceDep) -> CreatedKey:
    """Make a key. Its secret is in this answer and nowhere else."""
    body = await read_json(request, NewKey)
    secret = store.new_secret()
    limits = store.Limits(body.requests_per_minute, body.max_tracklets)
    async with service.database.transaction() as connection:
        key = await store.create(connection, body.name, body.scopes, secret, limits)
    response.headers["Location"] = f"{router.prefix}/{key.id}"
    response.headers["ETag"] = etag(key.version)
    return CreatedKey(**Key.of(key).model_dump(), secret=secret)


@router.get("", operation_id="listKeys", responses=problems(401, 403, 422, 503))
async def list_keys(parameters: Annotated[PageParameters, Query()], caller: AdminKey, service: ServiceDep) -> KeyList:
    """List keys and what they have stored, revoked ones too, newest first."""
    before = decode_cursor(parameters.cursor) if parameters.cursor else None
    async with service.database.reading() as connection:
        found = await store.list_page(connection, parameters.limit + 1, before)
        page, next_cursor = cut_page(found, parameters.limit, lambda key: encode_cursor(key.created_at, key.id))
        used = await store.tracklets_of(connection, [key.id for key in page])
    return KeyList(
        items=[Key.of(key, used.get(key.id, 0)) for key in page],
        next_cursor=next_cursor,
    )


@router.get("/{key_id}", operation_id="getKey", responses={200: TAGGED, **problems(401, 403, 404, 422, 503)})
async def get_key(key_id: uuid.UUID, response: Response, caller: AdminKey, service: ServiceDep) -> Key:
    """Read one key: its limits, and what it has stored."""
    async with service.database.reading() as connection:
        key = await store.find(connection, key_id)
        used = await store.tracklets_of(connection, [key_id])
    if key is None:
        raise _unknown(key_id)
    response.headers["ETag"] = etag(key.version)
    return Key.of(key, used.get(key_id, 0))


@router.patch(
    "/{key_id}",
    operation_id="changeKey",
    responses={200: TAGGED, **problems(401, 403, 404, 412, 413, 415, 422, 503)},
    openapi_extra=json_body(KeyChange),
)
async def change_key(
    key_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: AdminKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> Key:
    """Change a key's name or limits. Null takes the settings' limit again; what is left out stays as it is."""
    wanted = await read_json(request, KeyChange)
    async with service.database.transaction() as connection:
        key = await store.find(connection, key_id, for_update=True)
        if key is None:
            raise _unknown(key_id)
        check_unchanged(if_match, etag(key.version))
        key = await store.change(connection, key_id, wanted.model_dump(exclude_unset=True))
        used = await store.tracklets_of(connection, [key_id])
    response.headers["ETag"] = etag(key.version)
    return Key.of(key, used.get(key_id, 0))


@router.delete("/{key_id}", operation_id="revokeKey", status_code=204, responses=problems(401, 403, 404, 412, 422, 503))
async def revoke_key(key_id: uuid.UUID, caller: AdminKey, service: ServiceDep, if_match: IfMatch = None) -> None:
    """Revoke a key for good."""
    async with service.database.transaction() as connection:
        key = await store.find(connection, key_id, for_update=True)
        if key is None:
            raise _unknown(key_id)
        check_unchanged(if_match, etag(key.version))
        await store.revoke(connection, key_id)


def _unknown(key_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no key {key_id}; GET /admin/keys lists them.")
