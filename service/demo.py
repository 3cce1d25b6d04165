"""The client's half of `tfclip demo`: a small drawn scene goes into a running service, and questions come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.data.folder import read_folder
from model.data.synthetic import write_scene
from service.client import SearchOptions, TfclipClient
from service.commands.ingest import upload_with_progress
from service.commands.tables import output, print_table
from service.upload import UploadSummary
from service.upload_sources import folder_uploads
from service.wire import Ranking, ServedModel, Tracklet

PEOPLE, CAMERAS, TRACKLETS, FRAMES = 12, 3, 1, 8
_SHOWN = 8


class DemoError(Exception):
    """The service did not do what the demo needs; the message says what."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        queries: searches made, each over the cameras that did not see the query.
        first_right: how many of them had the right person first.
        chance: the share that would be right by drawing lots.
        query: the tracklet whose ranking is shown.
        ranking: that ranking.
        model: the service's model, if it says.
    """

    queries: int
    first_right: int
    chance: float
    query: Tracklet
    ranking: Ranking
    model: ServedModel | None

    @property
    def share(self) -> float:
        """Share of queries whose first result is the same person."""
        return self.first_right / self.queries

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "queries": self.queries,
            "first_right": self.first_right,
            "share": self.share,
            "chance": self.chance,
            "query": self.query.model_dump(mode="json"),
            "ranking": self.ranking.model_dump(mode="json"),
            "model": self.model.model_dump() if self.model else None,
        }


def run_demo(client: TfclipClient, folder: Path, *, seed: int = 0) -> DemoResult:
    """Draw a scene into `folder`, store it, and ask for every tracklet where else its person was.

    Raises:
        DemoError: not everything could be stored.
        ClientError: the service refused or went away.
    """
    write_scene(folder, people=PEOPLE, cameras=CAMERAS, tracklets=TRACKLETS, frames=FRAMES, seed=seed)
    data = read_folder(folder)
    summary = UploadSummary()
    upload_with_progress(client, folder_uploads(data, summary), summary, len(data.tracklets))
    if summary.failures:
        raise DemoError(f"{len(summary.failures)} tracklets were not stored: {summary.failures[0].detail}")
    tracklets = sorted(client.list_tracklets(), key=lambda tracklet: tracklet.external_id or "")
    options = SearchOptions(k=_SHOWN, exclude_query_camera=True)
    rankings = [client.search(tracklet.id, options) for tracklet in tracklets]
    right = [_first_is_right(*pair) for pair in zip(tracklets, rankings, strict=True)]
    return DemoResult(
        queries=len(tracklets),
        first_right=sum(right),
        chance=sum(_chance(tracklet, tracklets) for tracklet in tracklets) / len(tracklets),
        query=tracklets[0],
        ranking=rankings[0],
        model=client.ready().model,
    )


def show(result: DemoResult) -> None:
    """Print one ranking as a table, the share of right first results, and whether the weights were trained."""
    query = result.query
    rows = [
        (
            str(match.rank),
            f"{match.score:.4f}",
            match.identity or "-",
            match.camera_id,
            "yes" if match.identity == query.identity else "no",
        )
        for match in result.ranking.results
    ]
    title = f"Where else was {query.identity}, seen by {query.camera_id}?"
    print_table(("rank", "score", "identity", "camera", "same person"), rows, title)
    console = output()
    console.print(
        f"Of {result.queries} queries, {result.first_right} had the same person first among the other cameras: "
        f"{result.share:.2f}; drawing lots gives {result.chance:.2f}."
    )
    if result.model is not None and not result.model.trained:
        console.print(
            "These weights are untrained: the network has learned nothing, and the ranking shows the path, not the "
            "method's quality. Give trained weights with: tfclip serve --weights FILE"
        )


def _first_is_right(query: Tracklet, ranking: Ranking) -> bool:
    return bool(ranking.results) and ranking.results[0].identity == query.identity


def _chance(query: Tracklet, tracklets: Sequence[Tracklet]) -> float:
    elsewhere = [tracklet for tracklet in tracklets if tracklet.camera_id != query.camera_id]
    return sum(tracklet.identity == query.identity for tracklet in elsewhere) / len(elsewhere)
