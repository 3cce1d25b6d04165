"""How well weights find people of a folder again, beside what needs no learning: thumbnails, and colours by height."""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from model.default_weights import DEMO_WEIGHTS, open_model
from model.intervals import bootstrap_intervals
from model.metrics import evaluate_distances
from training.datasets.registry import read_data_set
from training.evaluation import describe_tracklets, distinct_tracklets, rank


def main() -> None:
    """Measure and print the table: each tracklet asks for the same person under other cameras."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}")
    parser.add_argument(
        "--weights", type=Path, action="append", help="repeatable; the demo weights when none are named"
    )
    options, _ = parser.parse_known_args()
    data = read_data_set("folder", options.root)
    tracklets = distinct_tracklets(data)
    table = Table("described by", "mAP (95 %)", "rank-1 (95 %)", title=str(options.root))
    rows = {
        "thumbnails of 16 x 32": _mean(tracklets, _thumbnail),
        "colour histograms of 8 stripes": _mean(tracklets, _stripes),
    }
    for path in options.weights or [DEMO_WEIGHTS]:
        network, provenance = open_model(path)
        rows[f"{provenance['name']} ({path.name})"] = describe_tracklets(network, tracklets, batch_clips=64)
    for name, vectors in rows.items():
        distances, labels = rank(data, vectors)
        found = evaluate_distances(distances, labels)
        ends = bootstrap_intervals(found, labels.query_identities)
        table.add_row(
            name,
            f"{found.mAP:.3f} ({ends.mAP[0]:.3f} to {ends.mAP[1]:.3f})",
            f"{found.rank(1):.3f} ({ends.rank_1[0]:.3f} to {ends.rank_1[1]:.3f})",
        )
    Console().print(table)
    print(f"{len(tracklets)} tracklets of {len({one.identity for one in tracklets})} people")


def _mean(tracklets, describe) -> torch.Tensor:  # type: ignore[no-untyped-def]
    vectors = [np.mean([describe(Image.open(path).convert("RGB")) for path in one.frames], 0) for one in tracklets]
    return torch.tensor(np.array(vectors)).float()


def _thumbnail(frame: Image.Image) -> NDArray[np.float64]:
    return np.asarray(frame.resize((16, 32)), dtype=float).ravel()


def _stripes(frame: Image.Image) -> NDArray[np.float64]:
    pixels = np.asarray(frame.resize((64, 128)).convert("HSV"))[:, 16:48].reshape(8, -1, 3)
    counts = [np.histogramdd(stripe, (8, 4, 4), ((0, 256),) * 3)[0].ravel() for stripe in pixels]
    return np.sqrt(np.concatenate(counts))


if __name__ == "__main__":
    main()
