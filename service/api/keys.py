"""API keys: make, list, revoke."""

import uuid

from fastapi import APIRouter, Request

from service.api.admin_schemas import CreatedKey, Key, KeyList, NewKey
from service.api.dependencies import AdminKey, ServiceDep
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.errors import NotFound
from service.store import keys as store

router = APIRouter(prefix="/admin/keys", tags=["admin"])


@router.post(
    "",
    operation_id="createKey",
    status_code=201,
    responses=problems(401, 403, 413, 415, 422, 503),
    openapi_extra=json_body(NewKey),
)
async def create_key(request: Request, caller: AdminKey, service: ServiceDep) -> CreatedKey:
    """Make a key. Its secret is in this answer and nowhere else."""
    body = await read_json(request, NewKey)
    secret = store.new_secret()
    async with service.database.transaction() as connection:
        key = await store.create(connection, body.name, body.scopes, secret)
    return CreatedKey(**Key.of(key).model_dump(), secret=secret)


@router.get("", operation_id="listKeys", responses=problems(401, 403, 503))
async def list_keys(caller: AdminKey, service: ServiceDep) -> KeyList:
    """List every key, revoked ones too, newest first."""
    async with service.database.reading() as connection:
        return KeyList(items=[Key.of(key) for key in await store.list_all(connection)])


@router.delete("/{key_id}", operation_id="revokeKey", status_code=204, responses=problems(401, 403, 404, 422, 503))
async def revoke_key(key_id: uuid.UUID, caller: AdminKey, service: ServiceDep) -> None:
    """Revoke a key for good."""
    async with service.database.transaction() as connection:
        if not await store.revoke(connection, key_id):
            raise NotFound(f"There is no key {key_id}.")
