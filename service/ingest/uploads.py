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
from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import IntegrityError, OperationalError

from model.purity import find_purity
from service import creation
from service.disk import full_disk_told
from service.embedding.batcher import TrackletDescriptors
from service.embedding.models import Models
from service.errors import ExternalIdConflict, GalleryDeleting, GalleryMoved, ModelConflict, NotFound
from service.evidence.purity import rounded_purity
from service.gallery.galleries import Galleries
from service.ingest.frames import Frames, check_frames, digest_of, prepare_frames
from service.ingest.given import GivenDescriptor
from service.ingest.images import ImageLimits
from service.ingest.leftovers import Leftovers
from service.metrics import Metrics
from service.store import galleries as gallery_store
from service.store import integrity as integrity_store
from service.store import keys
from service.store import tracklets as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.galleries import Gallery
from service.store.tracklets import NewTracklet, StoredTracklet

log = structlog.get_logger(__name__)

_FILES_AT_ONCE = 5000
_TRIES = 3


@dataclass(frozen=True)
class Owner:
    """The key that sends a tracklet, and how many it may store; None where there is no key or no limit."""

    key_id: uuid.UUID | None = None
    quota: int | None = None


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
    uploaded_by: str
    owner: Owner = Owner()
    descriptor: GivenDescriptor | None = None

    def digest(self, contents: Sequence[bytes]) -> bytes:
        """What names the tracklet's content: its frames, or where it has none its descriptor."""
        return digest_of(contents) if contents or self.descriptor is None else self.descriptor.digest


@dataclass(frozen=True)
class _Described:
    """The frames of an upload, and what models make of them: a descriptor of each model, (D,) float32, and purity.

    At most `frame_cap` frames were embedded.
    """

    frames: Frames
    vectors: dict[str, NDArray[np.float32]]
    purity: float | None
    frame_cap: int


