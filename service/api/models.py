"""Models that galleries can be indexed under: register weights, list, remove."""

import asyncio
import errno
import secrets
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from model.errors import WeightsError
from service.api.admin_schemas import ModelList, ModelPath, RegisteredModelAnswer
from service.api.dependencies import AdminKey, ServiceDep, single_valued
from service.api.json_body import read_json
from service.api.problems import problems
from service.api.schemas import Text
from service.embedding.models import INCOMING, keep, kept_path
from service.errors import InsufficientStorage, InvalidWeights, ModelInUse, NotFound, UnsupportedMediaType
from service.runtime import Service
from service.store import models as store
from service.store.models import ModelRecord

router = APIRouter(prefix="/admin/models", tags=["admin"], dependencies=[Depends(single_valued)])

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
        **problems(401, 403, 404, 413, 415, 422, 503, 507),
    },
    openapi_extra=_BODY,
)
async def add_model(
    request: Request,
    response: Response,
    caller: AdminKey,
    service: ServiceDep,
    name: Annotated[Text | None, Query(description="What to call it, unless the file says.")] = None,
) -> RegisteredModelAnswer:
    """Register weights: a `.safetensors` file as the body, or the name of one that lies in `models/` already."""
    folder = service.settings.folder("models")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/octet-stream":
            incoming = folder / f"{INCOMING}{secrets.token_hex(8)}.safetensors"
            try:
                await _receive(request, incoming)
                record = await asyncio.to_thread(keep, folder, incoming, name or "uploaded")
            finally:
                incoming.unlink(missing_ok=True)
        elif kind == "application/json":
            wanted = await read_json(request, ModelPath)
            path = folder / wanted.path
            if path.is_symlink() or not path.is_file():
                raise NotFound(f"There is no file {wanted.path} in models/ of the data directory.")
            record = await asyncio.to_thread(keep, folder, path, name)
        else:
            raise UnsupportedMediaType("Send the weights as application/octet-stream, or application/json with a path.")
    except WeightsError as error:
        # The message begins with where the file lay, which is nothing to the caller.
        raise InvalidWeights(str(error).replace(f"{folder}/", "")) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientStorage("The disk that holds models/ is full; nothing was kept.") from error
        raise
    return await _register(record, response, service)


@router.get("", operation_id="listModels", responses=problems(401, 403, 503))
async def list_models(caller: AdminKey, service: ServiceDep) -> ModelList:
    """List every model, newest first."""
    async with service.database.reading() as connection:
        found = await store.list_all(connection)
    return ModelList(items=[_answer(model, service) for model in found])


@router.get("/{model_id}", operation_id="getModel", responses=problems(401, 403, 404, 422, 503))
async def get_model(model_id: ModelId, caller: AdminKey, service: ServiceDep) -> RegisteredModelAnswer:
    """Read one model."""
    return _answer(await _find(model_id, service), service)


@router.delete(
    "/{model_id}", operation_id="removeModel", status_code=204, responses=problems(401, 403, 404, 409, 422, 503)
)
async def remove_model(model_id: ModelId, caller: AdminKey, service: ServiceDep) -> None:
    """Remove a model that nothing is of, with its weights."""
    await _find(model_id, service)
    if model_id == service.model.id:
        raise ModelInUse("New galleries are indexed under this model; start the service with other weights first.")
    async with service.database.transaction() as connection:
        if not await store.remove(connection, model_id):
            raise ModelInUse("Generations or descriptors are of this model; purge those generations first.")
    kept_path(service.settings.folder("models"), model_id).unlink(missing_ok=True)


async def _receive(request: Request, path: FilePath) -> None:
    with path.open("xb") as file:
        async for chunk in request.stream():
            await asyncio.to_thread(file.write, chunk)


async def _register(record: ModelRecord, response: Response, service: Service) -> RegisteredModelAnswer:
    async with service.database.transaction() as connection:
        known = await store.find(connection, record.id)
        if known is None:
            await store.register(connection, record)
    response.status_code = 201 if known is None else 200
    response.headers["Location"] = f"/admin/models/{record.id}"
    return _answer(await _find(record.id, service), service)


async def _find(model_id: str, service: Service) -> store.RegisteredModel:
    async with service.database.reading() as connection:
        found = await store.list_all(connection, model_id)
    if not found:
        raise NotFound(f"There is no model {model_id}; GET /admin/models lists them.")
    return found[0]


def _answer(model: store.RegisteredModel, service: Service) -> RegisteredModelAnswer:
    available = kept_path(service.settings.folder("models"), model.record.id).is_file()
    return RegisteredModelAnswer.registered(model, model.record.id == service.model.id, available)
