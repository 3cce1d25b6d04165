"""Examples of calibrations."""

from typing import Any

from service.api.examples.common import AT, CALIBRATION_ID, MODEL_ID, SCORE, TRACKLETS


def _rate(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


_MATCH: dict[str, Any] = {
    "target_fpir": 0.01,
    "threshold": 0.8412,
    "fpir": _rate(0.0096, 0.0041, 0.0222),
    "fnir": _rate(0.182, 0.1467, 0.2236),
}
_POSSIBLE = {
    "target_fpir": 0.1,
    "threshold": 0.7655,
    "fpir": _rate(0.098, 0.0722, 0.1317),
    "fnir": _rate(0.074, 0.0514, 0.1054),
}
_DECISIONS = {"match": _MATCH, "possible": _POSSIBLE}
_LABELS: dict[str, Any] = {
    "identities": 211,
    "tracklets_compared": 1688,
    "people_compared": 240,
    "people_beyond": 429.8,
    "pairs": 3964,
    "searches": 1622,
    "mated_searches": 1391,
}
_PART = {"probability": 0.9491, "same": 0.9427, "pairs": 2514}
_PROBABILITY: dict[str, Any] = {
    "slope": 31.6,
    "intercept": -19.306,
    "prior": 0.0043,
    "prior_counted": True,
    "expected_calibration_error": _rate(0.0012, 0.0008, 0.0019),
    "brier": _rate(0.0021, 0.0017, 0.0026),
    "brier_of_prior": 0.00428,
    "parts": [_PART],
}
_POINT = {"score": SCORE, "fpir": 0.0011, "fnir": 0.3051, "probability": 0.9713}
_CALIBRATION: dict[str, Any] = {
    "id": CALIBRATION_ID,
    "gallery": "default",
    "model_id": MODEL_ID,
    "tracklets": TRACKLETS,
    "reference_gallery": None,
    "made_by": "TFCLIP_ADMIN_KEY",
    "created_at": AT,
    "stale": False,
    "reason": None,
    "unlabelled": "unknown",
    "labels": _LABELS,
    "decisions": _DECISIONS,
    "probability": _PROBABILITY,
    "points": [_POINT],
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "RateAnswer": _MATCH["fpir"],
    "DecisionAnswer": _MATCH,
    "DecisionsAnswer": _DECISIONS,
    "LabelsAnswer": _LABELS,
    "PartAnswer": _PART,
    "ProbabilityAnswer": _PROBABILITY,
    "PointAnswer": _POINT,
    "CalibrationAnswer": _CALIBRATION,
    "CalibrationPage": {"current": _CALIBRATION, "items": [_CALIBRATION], "next_cursor": None},
}
