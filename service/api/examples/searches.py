"""Examples of rankings and comparisons."""

from typing import Any

from service.api.examples.common import CALIBRATION_ID, GENERATION, MODEL, MODEL_ID, OTHER_ID, SCORE, TRACKLET_ID
from service.api.examples.errors import no_gallery
from service.export import csv_rows

_RESULT: dict[str, Any] = {
    "rank": 1,
    "tracklet_id": OTHER_ID,
    "score": SCORE,
    "rerank_distance": 0.1274,
    "probability": 0.9713,
    "camera_id": "gate-3",
    "identity": "Ann",
    "external_id": "2026-11-23/gate-3/track-5",
    "started_at": "2026-11-23T07:21:00Z",
    "ended_at": "2026-11-23T07:21:09Z",
    "thumbnail_url": f"/tracklets/{OTHER_ID}/frames/1",
}
_RERANK = {"method": "k_reciprocal", "expand": None, "top": 200, "took_ms": 4.112}
_CALIBRATION = {"id": CALIBRATION_ID, "stale": False, "reason": None}
_RANKING: dict[str, Any] = {
    "query_id": TRACKLET_ID,
    "gallery": "default",
    "model_id": MODEL_ID,
    "model": MODEL,
    "generation": GENERATION,
    "took_ms": 10.358,
    "rerank": _RERANK,
    "decision": "match",
    "undecided_because": None,
    "calibration": _CALIBRATION,
    "results": [_RESULT],
    "next_cursor": None,
}
_ROW = [_RESULT[name] for name in csv_rows.COLUMNS]
TABLE = csv_rows.header().decode() + ",".join("" if value is None else str(value) for value in _ROW) + "\r\n"
"""The ranking as CSV."""

_FOUND = {"ranking": _RANKING, "problem": None}
_REFUSED = {"ranking": None, "problem": no_gallery("archive", "/search/batch")}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Result": _RESULT,
    "RerankReport": _RERANK,
    "CalibrationReference": _CALIBRATION,
    "Ranking": _RANKING,
    "BatchItem": _FOUND,
    "BatchAnswer": {"items": [_FOUND, _REFUSED]},
    "Verification": {
        "gallery": "default",
        "tracklet_id": TRACKLET_ID,
        "other_tracklet_id": OTHER_ID,
        "score": SCORE,
        "probability": 0.9713,
        "calibration": _CALIBRATION,
        "model_id": MODEL_ID,
        "generation": GENERATION,
        "took_ms": 2.204,
    },
}
