"""From which camera people are found again before which other."""

from dataclasses import dataclass

import torch

from model.metrics import RetrievalLabels, score_queries
from model.retrieval import DistanceRows, row_slices


@dataclass(frozen=True)
class CameraPair:
    """How well queries from one camera are found again when only another camera's entries are ranked.

    Attributes:
        query_camera, gallery_camera: numbers, as they were given.
        queries: queries from the one camera with a match before the other, at least 1.
        mAP, rank_1: fractions in 0..1 over these queries.
    """

    query_camera: int
    gallery_camera: int
    queries: int
    mAP: float  # noqa: N815
    rank_1: float


def camera_pair_table(distances: DistanceRows, labels: RetrievalLabels) -> list[CameraPair]:
    """Measure every pair of cameras for which a query has a match.

    Args:
        distances: (Q, G) float32, smaller is nearer.
        labels: of Q queries and G gallery entries.

    Returns:
        The pairs in the order of their numbers. A camera is not paired with itself: the protocol drops its matches.

    Raises:
        ValueError: shapes do not fit, or a number is not finite.
    """
    cameras = sorted(set(labels.query_cameras.tolist()) | set(labels.gallery_cameras.tolist()))
    entries = {camera: (labels.gallery_cameras == camera).nonzero()[:, 0] for camera in cameras}
    # Queries with a match, and sums of average precision and of first hits, by query camera and gallery camera.
    sums = torch.zeros(3, len(cameras), len(cameras), dtype=torch.float64)
    for rows in row_slices(len(labels.query_identities)):
        near = distances[rows]
        asking = torch.searchsorted(torch.tensor(cameras), labels.query_cameras[rows].cpu())
        for number, camera in enumerate(cameras):
            columns = entries[camera]
            if len(columns) == 0:
                continue
            scores = score_queries(near[:, columns.to(near.device)], labels.select(queries=rows, gallery=columns))
            parts = (scores.matches > 0, scores.average_precisions, scores.first_hits == 1)
            for total, part in zip(sums, parts, strict=True):
                total[:, number].index_add_(0, asking, part.double())
    return [
        CameraPair(cameras[asked], cameras[answered], int(count), float(precision / count), float(hits / count))
        for asked in range(len(cameras))
        for answered in range(len(cameras))
        if (count := sums[0, asked, answered]) > 0
        for precision, hits in [sums[1:, asked, answered]]
    ]
