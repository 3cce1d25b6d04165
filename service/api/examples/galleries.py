"""Examples of galleries and their cameras."""

from typing import Any

from service.api.examples.common import AT, GENERATION, MODEL, TRACKLETS

_GALLERY: dict[str, Any] = {
    "name": "summer-fair",
    "description": None,
    "purpose": "Finding lost children",
    "legal_basis": "Consent",
    "frame_cap": None,
    "version": 1,
    "model_id": MODEL["id"],
    "model_name": MODEL["name"],
    "generation": GENERATION,
    "created_at": AT,
}
_INDEX: dict[str, Any] = {"rows": TRACKLETS, "lag_changes": 0, "lag_seconds": 0.21}
_STATISTICS: dict[str, Any] = {
    "tracklets": TRACKLETS,
    "frames": 37_688,
    "files": 37_512,
    "bytes": 301_204_480,
    "identities": 118,
    "cameras": 6,
    "first_start": "2026-11-23T07:00:02Z",
    "last_start": "2026-11-23T21:58:40Z",
    "index": _INDEX,
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "GalleryAnswer": _GALLERY,
    "GalleryDetails": _GALLERY | {"statistics": _STATISTICS},
    "Statistics": _STATISTICS,
    "IndexState": _INDEX,
    "CameraAnswer": {
        "gallery": "summer-fair",
        "name": "gate-2",
        "place": "North gate",
        "latitude": 47.376,
        "longitude": 8.548,
        "time_offset_seconds": -12.5,
        "tracklets": 812,
        "version": "b1f4d0f0a1c94c6e8d1d5b7f3d4a9c20",
        "created_at": AT,
    },
}
