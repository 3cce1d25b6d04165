"""Models that galleries can be indexed under: register weights, list, remove."""

import asyncio
import os
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service.api.admin_schemas import ModelList, ModelPath, RegisteredModelAnswer
from service.api.creating import CreatingRoute
from service.api.dependencies import AdminKey, ServiceDep, single_valued
from service.api.json_body import read_json
from service.api.problems import problems
from service.api.query import read_query
from service.api.values import Name, Schema
from service.disk import full_disk_told
from service.errors import InvalidWeights, ModelInUse, NotFound, Unavailable, UnsupportedMediaType
from service.runtime import Service
from service.store import models as store

router = APIRouter(
    prefix="/admin/models", tags=["admin"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)

ModelId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 that names the model.")]
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": ModelPath.model_json_schema()},
            "application/octet-stream": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
        },
    }
}


@router.post(
    "",
    operation_id="addModel",
    status_code=201,
    responses={
        200: {"model": RegisteredModelAnswer, "description": "The model is there already"},
        **problems(401, 403, 404, 413, 415, 422, 503, InvalidWeights, Unavailable),
    },
    openapi_extra=_BODY,
)
async def add_model(
    request: Request,
    response: Response,
    caller: AdminKey,
    service: ServiceDep,
    name: Annotated[Name | None, Query(description="What to call it, unless the file says.")] = None,
) -> RegisteredModelAnswer:
    """Register weights: a `.safetensors` file as the body, or the path of one that lies in `models/` already.

    Everything in the file is checked before anything is kept. A model that is known already answers 200; its weights
    are put back where they were lost or damaged.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    registry = service.registry
    with full_disk_told("models/"):
        if kind == "application/octet-stream":
            # Half-sent weights take room on the disk: no more of them at a time than there are places for uploads.
            async with service.admission:
                with registry.files.incoming() as incoming:
                    await _receive(request, incoming)
                    record, created = await registry.add(incoming, "the body", name or "uploaded")
        elif kind == "application/json":
            wanted = await read_json(request, ModelPath)
            record, created = await registry.add_placed(wanted.path, name)
        else:
            raise UnsupportedMediaType("Send the weights as application/octet-stream, or application/json with a path.")
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"{router.prefix}/{record.id}"
    return _answer(await _find(record.id, service), service)


@router.get("", operation_id="listModels", responses=problems(401, 403, 422, 503))
async def list_models(request: Request, caller: AdminKey, service: ServiceDep) -> ModelList:
    """List every model, newest first, in one page: it takes no options."""
    read_query(request, Schema)
    async with service.database.reading() as connection:
        found = await store.list_all(connection)
    return ModelList(items=[_answer(model, service) for model in found])


@router.get("/{model_id}", operation_id="getModel", responses=problems(401, 403, 404, 422, 503))
async def get_model(model_id: ModelId, caller: AdminKey, service: ServiceDep) -> RegisteredModelAnswer:
    """Read one model."""
    return _answer(await _find(model_id, service), service)


@router.delete(
    "/{model_id}", operation_id="removeModel", status_code=204, responses=problems(401, 403, 404, 422, 503, ModelInUse)
)
async def remove_model(model_id: ModelId, caller: AdminKey, service: ServiceDep) -> None:
    """Remove a model that nothing is of, with its weights."""
    await _find(model_id, service)
    # A client that hangs up must not leave the row without its file.
    await asyncio.shield(asyncio.create_task(service.registry.remove(model_id)))


async def _receive(request: Request, path: FilePath) -> None:
    """Write the body to a file as it comes, and bring it to the disk."""
    with path.open("xb") as file:
        async for chunk in request.stream():
            await asyncio.to_thread(file.write, chunk)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())


async def _find(model_id: str, service: Service) -> store.RegisteredModel:
    async with service.database.reading() as connection:
        found = await store.list_all(connection, model_id)
    if not found:
        raise NotFound(f"There is no model {model_id}; GET /admin/models lists them.")
    return found[0]


def _answer(model: store.RegisteredModel, service: Service) -> RegisteredModelAnswer:
    return RegisteredModelAnswer.registered(
        model, model.record.id == service.model.id, service.registry.files.holds(model.record.id)
    )
