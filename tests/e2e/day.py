"""A day of a running service: two galleries are filled, people confirmed, scores calibrated, and people searched for.

`python -m tests.e2e.day --root FOLDER` plays it with the people of a folder data set, without `--root` with drawn ones.
It prints what happened, and whether what the calibration promised came true for people whom the gallery does not have.
"""

import argparse
import csv
import io
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.serving import ADMIN_KEY, data_folder, served
from model.data.folder import FolderTracklet, read_folder
from model.data.scene import write_scene
from model.metrics import RetrievalLabels, RetrievalMetrics, evaluate_distances
from service.client import PackedTracklet, SearchOptions, TfclipClient
from service.client.wire import Job
from service.client.wire.calibration import Calibration, Rate

NORTH, SOUTH = "north", "south"
_DRAWN = {"people": 200, "cameras": 3, "tracklets": 1, "frames": 4, "seed": 77, "height": 128}
_MATCH_FPIR, _POSSIBLE_FPIR = 0.05, 0.2
"""What some dozens of people can carry: of so few, one in a hundred is nobody."""

_FAR = 1e6
"""The distance of rows that a ranking leaves out."""


@dataclass(frozen=True)
class Cast:
    """Who is where: everybody in the north is ingested there, half of them are confirmed; the others pass the south."""

    north: dict[str, list[FolderTracklet]]
    south: dict[str, list[FolderTracklet]]
    confirmed: list[str]


@dataclass
class Day:
    """What happened.

    Attributes:
        promised: share of `no match` among searches for people whom the gallery lacks, by the calibration.
        absent: decisions of those searches, for each person.
        plain, reranked: how well people of the north are found again.
    """

    stored: dict[str, int] = field(default_factory=dict)
    calibration: Calibration | None = None
    promised: Rate | None = None
    absent: dict[str, list[str | None]] = field(default_factory=dict)
    plain: RetrievalMetrics | None = None
    reranked: RetrievalMetrics | None = None
    merge: dict[str, Any] = field(default_factory=dict)
    exported: dict[str, Any] = field(default_factory=dict)

    @property
    def searches(self) -> int:
        """Searches for people whom the gallery lacks."""
        return sum(len(decisions) for decisions in self.absent.values())

    def share(self, decision: str) -> float:
        """Share of those searches that were decided so."""
        decided = [one for decisions in self.absent.values() for one in decisions]
        return decided.count(decision) / len(decided)

    def share_interval(self, decision: str, samples: int = 2000) -> tuple[float, float]:
        """95 % interval of `share`, by a bootstrap over people: one person's searches are not independent."""
        rng = random.Random(0)
        people = list(self.absent.values())
        shares = []
        for _ in range(samples):
            decided = [one for drawn in rng.choices(people, k=len(people)) for one in drawn]
            shares.append(decided.count(decision) / len(decided))
        shares.sort()
        return shares[int(0.025 * samples)], shares[int(0.975 * samples)]

    def to_dict(self) -> dict[str, Any]:
        """What is printed, as a JSON document."""
        assert self.calibration is not None
        assert self.promised is not None
        assert self.plain is not None
        assert self.reranked is not None
        low, high = self.share_interval("no match")
        return {
            "stored": self.stored,
            "calibration": {
                "tracklets": self.calibration.tracklets,
                "labels": self.calibration.labels.model_dump(),
                "possible": self.calibration.decisions.possible.model_dump(),
                "match": self.calibration.decisions.match.model_dump(),
            },
            "absent people": {
                "people": len(self.absent),
                "searches": self.searches,
                "no match": self.share("no match"),
                "no match, interval": [low, high],
                "no match, promised": self.promised.model_dump(),
                "within the promised interval": self.promised.low <= self.share("no match") <= self.promised.high,
                "match": self.share("match"),
            },
            "mAP": {"plain": self.plain.mAP, "re-ranked": self.reranked.mAP},
            "rank-1": {"plain": self.plain.rank(1), "re-ranked": self.reranked.rank(1)},
            "merge": self.merge,
            "exported": self.exported,
        }