class Uploads:
    """Stores and deletes tracklets, and describes frames that are not stored.

    Attributes:
        leftovers: files of deletions and of failed uploads.
    """

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
        self.leftovers = Leftovers(self.sweep)
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
        frames, found = await self._describe(contents, model_id, frame_cap)
        return frames, found.descriptor

    async def _describe(
        self, contents: Sequence[bytes], model_id: str, frame_cap: int | None
    ) -> tuple[Frames, TrackletDescriptors]:
        self._metrics.upload_bytes.observe(sum(len(content) for content in contents))
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
            found = await batcher.embed_frames(frames.clips)
        return frames, found

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
        described = await self._describe_first(upload, contents, gallery)
        while True:
            if upload.descriptor is not None:
                upload.descriptor.vector_for(gallery)
            for missing in gallery.models - described.vectors.keys():
                described.vectors[missing] = await self._describe_too(contents, gallery, missing, described.frame_cap)
            try:
                return await self._store(upload, contents, gallery, identifier, described)
            except GalleryMoved:
                # A job began or ended moving it to another model while this was embedded.
                async with self._database.reading() as connection:
                    gallery = await gallery_store.get_state(connection, gallery.id)

    async def _describe_first(self, upload: Upload, contents: Sequence[bytes], gallery: Gallery) -> _Described:
        """Describe an upload by the gallery's model, or take the descriptor that it brings."""
        # The cap that it is described with is written down with it, whatever the gallery says by then.
        cap = gallery.frame_cap or self._frame_cap
        if upload.descriptor is None:
            frames, found = await self._describe(contents, gallery.model_id, gallery.frame_cap)
            purity = await self._purity(found.frames[: frames.embedded])
            return _Described(frames, {gallery.model_id: found.descriptor}, purity, cap)
        vector = upload.descriptor.vector_for(gallery)
        frames = await asyncio.get_running_loop().run_in_executor(
            self._threads, check_frames, contents, self._limits, upload.digest(contents)
        )
        return _Described(frames, {gallery.model_id: vector}, None, cap)

    async def _describe_too(
        self, contents: Sequence[bytes], gallery: Gallery, model_id: str, frame_cap: int
    ) -> NDArray[np.float32]:
        """Describe an upload by one more model: that of a generation that is joining, or has begun to serve since."""
        if not contents:
            raise ModelConflict(
                f"Gallery {gallery.name} is moving to model {model_id}, and the tracklet has no frames to describe by "
                "it, so nothing was stored. Send it when the job that moves the gallery has ended."
            )
        try:
            # Frames are prepared anew: models differ in how.
            _, vector = await self.describe(contents, model_id, frame_cap)
        except ModelConflict as error:
            raise ModelConflict(
                f"Gallery {gallery.name} is moving to model {model_id}, which this service cannot load, so nothing was "
                f"stored. {error} Or cancel the job that moves the gallery, and send the tracklet again."
            ) from error
        return vector

    async def _purity(self, frames: NDArray[np.float32]) -> float | None:
        """How far the frames are of one person, (N, D) their descriptors; None: too few to tell."""
        # Microseconds for a few frames and milliseconds for many, which would be the event loop's.
        judged = await asyncio.to_thread(find_purity, frames)
        return None if judged is None else rounded_purity(judged)

    async def _store(
        self,
        upload: Upload,
        contents: Sequence[bytes],
        gallery: Gallery,
        identifier: uuid.UUID,
        described: _Described,
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
            purity=described.purity,
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
        return new.as_stored(gallery.name, identity, created_at), gallery.model_id, True

    async def delete(self, tracklet_id: uuid.UUID, done_by: str) -> None:
        """Delete a tracklet: row, descriptor, index entry, and the files that no other tracklet shares.

        Raises:
            NotFound: it is not stored.
        """
        deleted = None
        # What is in a gallery that is being deleted is gone already.
        with suppress(GalleryDeleting):
            async with self._database.changing() as connection:
                deleted = await store.remove(connection, tracklet_id, done_by)
        if deleted is None:
            raise NotFound(f"There is no tracklet {tracklet_id}.")
        await self._galleries.catch_up(deleted.gallery, deleted.change)
        await self.leftovers.remove(deleted.gallery_id, deleted.gallery, deleted.frames)

    async def sweep(self, gallery_id: int, gallery: str, digests: Sequence[bytes]) -> int:
        """Remove those files among `digests` that no tracklet refers to; returns how many there were."""
        # It waits for whoever writes files, so it leaves connections to searches.
        async with self._database.changing() as connection:
            await store.lock_frames_exclusively(connection, gallery_id)
            orphans = await store.unreferenced(connection, gallery_id, digests)
            return await asyncio.to_thread(self._frame_store.remove, gallery, orphans)

    async def sweep_all(self) -> None:
        """Remove what uploads that were killed half-way left on disk.

        Files of a gallery in which frame rows are wrong are left: they may be those that the rows should name.
        """
        await asyncio.to_thread(self._frame_store.discard_incoming)
        async with self._database.transaction() as connection:
            present = await gallery_store.list_all(connection)
        for gallery in present:
            orphans = await self._orphans(gallery)
            if not orphans:
                continue
            async with self._database.reading() as connection:
                wrong = await integrity_store.with_wrong_frame_rows(connection, gallery.id)
            if wrong:
                log.error(
                    "frame files without a tracklet are left, since frame rows are wrong; tfclip integrity names them",
                    gallery=gallery.name,
                    files=len(orphans),
                    tracklets=len(wrong),
                )
                continue
            removed = 0
            for start in range(0, len(orphans), _FILES_AT_ONCE):
                removed += await self.sweep(gallery.id, gallery.name, orphans[start : start + _FILES_AT_ONCE])
            if removed:
                log.warning("frame files without a tracklet removed", gallery=gallery.name, files=removed)

    async def _orphans(self, gallery: Gallery) -> list[bytes]:
        """Files of the gallery that no row names, or none yet: nobody is locked out for it."""
        digests = await asyncio.to_thread(self._frame_store.digests, gallery.name)
        orphans = []
        async with self._database.reading() as connection:
            for start in range(0, len(digests), _FILES_AT_ONCE):
                orphans += await store.unreferenced(connection, gallery.id, digests[start : start + _FILES_AT_ONCE])
        return orphans

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
            await self.leftovers.remove(gallery.id, gallery.name, frames.contents)
            raise

    async def _commit_once(
        self, gallery: Gallery, new: NewTracklet, frames: Frames, quota: int | None
    ) -> tuple[int, datetime, str | None]:
        async with self._database.changing() as connection:
            await store.lock_frames_shared(connection, gallery.id)
            await store.refuse_deleting(connection, gallery.id)
            with self._metrics.stage("store"), full_disk_told("frames/"):
                await asyncio.to_thread(self._frame_store.write, gallery.name, frames.contents)
            with self._metrics.stage("commit"):
                if new.key_id is not None and quota is not None:
                    await keys.check_quota(connection, new.key_id, quota, lock=True)
                stored = await store.store(connection, gallery.id, new)
                await connection.commit()
            return stored


async def _new_id(upload: Upload, contents: Sequence[bytes]) -> uuid.UUID:
    """An id for a tracklet of this content."""
    if not creation.is_keyed():
        return uuid.uuid4()
    return creation.new_id(f"tracklet {(await asyncio.to_thread(upload.digest, contents)).hex()}")
