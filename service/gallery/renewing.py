"""An index of the same generation, built beside the one that answers and put in its place: searches notice nothing."""

import asyncio
import time
from collections.abc import Callable

import structlog

from service.gallery.backoff import Backoff
from service.gallery.building import IndexLoader, ModelGone
from service.gallery.index import GalleryIndex
from service.gallery.served import Loaded, ServedGallery
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)

LEAST_DEAD_ROWS = 1024
DEAD_SHARE = 0.25


def worth_compacting(index: GalleryIndex) -> bool:
    """Whether deleted rows take so much room that copying all others is worth it."""
    return index.dead > max(LEAST_DEAD_ROWS, DEAD_SHARE * (len(index) + index.dead))


class Renewer:
    """Gives the room of deleted rows back, and builds indexes anew when every process was asked to.

    While it does, the index takes the room of its live rows a second time. A search that runs keeps the index that it
    began with.

    Args:
        loader: makes the indexes.
        as_loaded: makes an index ready to answer, given its generation and model.
    """

    def __init__(
        self,
        loader: IndexLoader,
        as_loaded: Callable[[GalleryIndex, int, str], Loaded],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loader = loader
        self._as_loaded = as_loaded
        self._backoff = Backoff(clock)

    def renew_soon(self, served: ServedGallery, gallery: Gallery) -> None:
        """See whether the index needs it, and have it done in the background unless that is being done."""
        if served.renewing is not None and not served.renewing.done():
            return
        rebuild = served.index.rebuild < gallery.rebuild
        state = (served.loaded.generation, gallery.rebuild)
        if (rebuild or worth_compacting(served.index)) and not self._backoff.too_early(served.id, state):
            served.renewing = asyncio.create_task(self._renew(served, rebuild, state), name="gallery renewal")

    async def compact(self, served: ServedGallery) -> bool:
        """Put the live rows in the place of all; the answers are the same, bit for bit.

        Returns:
            Whether it was done: not when the gallery was switched or rebuilt meanwhile.

        Raises:
            DatabaseUnavailable, IndexOutOfStep, OSError: nothing happened.
        """
        before = served.loaded
        frozen, dead = before.index.freeze(), before.index.dead
        index = await asyncio.to_thread(self._loader.compact, frozen)
        # Nothing but the index that answers may keep the rows before.
        del frozen
        done = await self._put(served, before, index, same_rows=True)
        if done:
            log.info("room of deleted tracklets given back", gallery=served.name, deleted=dead, tracklets=len(index))
        return done

    async def rebuild(self, served: ServedGallery) -> bool:
        """Build the index anew from the database alone, and put it in the place of the one that answers.

        Returns, raises:
            As `compact`.
        """
        before = served.loaded
        index, holes = await self._loader.build_with_holes(served.id, before.model_id)
        if holes:
            log.error(
                "tracklets without a descriptor cannot be found; repair mends them",
                gallery=served.name,
                tracklets=len(holes),
            )
        done = await self._put(served, before, index, same_rows=False)
        if done:
            log.info("index built anew from the database", gallery=served.name, tracklets=len(index))
        return done

    async def _put(self, served: ServedGallery, before: Loaded, index: GalleryIndex, same_rows: bool) -> bool:
        # Most of what came meanwhile, while others go on writing.
        await self._loader.advance(index, served.id, before.model_id)
        async with served.writing:
            gallery, looked_at = await self._loader.advance(index, served.id, before.model_id)
            if served.loaded is not before or not before.serves(gallery):
                return False
            served.loaded = self._as_loaded(index, before.generation, before.model_id)
            served.current_at = looked_at
            if not same_rows:
                served.saved = -1
                served.replaced += 1
        return True

    async def _renew(self, served: ServedGallery, rebuild: bool, state: tuple[int, int]) -> None:
        try:
            await (self.rebuild(served) if rebuild else self.compact(served))
        except ModelGone:
            # Switched meanwhile: another index is on its way.
            pass
        except Exception as error:
            seconds = self._backoff.failed(served.id, state, error)
            log.error("index could not be renewed", gallery=served.name, error=repr(error), again_in=seconds)
        else:
            self._backoff.worked(served.id)
