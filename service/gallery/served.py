"""A gallery in memory: the index that answers, and how current it is."""

import asyncio
from dataclasses import dataclass, field

from service.gallery.batching import SearchBatcher
from service.gallery.index import GalleryIndex
from service.gallery.questions import Hit, Question
from service.gallery.recall import RecallMonitor
from service.store.cameras import Rules
from service.store.galleries import Gallery


@dataclass(frozen=True)
class Loaded:
    """One index and what it is: an answer is of one of these as a whole."""

    index: GalleryIndex
    generation: int
    model_id: str
    batcher: SearchBatcher
    recall: RecallMonitor | None = None

    async def search(self, question: Question) -> list[Hit]:
        """The index's answer, computed together with other questions that wait for it."""
        applied = self.index.applied
        hits = await self.batcher.search(question)
        if self.recall is not None:
            self.recall.watch(self.index, applied, question, hits)
        return hits

    def serves(self, gallery: Gallery) -> bool:
        """Whether it is of the generation that serves the gallery as it stands there."""
        return (self.generation, self.model_id) == (gallery.generation, gallery.model_id)


@dataclass
class ServedGallery:
    """One gallery in memory.

    Attributes:
        loaded: what searches read; replaced as a whole when a generation is switched.
        current_at: when the index was last known to contain every committed change (monotonic seconds).
        owed: the last change of this process that the index must contain before it answers.
        rules: the gallery's, and `owed_rules` the number of those that this process must know before it answers.
        saved: change number of the snapshot on disk, and when it was begun.
        replaced: how often an index with other rows was put in the place of the one before.
        writing: held by whoever changes the index or replaces it.
        refreshing: what brings the index up to date in the background, while it runs.
        saving: what writes its snapshot, while it runs.
        renewing: what builds an index to put in its place, while it runs.
    """

    id: int
    name: str
    loaded: Loaded
    current_at: float
    rules: Rules
    owed: int = 0
    owed_rules: int = 0
    saved: int = -1
    saved_at: float = float("-inf")
    replaced: int = 0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    refreshing: asyncio.Task[None] | None = None
    saving: asyncio.Task[None] | None = None
    renewing: asyncio.Task[None] | None = None

    @property
    def index(self) -> GalleryIndex:
        """The index that answers."""
        return self.loaded.index
