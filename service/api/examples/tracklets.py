"""Examples of stored tracklets."""

from typing import Any

from service.api.examples.common import AT, MODEL_ID, TRACKLET_ID

_FRAMES = f"/tracklets/{TRACKLET_ID}/frames"

TRACKLET: dict[str, Any] = {
    "id": TRACKLET_ID,
    "gallery": "default",
    "camera_id": "gate-2",
    "external_id": "2026-11-23/gate-2/track-17",
    "identity": None,
    "started_at": "2026-11-23T07:15:00Z",
    "ended_at": "2026-11-23T07:15:04Z",
    "labels": {"direction": "in"},
    "frame_count": 4,
    "purity": 0.9312,
    "possible_identity_switch": False,
    "created_at": AT,
    "version": 1,
    "thumbnail_url": f"{_FRAMES}/2",
    "frame_urls": [f"{_FRAMES}/{position}" for position in range(4)],
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Tracklet": TRACKLET,
    "StoredAnswer": TRACKLET | {"model_id": MODEL_ID},
}
