"""Which models there are: weights checked, kept in `models/` and registered in the database, or no trace at all."""

import asyncio
import json
import math
import unicodedata
from pathlib import Path
from typing import Any

import structlog

from model import TFCLIP, ImageSpecification, ModelConfig, WeightsError
from model.checkpoint import describe_weights, model_id
from service.embedding.models import Models
from service.errors import InvalidWeights, ModelInUse
from service.store import models as store
from service.store.database import Database
from service.store.model_files import ModelFiles
from service.store.models import ModelRecord

log = structlog.get_logger(__name__)

_LONGEST_PROVENANCE = 256 * 1024
_DEEPEST_PROVENANCE = 20
_LONGEST_NAME = 200
_LONGEST_DETAIL = 1000
_LONGEST_CLIP = 1024


class ModelRegistry:
    """Adds models to those that galleries may be indexed under, and removes them.

    Args:
        database: has a row for each model.
        files: has a file for each model.
        models: embeds with them.
        max_bytes: size of a weights file at most.
    """

    def __init__(self, database: Database, files: ModelFiles, models: Models, max_bytes: int) -> None:
        self.files = files
        self._database = database
        self._models = models
        self._max_bytes = max_bytes
        # Checking a file takes its size in memory.
        self._checking = asyncio.Lock()

    async def add_placed(self, path: str, name: str | None = None) -> tuple[ModelRecord, bool]:
        """Register the weights file `path` of the folder `models/`; the file itself stays where and as it is.

        Args:
            name: what the model is called unless its file says; None: as the file is called.

        Returns:
            The model, and whether it is new.

        Raises:
            NotFound, InvalidRequest: there is no such file.
            InvalidWeights: the file cannot be used.
            OSError: it cannot be copied.
        """
        source = await asyncio.to_thread(self.files.find, path)
        if source.stat().st_size > self._max_bytes:
            raise InvalidWeights(f"{path} is larger than {self._max_bytes} bytes (TFCLIP_MAX_MODEL_BYTES).")
        with self.files.incoming() as incoming:
            # What is checked must be what is kept, whatever is written to the user's file meanwhile.
            await asyncio.to_thread(self.files.copy, source, incoming)
            return await self.add(incoming, path, name or Path(path).stem)

    async def add(self, incoming: Path, called: str, name: str) -> tuple[ModelRecord, bool]:
        """Check a weights file, keep it and register its model.

        Args:
            incoming: a whole and synced file at a place of `ModelFiles.incoming`; it is moved away when it is kept.
            called: what the user calls the file, for errors.
            name: what the model is called unless its file says.

        Returns:
            The model, and whether it is new.

        Raises:
            InvalidWeights: the file cannot be used.
            OSError: the disk fails.
        """
        async with self._checking:
            record = await asyncio.to_thread(_checked, incoming, called, name)
        # A client that hangs up must not leave a file without its row.
        return await asyncio.shield(asyncio.create_task(self._commit(incoming, record)))

    async def remove(self, model_id: str) -> None:
        """Remove a model that is registered, row and file.

        Raises:
            ModelInUse: it is the default, or something stored needs it.
        """
        if model_id == self._models.default_id:
            raise ModelInUse("New galleries are indexed under this model; start the service with other weights first.")
        async with self._database.transaction() as connection:
            await store.lock(connection)
            if not await store.remove(connection, model_id):
                raise ModelInUse("Generations or descriptors are of this model; purge those generations first.")
            # Before COMMIT, while nobody can add it again; a row without its file says so.
            await asyncio.to_thread(self.files.remove, model_id)
        await self._models.forget(model_id)
        log.info("model removed", model_id=model_id)

    async def _commit(self, incoming: Path, record: ModelRecord) -> tuple[ModelRecord, bool]:
        async with self._database.transaction() as connection:
            await store.lock(connection)
            known = await store.find(connection, record.id) is not None
            await asyncio.to_thread(self.files.keep, incoming, record.id)
            await store.register(connection, record)
        log.info("model registered", model=record.name, model_id=record.id, new=not known)
        return record, not known


async def register_default(
    database: Database, files: ModelFiles, network: TFCLIP, provenance: dict[str, Any], weights: Path
) -> ModelRecord:
    """Keep a copy of the default model's weights file, once, and register the model.

    Raises:
        OSError: the copy cannot be written.
    """
    identifier = await asyncio.to_thread(model_id, network)
    record = _record(identifier, network.config, network.image, provenance)
    async with database.transaction() as connection:
        await store.lock(connection)
        if not files.holds(identifier):
            with files.incoming() as incoming:
                await asyncio.to_thread(files.copy, weights, incoming)
                await asyncio.to_thread(files.keep, incoming, identifier)
        await store.register(connection, record)
    return record


def _checked(path: Path, called: str, name: str) -> ModelRecord:
    """Everything that `load_model` checks, and that the database can hold what the file says of itself."""
    called = called[:_LONGEST_NAME]
    try:
        info = describe_weights(path)
    except WeightsError as error:
        # The place where it lies for now means nothing to the user.
        raise InvalidWeights(str(error).replace(str(path), called)[:_LONGEST_DETAIL]) from error
    if len(json.dumps(info.provenance)) > _LONGEST_PROVENANCE or not _storable(info.provenance, _DEEPEST_PROVENANCE):
        raise InvalidWeights(
            f"{called} has a provenance that cannot be stored: it must be at most {_LONGEST_PROVENANCE} bytes of JSON, "
            f"{_DEEPEST_PROVENANCE} levels deep, of finite numbers, and of texts without NUL or lone surrogates."
        )
    if info.config.clip_length > _LONGEST_CLIP:
        # Nothing else in a file is so free: the tensors need not know it.
        raise InvalidWeights(
            f"{called} has clips of {info.config.clip_length} frames, expected at most {_LONGEST_CLIP}."
        )
    return _record(info.model_id, info.config, info.image, {"name": name} | info.provenance)


def _storable(value: Any, depth: int) -> bool:
    """Whether PostgreSQL takes the JSON value."""
    if isinstance(value, str):
        return not any(one == "\0" or unicodedata.category(one) == "Cs" for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict | list):
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_storable(one, depth - 1) for one in inside)
    return True


def _record(identifier: str, config: ModelConfig, image: ImageSpecification, provenance: dict[str, Any]) -> ModelRecord:
    return ModelRecord(identifier, config.descriptor_dim, config.to_dict(), image.to_dict(), provenance)