def cast_people(tracklets: Sequence[FolderTracklet], seed: int = 0) -> Cast:
    """Half of the people to the north, and half of those confirmed."""
    people: dict[str, list[FolderTracklet]] = defaultdict(list)
    for tracklet in tracklets:
        people[tracklet.identity].append(tracklet)
    names = sorted(people)
    random.Random(seed).shuffle(names)
    cut = len(names) // 2
    return Cast(
        {name: people[name] for name in names[:cut]},
        {name: people[name] for name in names[cut:]},
        names[: cut // 2],
    )


def play(client: TfclipClient, cast: Cast) -> Day:
    """Play the day against a service whose galleries `north` and `south` are empty."""
    day = Day()
    ids = {gallery: ingest(client, gallery, people) for gallery, people in ((NORTH, cast.north), (SOUTH, cast.south))}
    day.stored = {gallery: len(stored) for gallery, stored in ids.items()}
    for person in cast.confirmed:
        client.create_identity(person, [ids[NORTH][one.path] for one in cast.north[person]], gallery=NORTH)
    # Every tracklet of whoever is confirmed has its identity, so those without one are strangers to them.
    job = client.calibrate(NORTH, match_fpir=_MATCH_FPIR, possible_fpir=_POSSIBLE_FPIR, unlabelled="strangers")
    succeeded(client, job)
    day.calibration = client.calibration(NORTH)
    assert day.calibration is not None
    wrong = day.calibration.decisions.possible.fpir
    day.promised = Rate(value=1 - wrong.value, low=1 - wrong.high, high=1 - wrong.low)
    day.absent = {
        person: [client.search_frames(contents(one), SearchOptions(gallery=NORTH, k=1)).decision for one in tracklets]
        for person, tracklets in cast.south.items()
    }
    day.plain = find_again(client, cast.north, ids[NORTH], SearchOptions())
    day.reranked = find_again(
        client, cast.north, ids[NORTH], SearchOptions(rerank="k_reciprocal", rerank_top=1000, rerank_k1=6, rerank_k2=3)
    )
    day.merge = merge_and_undo(client, cast, ids[NORTH])
    day.exported = export(client, next(iter(ids[NORTH].values())))
    return day


def ingest(client: TfclipClient, gallery: str, people: Mapping[str, Sequence[FolderTracklet]]) -> dict[str, str]:
    """Store everybody's tracklets in one request, without saying who they are; their ids by the tracklets' paths.

    Raises:
        RuntimeError: one was not stored.
    """
    packed = [PackedTracklet(one.camera, one.path, one.frames) for some in people.values() for one in some]
    report = client.create_tracklets(packed, gallery=gallery)
    if report.failed or not report.complete:
        raise RuntimeError(f"{report.failed} of {len(packed)} tracklets were not stored: {report.problem}")
    return {str(item.external_id): str(item.tracklet_id) for item in report.items}


def find_again(
    client: TfclipClient,
    people: Mapping[str, Sequence[FolderTracklet]],
    ids: Mapping[str, str],
    options: SearchOptions,
) -> RetrievalMetrics:
    """Search for every tracklet at the other cameras, and measure the rankings."""
    tracklets = [one for some in people.values() for one in some]
    place = {ids[one.path]: number for number, one in enumerate(tracklets)}
    distances = torch.full((len(tracklets), len(tracklets)), _FAR)
    for number, one in enumerate(tracklets):
        asked = SearchOptions(
            **{**vars(options), "gallery": NORTH, "k": min(1000, len(tracklets)), "exclude_query_camera": True}
        )
        for match in client.search(ids[one.path], asked).results:
            distances[number, place[match.tracklet_id]] = match.rank
    numbers = {name: number for number, name in enumerate(sorted({one.identity for one in tracklets}))}
    cameras = {name: number for number, name in enumerate(sorted({one.camera for one in tracklets}))}
    who = torch.tensor([numbers[one.identity] for one in tracklets])
    where = torch.tensor([cameras[one.camera] for one in tracklets])
    return evaluate_distances(distances, RetrievalLabels(who, who, where, where))


def merge_and_undo(client: TfclipClient, cast: Cast, ids: Mapping[str, str]) -> dict[str, Any]:
    """One person is taken for two, who are merged and kept apart again."""
    person = next(
        name
        for name, tracklets in sorted(cast.north.items())
        if name not in cast.confirmed and len({one.camera for one in tracklets}) > 1
    )
    first, *others = [ids[one.path] for one in cast.north[person]]
    kept = client.create_identity("somebody", [first], gallery=NORTH)
    merged = client.create_identity("somebody else", others, gallery=NORTH)
    done = client.merge_identities(kept.id, merged.id)
    together = [one.tracklet_id for one in client.appearances(kept.id)]
    undone = client.unmerge_identities(kept.id, done.event_id)
    apart = {one: client.get_tracklet(one).identity for one in (first, *others)}
    return {
        "tracklets together": len(together),
        "restored": len(undone.restored),
        "as before": apart == {first: "somebody", **dict.fromkeys(others, "somebody else")},
        "history": [event.kind for event in client.identity_history(kept.id)],
    }


def export(client: TfclipClient, query: str) -> dict[str, Any]:
    """The ranking of a query as every kind of file."""
    options = SearchOptions(gallery=NORTH, k=10)
    table = list(csv.DictReader(io.StringIO(client.export_search(query, "csv", options).decode())))
    document = json.loads(client.export_search(query, "json", options))
    sheet = Image.open(io.BytesIO(client.export_search(query, "png", options)))
    return {"csv": len(table), "json": len(document["results"]), "png": list(sheet.size)}


def contents(tracklet: FolderTracklet) -> list[bytes]:
    """The frames' files."""
    return [frame.read_bytes() for frame in tracklet.frames]


def succeeded(client: TfclipClient, job: Job) -> None:
    """Wait for a job.

    Raises:
        RuntimeError: it came to another end.
    """
    ended = client.wait_for_job(job.id)
    if ended.status != "succeeded":
        raise RuntimeError(f"{ended.kind} {ended.status}: {ended.error}")


@contextmanager
def drawn_people() -> Iterator[Path]:
    """A folder data set of drawn people."""
    with tempfile.TemporaryDirectory(prefix="tfclip-day-") as folder:
        write_scene(Path(folder), **_DRAWN)
        yield Path(folder)


@contextmanager
def given(root: Path | None) -> Iterator[Path]:
    """The folder that was named, or one of drawn people."""
    if root is not None:
        yield root
    else:
        with drawn_people() as folder:
            yield folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Start a service, play the day, print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder data set; drawn people without it")
    parser.add_argument("--weights", type=Path, help="weights file; the demo weights without it")
    chosen = parser.parse_args(arguments)
    with given(chosen.root) as root, data_folder() as folder, served(folder / "data", chosen.weights) as (_, url):
        cast = cast_people(read_folder(root).tracklets)
        with TfclipClient(url, ADMIN_KEY) as client:
            day = play(client, cast)
    json.dump(day.to_dict(), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
