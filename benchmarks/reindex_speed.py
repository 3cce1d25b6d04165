"""Moving a gallery to another model: tracklets per second beside the encoder alone, and what searches feel of it.

Each round moves galleries of its own, whose tracklets have JPEG frames on disk, to the service's `tiny` weights, once
alone and once while a client searches another gallery. All sides are measured in turns, and medians are compared.
"""

import argparse
import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import httpx
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks import made_up
from benchmarks.load import Load, offer
from benchmarks.serving import ADMIN_KEY, data_folder, served
from benchmarks.upload_throughput import FRAMES, in_process_rate, tracklet_files
from model import ModelConfig, new_model, save_model
from model.clips import dense_clips
from model.preprocess import to_tensor
from service.embedding.backend import TorchBackend
from service.store.frames import FrameStore

SEARCHED = "searched"
_PEOPLE = 24
_FORMER_DIMENSION = 64
"""Of the descriptors that the galleries have before they are moved."""

_SLICE_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracklets", type=int, default=2_000, help="in each gallery that is moved")
    parser.add_argument("--rows", type=int, default=20_000, help="tracklets of 2048 in the gallery that is searched")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a measurement in process or at rest")
    chosen = parser.parse_args(arguments)

    network = new_model(ModelConfig.preset("tiny"), seed=0)
    backend = TorchBackend(network, "cpu")
    files = tracklet_files(_PEOPLE)
    frames = to_tensor([Image.open(BytesIO(content)) for content in files[0]], backend.image)
    clips = frames[torch.tensor(dense_clips(FRAMES, backend.clip_length))]
    encoder: list[float] = []
    moved: dict[str, list[float]] = {"alone": [], "searched meanwhile": []}
    quiet: list[list[float]] = []
    busy: list[list[float]] = []
    with data_folder() as folder:
        weights = folder / "tiny.safetensors"
        save_model(network, weights, {"trained": False, "name": "tiny"})
        queries = fill(folder / "data", files, chosen.tracklets, chosen.rows, 2 * chosen.rounds)
        with (
            served(folder / "data", weights) as (_, url),
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            search = Searches(pool, url, queries)
            search.run(2.0)
            for turn in range(chosen.rounds):
                encoder.append(in_process_rate(backend, clips, backend.parallel, chosen.seconds))
                moved["alone"].append(move(url, f"moved-{2 * turn}"))
                quiet.append(search.run(chosen.seconds).latencies)
                latencies, rate = search.run_during(lambda turn=turn: move(url, f"moved-{2 * turn + 1}"))
                busy.append(latencies)
                moved["searched meanwhile"].append(rate)
    console = Console(width=120)
    console.print(report_moves(chosen.tracklets, backend.parallel, encoder, moved))
    console.print(report_searches(chosen.rows, quiet, busy))


def fill(data: Path, files: Sequence[Sequence[bytes]], tracklets: int, rows: int, galleries: int) -> list[str]:
    """Store galleries to move, with their frames, and one to search; returns the paths to ask for."""
    digests = [[hashlib.sha256(content).digest() for content in contents] for contents in files]
    contents = {hashlib.sha256(content).digest(): content for one in files for content in one}
    with made_up.embedded_database(data) as connection:
        frames = FrameStore(data / "frames")
        for number in range(galleries):
            vectors = made_up.descriptors(tracklets, _FORMER_DIMENSION, seed=number)
            made_up.fill(connection, f"moved-{number}", vectors, digests)
            frames.write(f"moved-{number}", contents)
        ids = made_up.fill(connection, SEARCHED, made_up.descriptors(rows, 2048))
    return [f"/search?gallery={SEARCHED}&query_id={one}" for one in ids[:512]]


def move(url: str, gallery: str) -> float:
    """Re-index the gallery to the service's own model; returns tracklets per second, by the job's own clock.

    Raises:
        RuntimeError: the job did not succeed.
    """
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60) as client:
        model_id = client.get("/readyz").json()["model"]["id"]
        answer = client.post("/admin/reindex", json={"gallery": gallery, "model_id": model_id})
        answer.raise_for_status()
        job = client.get(answer.headers["Location"]).json()
        while job["finished_at"] is None:
            time.sleep(0.2)
            job = client.get(answer.headers["Location"]).json()
    if job["status"] != "succeeded":
        raise RuntimeError(f"re-index ended as {job['status']}: {job['error']}")
    seconds = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])
    return float(job["total"]) / seconds.total_seconds()


class Searches:
    """One client that searches a gallery, one question after another."""

    def __init__(self, pool: ProcessPoolExecutor, url: str, paths: Sequence[str]) -> None:
        self._pool = pool
        self._url = url
        self._paths = paths

    def run(self, seconds: float) -> Load:
        """Search for so long."""
        return offer(self._pool, self._url, self._paths, 1, seconds)

    def run_during(self, work: Callable[[], float]) -> tuple[list[float], float]:
        """Search until `work` ends: the latencies of answers that began before it did, and what it returned."""
        returned: list[float] = []
        worker = threading.Thread(target=lambda: returned.append(work()))
        latencies: list[float] = []
        worker.start()
        while worker.is_alive():
            latencies += self.run(_SLICE_SECONDS).latencies
        worker.join()
        return latencies, returned[0]


def report_moves(tracklets: int, threads: int, encoder: Sequence[float], moved: dict[str, list[float]]) -> Table:
    """Tracklets per second, and over those of the encoder in the same round."""
    table = Table(title=f"{tracklets} tracklets of {FRAMES} JPEG frames to another model, medians")
    for column in ("measured", "tracklets per second", "spread", "over the encoder"):
        table.add_column(column, justify="left" if column == "measured" else "right")
    rows = {f"the encoder in process, decoded frames, {threads} threads": list(encoder)}
    rows |= {f"re-index, {name}": rates for name, rates in moved.items()}
    for name, rates in rows.items():
        ratio = statistics.median(own / other for own, other in zip(rates, encoder, strict=True))
        table.add_row(
            name,
            f"{statistics.median(rates):.1f}",
            f"{min(rates):.1f}-{max(rates):.1f}",
            f"{ratio:.2f}",
        )
    return table


def report_searches(rows: int, quiet: Sequence[list[float]], busy: Sequence[list[float]]) -> Table:
    """Latency at rest and during the re-index, and the ratio within the rounds."""
    table = Table(title=f"GET /search of another gallery, {rows} rows of 2048, one client: ms, medians over the rounds")
    for column in ("percentile", "at rest", "during the re-index", "ratio"):
        table.add_column(column, justify="right")
    for percentile in (50, 99):
        at_rest = [1000 * float(np.percentile(latencies, percentile)) for latencies in quiet]
        during = [1000 * float(np.percentile(latencies, percentile)) for latencies in busy]
        ratio = statistics.median(one / other for one, other in zip(during, at_rest, strict=True))
        table.add_row(
            f"p{percentile}", f"{statistics.median(at_rest):.1f}", f"{statistics.median(during):.1f}", f"{ratio:.2f}"
        )
    return table


if __name__ == "__main__":
    main()
