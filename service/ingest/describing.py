"""Frames that arrive are checked and described, by each model that must describe them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.embedding.batcher import TrackletDescriptors
from service.embedding.models import Models
from service.errors import ModelConflict
from service.evidence.purity import purity_of
from service.ingest.arriving import Upload
from service.ingest.frames import Frames, check_frames, prepare_frames
from service.ingest.images import ImageLimits
from service.metrics import Metrics
from service.store.galleries import Gallery
from service.threads import one_core_threads


@dataclass(frozen=True)
class Described:
    """The frames of an upload, and what models make of them: of each a descriptor, (D,) float32, and a purity.

    At most `frame_cap` frames were embedded.
    """

    frames: Frames
    vectors: dict[str, NDArray[np.float32]]
    purities: dict[str, float | None]
    frame_cap: int


class UploadDescriber:
    """Checks and describes frames that are not stored.

    Args:
        frame_cap: frames that are embedded where a gallery says nothing.
    """

    def __init__(
        self, models: Models, metrics: Metrics, limits: ImageLimits, frame_cap: int, decode_threads: int
    ) -> None:
        self._models = models
        self._metrics = metrics
        self._limits = limits
        self._frame_cap = frame_cap
        # One core each: frames are small, and threads that torch would add only wait for one another, busily.
        self._threads = one_core_threads(decode_threads, "decode")

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

    async def describe_upload(self, upload: Upload, contents: Sequence[bytes], gallery: Gallery) -> Described:
        """Describe an upload by the gallery's model, or take the descriptor that it brings.

        Raises:
            InvalidFrame, InvalidRequest, QueueFull, ModelConflict.
        """
        # The cap that it is described with is written down with it, whatever the gallery says by then.
        cap = gallery.frame_cap or self._frame_cap
        if upload.descriptor is None:
            frames, found = await self._describe(contents, gallery.model_id, gallery.frame_cap)
            purity = await _purity(frames, found)
            return Described(frames, {gallery.model_id: found.descriptor}, {gallery.model_id: purity}, cap)
        vector = upload.descriptor.vector_for(gallery)
        frames = await asyncio.get_running_loop().run_in_executor(
            self._threads, check_frames, contents, self._limits, upload.digest(contents)
        )
        return Described(frames, {gallery.model_id: vector}, {}, cap)

    async def describe_by_another(
        self, contents: Sequence[bytes], gallery: Gallery, model_id: str, frame_cap: int
    ) -> tuple[NDArray[np.float32], float | None]:
        """Describe an upload by one more model: that of a generation that is joining, or has begun to serve since.

        Returns:
            The descriptor, (D,) float32, not normalised, and the purity.

        Raises:
            ModelConflict: it has no frames, or this service cannot load the model.
            InvalidFrame, QueueFull.
        """
        if not contents:
            raise ModelConflict(
                f"Gallery {gallery.name} is moving to model {model_id}, and the tracklet has no frames to describe by "
                "it, so nothing was stored. Send it when the job that moves the gallery has ended."
            )
        try:
            # Frames are prepared anew: models differ in how.
            frames, found = await self._describe(contents, model_id, frame_cap)
        except ModelConflict as error:
            raise ModelConflict(
                f"Gallery {gallery.name} is moving to model {model_id}, which this service cannot load, so nothing was "
                f"stored. {error} Or cancel the job that moves the gallery, and send the tracklet again."
            ) from error
        return found.descriptor, await _purity(frames, found)


async def _purity(frames: Frames, found: TrackletDescriptors) -> float | None:
    """How far the frames are of one person; None: too few to tell."""
    # Microseconds for a few frames and milliseconds for many, which would be the event loop's.
    return await asyncio.to_thread(purity_of, found.frames[: frames.embedded])
