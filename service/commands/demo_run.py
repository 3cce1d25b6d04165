"""The client's half of `tfclip demo`: a small drawn scene goes into a running service, and questions come back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.caution import caution
from model.cli import console
from model.data.folder import read_folder
from service.client import SearchOptions, TfclipClient
from service.client.uploading import UploadSummary
from service.client.wire import Ranking, Tracklet
from service.commands.demo_scene import CAMERAS, PASSING, RETURNING, SCENE_SEED, write_demo_scene
from service.commands.ingest import upload_with_progress
from service.commands.tables import output, print_table
from service.commands.upload_sources import folder_uploads

_SHOWN = 8


class DemoError(Exception):
    """The service did not do what the demo needs; the message says what."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        tracklets: how many are stored.
        queries: searches made, each over the cameras that did not see the query, who was seen there too.
        first_right: how many of them had the right person first.
        chance: the share that would be right by drawing lots.
        query: the tracklet whose ranking is shown: the first query, whatever came back.
        ranking: that ranking; it names the model.
    """

    tracklets: int
    queries: int
    first_right: int
    chance: float
    query: Tracklet
    ranking: Ranking

    @property
    def share(self) -> float:
        """Share of queries whose first result is the same person."""
        return self.first_right / self.queries

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "scene": {"seed": SCENE_SEED, "cameras": CAMERAS, "returning": RETURNING, "passing": PASSING},
            "tracklets": self.tracklets,
            "queries": self.queries,
            "first_right": self.first_right,
            "share": self.share,
            "chance": self.chance,
            "query": self.query.model_dump(mode="json"),
            "ranking": self.ranking.model_dump(mode="json"),
            "model": self.ranking.model.model_dump() if self.ranking.model else None,
        }


def run_demo(client: TfclipClient, folder: Path) -> DemoResult:
    """Draw the scene into `folder`, store it, and ask where else everybody was who passed more than one camera.

    Raises:
        DemoError: not everything could be stored.
        ClientError: the service refused or went away.
    """
    with console.status("Drawing people"):
        write_demo_scene(folder)
    data = read_folder(folder)
    summary = UploadSummary()
    upload_with_progress(client, folder_uploads(data, summary), summary, len(data.tracklets))
    if summary.failures:
        raise DemoError(f"{len(summary.failures)} tracklets were not stored: {summary.failures[0].detail}")
    tracklets = sorted(client.list_tracklets(), key=lambda tracklet: tracklet.external_id or "")
    cameras_of = Counter(tracklet.identity for tracklet in tracklets)  # nobody passes a camera twice
    queries = [tracklet for tracklet in tracklets if cameras_of[tracklet.identity] > 1]
    options = SearchOptions(k=_SHOWN, exclude_query_camera=True)
    rankings = [client.search(query.id, options) for query in queries]
    return DemoResult(
        tracklets=len(tracklets),
        queries=len(queries),
        first_right=sum(_first_is_right(*pair) for pair in zip(queries, rankings, strict=True)),
        chance=sum(_chance(query, tracklets) for query in queries) / len(queries),
        query=queries[0],
        ranking=rankings[0],
    )


def show(result: DemoResult) -> None:
    """Print one ranking as a table, the share of right first results, and what the weights are good for."""
    query, say = result.query, output().print
    say(
        f"{RETURNING} people pass two or three of {CAMERAS} cameras, {PASSING} others pass one: "
        f"{result.tracklets} tracklets, drawn by code."
    )
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
    say("This is the first query, whatever its answer; the others are not shown.")
    say(
        f"Of {result.queries} queries, {result.first_right} had the same person first among the other cameras: "
        f"{result.share:.2f}; drawing lots gives {result.chance:.2f}."
    )
    say("These people do not exist, and the share says nothing about real ones.")
    if (model := result.ranking.model) is not None:
        said = caution(trained=model.trained, demo=model.demo)
        say(f"The answers are those of {model.name}{f': {said}' if said else ''}.")
    say("Weights of your own: TFCLIP_WEIGHTS=FILE tfclip demo, or tfclip serve --weights FILE; see docs/weights.md.")


def _first_is_right(query: Tracklet, ranking: Ranking) -> bool:
    return bool(ranking.results) and ranking.results[0].identity == query.identity


def _chance(query: Tracklet, tracklets: Sequence[Tracklet]) -> float:
    elsewhere = [tracklet for tracklet in tracklets if tracklet.camera_id != query.camera_id]
    return sum(tracklet.identity == query.identity for tracklet in elsewhere) / len(elsewhere)
