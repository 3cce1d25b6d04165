"""Snapshots of the galleries in memory are written while these go on."""

import asyncio
from collections.abc import Callable

from service.gallery.served import ServedGallery
from service.gallery.snapshot_folder import SnapshotFolder


class Saver:
    """Writes snapshots in the background.

    Args:
        is_served: whether a gallery is still the one in memory under its name.
    """

    def __init__(
        self, snapshots: SnapshotFolder, is_served: Callable[[ServedGallery], bool], clock: Callable[[], float]
    ) -> None:
        self._snapshots = snapshots
        self._is_served = is_served
        self._clock = clock

    def save_soon(self, served: ServedGallery) -> None:
        """Write a snapshot in the background if the index changed since the last one; searches and writes go on."""
        idle = served.saving is None or served.saving.done()
        if idle and served.saved != served.index.applied and not served.writing.locked():
            frozen, loaded, replaced = served.index.freeze(), served.loaded, served.replaced
            served.saved_at = self._clock()

            async def save() -> None:
                done = await asyncio.to_thread(
                    self._snapshots.save, frozen, served.id, loaded.generation, loaded.model_id
                )
                if done and served.replaced == replaced and self._is_served(served):
                    served.saved = frozen.applied
                elif done:
                    # Switched, rebuilt or deleted meanwhile: nobody needs what was written.
                    await asyncio.to_thread(self._snapshots.forget, served.id, loaded.generation)

            served.saving = asyncio.create_task(save(), name="gallery snapshot")

    async def finish(self, served: ServedGallery) -> None:
        """Save what changed since the last snapshot, and wait for it.

        Raises:
            OSError: it cannot be written.
        """
        # One that is being written may lack the latest changes.
        for _ in range(2):
            if served.saving:
                await served.saving
            self.save_soon(served)
