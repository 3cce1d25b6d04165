"""Descriptors per second through `POST /tracklets` over descriptors per second in process, and where the rest goes.

Both sides are measured in turns within one run, on the same frames, and the medians are compared: the machine's mood
changes from minute to minute, the ratio does not. Run it alone: `python -m benchmarks.upload_throughput`.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from io import BytesIO
from multiprocessing import get_context

import httpx
import torch
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks.serving import ADMIN_KEY, cpu_seconds, data_folder, served
from model import ModelConfig, new_model, save_model
from model.clips import dense_clips
from model.data.synthetic import draw_tracklet
from model.preprocess import to_tensor
from service.embedding.backend import TorchBackend

FRAMES = 8
CLIENTS = 8
STAGES = ("receive", "decode", "embed", "store", "commit", "index")


def tracklet_files(people: int) -> list[list[bytes]]:
    """Eight JPEG files of 128x256 for each of `people` drawn people."""
    tracklets = []
    for person in range(people):
        files = []
        for image in draw_tracklet(person, 0, FRAMES):
            buffer = BytesIO()
            image.resize((128, 256)).save(buffer, "JPEG", quality=90)
            files.append(buffer.getvalue())
        tracklets.append(files)
    return tracklets


def in_process_rate(backend: TorchBackend, clips: torch.Tensor, threads: int, seconds: float) -> float:
    """Descriptors per second from decoded frames, one tracklet of one clip at a time in each of `threads` threads."""
    began = time.perf_counter()

    def embed(_: int) -> int:
        done = 0
        while time.perf_counter() - began < seconds:
            backend.embed(clips, at_once=threads)
            done += 1
        return done

    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(embed, range(threads)))
    return done / (time.perf_counter() - began)


def send_for(url: str, files: Sequence[Sequence[bytes]], offset: int, seconds: float) -> int:
    """One client: upload one tracklet after another for so long; returns how many were stored."""
    stored = 0
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60) as client:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            contents = files[(offset + stored) % len(files)]
            answer = client.post(
                "/tracklets",
                data={"metadata": json.dumps({"camera_id": f"c{offset}"})},
                files=[("frames", (f"{n}.jpg", content, "image/jpeg")) for n, content in enumerate(contents)],
            )
            answer.raise_for_status()
            stored += 1
    return stored


def stage_seconds(url: str) -> dict[str, tuple[float, float]]:
    """Total seconds and count of each stage so far, from the service's own metrics."""
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name in ("tfclip_stage_seconds_sum", "tfclip_stage_seconds_count"):
                found.setdefault(sample.labels["stage"], [0.0, 0.0])[sample.name.endswith("count")] = sample.value
            uploads = sample.labels.get("route") == "/tracklets" and sample.labels.get("method") == "POST"
            if uploads and sample.name in ("tfclip_request_seconds_sum", "tfclip_request_seconds_count"):
                found.setdefault("request", [0.0, 0.0])[sample.name.endswith("count")] = sample.value
    return {stage: (values[0], values[1]) for stage, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="times that both sides are measured")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each measurement")
    chosen = parser.parse_args(arguments)

    files = tracklet_files(24)
    network = new_model(ModelConfig.preset("tiny"), seed=0)
    backend = TorchBackend(network, "cpu")
    frames = to_tensor([Image.open(BytesIO(content)) for content in files[0]], backend.image)
    clips = frames[torch.tensor(dense_clips(FRAMES, backend.clip_length))]

    inside: dict[int, list[float]] = {threads: [] for threads in sorted({1, backend.parallel})}
    outside: list[float] = []
    with data_folder() as folder:
        weights = folder / "tiny.safetensors"
        save_model(network, weights, {"trained": False})
        with (
            served(folder / "data", weights) as (process, url),
            ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn")) as clients,
        ):
            list(clients.map(send_for, [url] * CLIENTS, [files] * CLIENTS, range(CLIENTS), [2.0] * CLIENTS))
            before, cpu_before, uploads = stage_seconds(url), cpu_seconds(process.pid, folder), 0
            for _ in range(chosen.rounds):
                for threads, rates in inside.items():
                    rates.append(in_process_rate(backend, clips, threads, chosen.seconds / 2))
                began = time.perf_counter()
                stored = sum(
                    clients.map(
                        send_for,
                        [url] * CLIENTS,
                        [files] * CLIENTS,
                        range(CLIENTS),
                        [chosen.seconds] * CLIENTS,
                    )
                )
                outside.append(stored / (time.perf_counter() - began))
                uploads += stored
            after, cpu_after = stage_seconds(url), cpu_seconds(process.pid, folder)
    report(inside, outside, before, after)
    cores = Table(title="CPU milliseconds for one upload (the clients share the machine)")
    cores.add_column("process")
    cores.add_column("ms", justify="right")
    for name in cpu_after:
        cores.add_row(name, f"{1000 * (cpu_after[name] - cpu_before[name]) / uploads:.1f}")
    Console(width=100).print(cores)


def report(
    inside: dict[int, list[float]],
    outside: list[float],
    before: dict[str, tuple[float, float]],
    after: dict[str, tuple[float, float]],
) -> None:
    """Print rates, ratios, and the stages of one upload."""
    console = Console(width=100)
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}; "
        f"{FRAMES} frames of 128x256 JPEG a tracklet, {CLIENTS} clients, tiny weights, CPU"
    )
    through = statistics.median(outside)
    rates = Table(title="Tracklets per second, medians")
    for column in ("measured", "per second", "spread", "POST /tracklets over it"):
        rates.add_column(column, justify="left" if column == "measured" else "right")
    rates.add_row("POST /tracklets", f"{through:.1f}", f"{min(outside):.1f}-{max(outside):.1f}", "")
    for threads, found in inside.items():
        ratios = [out / one for out, one in zip(outside, found, strict=True)]
        rates.add_row(
            f"in process, {threads} at a time",
            f"{statistics.median(found):.1f}",
            f"{min(found):.1f}-{max(found):.1f}",
            f"{statistics.median(ratios):.2f}",
        )
    console.print(rates)
    stages = Table(title="One upload, mean milliseconds; uploads in flight wait for the cores too")
    stages.add_column("stage")
    stages.add_column("ms", justify="right")
    means = {
        stage: 1000
        * (after[stage][0] - before.get(stage, (0, 0))[0])
        / (after[stage][1] - before.get(stage, (0, 0))[1])
        for stage in (*STAGES, "request")
    }
    for stage in STAGES:
        stages.add_row(stage, f"{means[stage]:.1f}")
    stages.add_row("everything else", f"{means['request'] - sum(means[stage] for stage in STAGES):.1f}")
    stages.add_row("the whole request", f"{means['request']:.1f}")
    console.print(stages)


if __name__ == "__main__":
    main()
