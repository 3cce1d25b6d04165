"""The way of an upload: frames checked, embedded, on disk, committed, in the index; or no trace at all."""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from sqlalchemy.exc import IntegrityError

from service.embedding.models import Models
from service.errors import ExternalIdConflict, GalleryDeleting, GalleryMoved, NotFound
from service.gallery.galleries import Galleries
from service.ingest.frames import Frames, digest_of, prepare_frames
from service.ingest.images import ImageLimits
from service.metrics import Metrics
from service.store import galleries as gallery_store
from service.store import tracklets as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.galleries import Gallery
from service.store.tracklets import NewTracklet, StoredTracklet

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Upload:
    """What is known of a tracklet when it arrives, already validated."""

    gallery: str
    camera: str
    external_id: str | None
    identity: str | None
    started_at: datetime | None
    ended_at: datetime | None
    labels: dict[str, Any]


class Uploads:
    """Stores and deletes tracklets, and describes frames that are not stored."""

    def __init__(
        self,
        database: Database,
        frame_store: FrameStore,
        models: Models,
        galleries: Galleries,
        metrics: Metrics,
        limits: ImageLimits,
        frame_cap: int,
        decode_threads: int,
    ) -> None:
        self._database = database
        self._frame_store = frame_store
        self._models = models
        self._galleries = galleries
        self._metrics = metrics
        self._limits = limits
        self._frame_cap = frame_cap
        # One core each: frames are small, and threads that torch would add only wait for one another, busily.
        self._threads = ThreadPoolExecutor(
            decode_threads, thread_name_prefix="decode", initializer=torch.set_num_threads, initargs=(1,)
        )

    def close(self) -> None:
        """Stop the decoding threads."""
        self._threads.shutdown(wait=True)

    async def describe(
        self, contents: Sequence[bytes], model_id: str, frame_cap: int | None = None
    ) -> tuple[Frames, NDArray[np.float32]]:
        """Check frames and describe them as one tracklet.

        Args:
            frame_cap: frames that are embedded, as the gallery says; None: as the setting does.

        Returns:
            The frames, and the descriptor: (D,) float32, not normalised.

        Raises:
            InvalidFrame, QueueFull, ModelConflict.
        """
        batcher = await self._models.get(model_id)
        backend = batcher.backend
        with self._metrics.stage("decode"):
            frames = await asyncio.get_running_loop().run_in_executor(
                self._threads,
                prepare_frames,
                contents,
                self._limits,
                backend.image,
                backend.clip_length,
                frame_cap or self._frame_cap,
            )
        with self._metrics.stage("embed"):
            vector = await batcher.embed(frames.clips)
        return frames, vector

    async def add(self, upload: Upload, contents: Sequence[bytes]) -> tuple[StoredTracklet, str, bool]:
        """Store a tracklet.

        Returns:
            The tracklet, the model it was described by, and whether it is new: the same external id with the same
            frames gives the tracklet that is there.

        Raises:
            ExternalIdConflict: the external id is taken by other frames.
            GalleryDeleting: the gallery is being deleted.
            InvalidFrame, QueueFull, ModelConflict, DatabaseUnavailable.
        """
        existing, gallery = await self._existing(upload, contents)
        if existing is not None:
            return existing, gallery.model_id, False
        while True:
            try:
                return await self._store(upload, contents, gallery)
            except GalleryMoved:
                # Switched to another model while this was embedded: describe it by that one.
                async with self._database.reading() as connection:
                    gallery = await gallery_store.get_state(connection, gallery.id)

    async def _store(
        self, upload: Upload, contents: Sequence[bytes], gallery: Gallery
    ) -> tuple[StoredTracklet, str, bool]:
        frames, vector = await self.describe(contents, gallery.model_id, gallery.frame_cap)
        new = NewTracklet(
            id=uuid.uuid4(),
            camera=upload.camera,
            external_id=upload.external_id,
            identity=upload.identity,
            started_at=upload.started_at,
            ended_at=upload.ended_at,
            labels=upload.labels,
            frames=frames.records,
            frames_digest=frames.digest,
            model_id=gallery.model_id,
            vector=vector.astype("<f4").tobytes(),
            frame_cap=gallery.frame_cap or self._frame_cap,
        )
        try:
            # A client that hangs up must not leave half of this behind.
            change, created_at = await asyncio.shield(asyncio.create_task(self._commit(gallery, new, frames)))
        except IntegrityError:
            existing, _ = await self._existing(upload, contents)
            if existing is None:
                raise
            return existing, gallery.model_id, False
        with self._metrics.stage("index"):
            await self._galleries.catch_up(gallery.name, change)
        return new.as_stored(gallery.name, created_at), gallery.model_id, True

    async def delete(self, tracklet_id: uuid.UUID) -> None:
        """Delete a tracklet: row, descriptor, index entry, and the files that no other tracklet shares.

        Raises:
            NotFound: it is not stored.
        """
        deleted = None
        # What is in a gallery that is being deleted is gone already.
        with suppress(GalleryDeleting):
            async with self._database.transaction() as connection:
                deleted = await store.remove(connection, tracklet_id)
        if deleted is None:
            raise NotFound(f"There is no tracklet {tracklet_id}.")
        await self._galleries.catch_up(deleted.gallery, deleted.change)
        await self.sweep(deleted.gallery_id, deleted.gallery, list(deleted.frames))

    async def sweep(self, gallery_id: int, gallery: str, digests: Sequence[bytes]) -> int:
        """Remove those files among `digests` that no tracklet refers to; returns how many there were."""
        async with self._database.transaction() as connection:
            await store.lock_frames_exclusively(connection, gallery_id)
            orphans = await store.unreferenced(connection, gallery_id, digests)
            return await asyncio.to_thread(self._frame_store.remove, gallery, orphans)

    async def sweep_all(self) -> None:
        """Remove what uploads that were killed half-way left on disk."""
        await asyncio.to_thread(self._frame_store.discard_incoming)
        async with self._database.transaction() as connection:
            present = await gallery_store.list_all(connection)
        for gallery in present:
            digests = await asyncio.to_thread(self._frame_store.digests, gallery.name)
            removed = 0
            for start in range(0, len(digests), 5000):
                removed += await self.sweep(gallery.id, gallery.name, digests[start : start + 5000])
            if removed:
                log.warning("frame files without a tracklet removed", gallery=gallery.name, files=removed)

    async def _existing(self, upload: Upload, contents: Sequence[bytes]) -> tuple[StoredTracklet | None, Gallery]:
        """The tracklet that has the upload's external id already, and the gallery, made when it is new."""
        existing = None
        async with self._database.reading() as connection:
            if upload.external_id is not None:
                existing = await store.find_by_external_id(connection, upload.gallery, upload.external_id)
            gallery = await gallery_store.find(connection, upload.gallery)
        if gallery is None:
            async with self._database.transaction() as connection:
                gallery = await gallery_store.find_or_create(connection, upload.gallery, self._models.default_id)
        if existing is not None and existing.frames_digest != await asyncio.to_thread(digest_of, contents):
            raise ExternalIdConflict(
                f"Gallery {upload.gallery} has tracklet {existing.id} under external_id {upload.external_id!r}, with "
                "other frames. Use another external_id, or delete that tracklet first."
            )
        return existing, gallery

    async def _commit(self, gallery: Gallery, new: NewTracklet, frames: Frames) -> tuple[int, datetime]:
        try:
            async with self._database.transaction() as connection:
                await store.lock_frames_shared(connection, gallery.id)
                await store.refuse_deleting(connection, gallery.id)
                with self._metrics.stage("store"):
                    await asyncio.to_thread(self._frame_store.write, gallery.name, frames.contents)
                with self._metrics.stage("commit"):
                    stored = await store.store(connection, gallery.id, new)
                    await connection.commit()
                return stored
        except BaseException:
            await self._clean_up(gallery, frames)
            raise

    async def _clean_up(self, gallery: Gallery, frames: Frames) -> None:
        try:
            await self.sweep(gallery.id, gallery.name, list(frames.contents))
        except Exception as error:
            # The sweep at the next start finds them.
            log.warning("frame files of a failed upload remain for now", gallery=gallery.name, error=repr(error))
