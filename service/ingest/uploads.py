"""The way of an upload: frames checked, embedded, on disk, committed, in the index; or no trace at all."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import IntegrityError, OperationalError

from service import creation
from service.disk import full_disk_told
from service.embedding.models import Models
from service.errors import ExternalIdConflict, GalleryDeleting, GalleryMoved, NotFound
from service.gallery.galleries import Galleries
from service.ingest.arriving import Owner, Upload
from service.ingest.describing import Described, UploadDescriber
from service.ingest.frames import Frames
from service.ingest.leftovers import Leftovers
from service.metrics import Metrics
from service.store import frame_locks, keys, tracklet_writing
from service.store import galleries as gallery_store
from service.store import tracklets as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.galleries import Gallery
from service.store.tracklet_writing import NewTracklet
from service.store.tracklets import StoredTracklet

_TRIES = 3
"""Of a transaction that PostgreSQL ended because it stood in a circle with others."""


class Uploads:
    """Stores and deletes tracklets."""

    def __init__(
        self,
        database: Database,
        frame_store: FrameStore,
        leftovers: Leftovers,
        describer: UploadDescriber,
        models: Models,
        galleries: Galleries,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._frame_store = frame_store
        self._leftovers = leftovers
        self._describer = describer
        self._models = models
        self._galleries = galleries
        self._metrics = metrics

    async def add(self, upload: Upload, contents: Sequence[bytes]) -> tuple[StoredTracklet, str, bool]:
        """Store a tracklet; without frames only where its descriptor is given.

        Returns:
            The tracklet, the model that serves it, and whether it is new: the same external id with the same
            frames gives the tracklet that is there. A request that is sent again under its idempotency key gives the
            tracklet that it made, as new.

        Raises:
            ExternalIdConflict: the external id is taken by other frames.
            GalleryDeleting: the gallery is being deleted.
            QuotaExceeded: its owner has stored as many as it may.
            InsufficientStorage: a disk is full.
            ModelConflict: the gallery's model cannot describe it, or its descriptor is of another.
            InvalidFrame, InvalidRequest, QueueFull, DatabaseUnavailable.
        """
        identifier = await _new_id(upload, contents)
        existing, gallery = await self._existing(upload, contents, identifier)
        if existing is not None:
            return existing, gallery.model_id, existing.id == identifier
        await self._check_quota(upload.owner)
        described = await self._describer.describe_upload(upload, contents, gallery)
        while True:
            if upload.descriptor is not None:
                upload.descriptor.vector_for(gallery)
            for missing in gallery.models - described.vectors.keys():
                found = await self._describer.describe_by_another(contents, gallery, missing, described.frame_cap)
                described.vectors[missing], described.purities[missing] = found
            try:
                return await self._store(upload, contents, gallery, identifier, described)
            except GalleryMoved:
                # A job began or ended moving it to another model while this was embedded.
                async with self._database.reading() as connection:
                    gallery = await gallery_store.get_state(connection, gallery.id)

    async def _store(
        self,
        upload: Upload,
        contents: Sequence[bytes],
        gallery: Gallery,
        identifier: uuid.UUID,
        described: Described,
    ) -> tuple[StoredTracklet, str, bool]:
        new = NewTracklet(
            id=identifier,
            camera=upload.camera,
            external_id=upload.external_id,
            identity=upload.identity,
            started_at=upload.started_at,
            ended_at=upload.ended_at,
            labels=upload.labels,
            frames=described.frames.records,
            frames_digest=described.frames.digest,
            descriptors={model_id: described.vectors[model_id].astype("<f4").tobytes() for model_id in gallery.models},
            frame_cap=described.frame_cap,
            given=None if upload.descriptor is None else upload.descriptor.model_id,
            purities=described.purities,
            uploaded_by=upload.uploaded_by,
            key_id=upload.owner.key_id,
        )
        try:
            # A client that hangs up must not leave half of this behind.
            committed = asyncio.create_task(self._commit(gallery, new, described.frames, upload.owner.quota))
            change, created_at, identity = await asyncio.shield(committed)
        except IntegrityError:
            existing, _ = await self._existing(upload, contents, identifier)
            if existing is None:
                raise
            return existing, gallery.model_id, existing.id == identifier
        with self._metrics.stage("index"):
            await self._galleries.catch_up(gallery.name, change)
        return new.as_stored(gallery.name, gallery.model_id, identity, created_at), gallery.model_id, True

    async def delete(self, tracklet_id: uuid.UUID, done_by: str, versions: frozenset[int] | None = None) -> None:
        """Delete a tracklet: row, descriptor, index entry, and the files that no other tracklet shares.

        Args:
            versions: those that the caller expects it to have; None: any.

        Raises:
            NotFound, PreconditionFailed: it is not stored, or has another version.
        """
        deleted = None
        # What is in a gallery that is being deleted is gone already.
        with suppress(GalleryDeleting):
            async with self._database.changing() as connection:
                deleted = await tracklet_writing.remove(connection, tracklet_id, done_by, versions)
        if deleted is None:
            raise NotFound(f"There is no tracklet {tracklet_id}.")
        await self._galleries.catch_up(deleted.gallery, deleted.change)
        await self._leftovers.remove(deleted.gallery_id, deleted.gallery, deleted.frames)

    async def _existing(
        self, upload: Upload, contents: Sequence[bytes], identifier: uuid.UUID
    ) -> tuple[StoredTracklet | None, Gallery]:
        """The tracklet that has the upload's id or external id already, and the gallery, made when it is new."""
        existing = None
        async with self._database.reading() as connection:
            if creation.is_keyed():
                # An earlier try of the request, or one that runs beside this, may have stored it.
                existing = await store.find(connection, identifier)
            if existing is None and upload.external_id is not None:
                existing = await store.find_by_external_id(connection, upload.gallery, upload.external_id)
            gallery = await gallery_store.find(connection, upload.gallery)
        if existing is None and upload.refusal is not None:
            raise upload.refusal
        if gallery is None:
            async with self._database.transaction() as connection:
                gallery = await gallery_store.find_or_create(connection, upload.gallery, self._models.default_id)
        if existing is not None and existing.frames_digest != await asyncio.to_thread(upload.digest, contents):
            raise ExternalIdConflict(
                f"Gallery {upload.gallery} has tracklet {existing.id} under external_id {upload.external_id!r}, with "
                "other frames or another descriptor. Use another external_id, or delete that tracklet first."
            )
        return existing, gallery

    async def _check_quota(self, owner: Owner) -> None:
        """Refuse early what would be refused at its COMMIT."""
        if owner.key_id is not None and owner.quota is not None:
            async with self._database.reading() as connection:
                await keys.check_quota(connection, owner.key_id, owner.quota, lock=False)

    async def _commit(
        self, gallery: Gallery, new: NewTracklet, frames: Frames, quota: int | None
    ) -> tuple[int, datetime, str | None]:
        try:
            tries = 0
            while True:
                try:
                    return await self._commit_once(gallery, new, frames, quota)
                except OperationalError as error:
                    # PostgreSQL ended it, so that others it stood in a circle with go on; it can begin again.
                    tries += 1
                    if tries == _TRIES or not isinstance(error.orig, DeadlockDetected):
                        raise
        except BaseException:
            await self._leftovers.remove(gallery.id, gallery.name, frames.contents)
            raise

    async def _commit_once(
        self, gallery: Gallery, new: NewTracklet, frames: Frames, quota: int | None
    ) -> tuple[int, datetime, str | None]:
        async with self._database.changing() as connection:
            await frame_locks.lock_frames_shared(connection, gallery.id)
            await frame_locks.refuse_deleting(connection, gallery.id)
            with self._metrics.stage("store"), full_disk_told("frames/"):
                await asyncio.to_thread(self._frame_store.write, gallery.name, frames.contents)
            with self._metrics.stage("commit"):
                if new.key_id is not None and quota is not None:
                    await keys.check_quota(connection, new.key_id, quota, lock=True)
                stored = await tracklet_writing.store(connection, gallery.id, new)
                await connection.commit()
            return stored


async def _new_id(upload: Upload, contents: Sequence[bytes]) -> uuid.UUID:
    """An id for a tracklet of this content."""
    if not creation.is_keyed():
        return uuid.uuid4()
    digest = await asyncio.to_thread(upload.digest, contents)
    # Tracklets of an archive come in any order, and two of them may have the same frames.
    return creation.new_id(f"tracklet {digest.hex()} {upload.external_id}")
