"""What is said of parameters that many operations share, and examples of forms and archives."""

import json
from typing import Any

from service.api.examples.common import (
    CALIBRATION_ID,
    GENERATION,
    IDENTITY_ID,
    JOB_ID,
    KEY_ID,
    MATCH_ID,
    MODEL_ID,
    TRACKLET_ID,
)

PATH_PARAMETERS: dict[str, tuple[str, str | int]] = {
    "calibration_id": ("As answers name it, and `GET /calibrations`.", CALIBRATION_ID),
    "gallery": ("Name of the camera's gallery.", "default"),
    "generation_id": ("As `GET /admin/generations` lists it.", GENERATION),
    "identity_id": ("As `GET /identities` lists it; a name is none.", IDENTITY_ID),
    "job_id": ("As the answer that began it names it, and `GET /jobs`.", JOB_ID),
    "key_id": ("As `GET /admin/keys` lists it; not the secret.", KEY_ID),
    "match_id": ("As the decision's answer names it, and `GET /matches`.", MATCH_ID),
    "model_id": ("SHA-256 that names the model.", MODEL_ID),
    "name": ("Name of the gallery.", "default"),
    "position": ("Which frame, in order of time, counted from 0.", 0),
    "tracklet_id": ("As the upload's answer and rankings name it.", TRACKLET_ID),
}
"""Of each parameter in a path: what it is, unless the endpoint says, and an example."""

CAMERA = "gate-2"

PAGE_PARAMETERS = {
    "limit": "Items on the page at most.",
    "cursor": "`next_cursor` of the page before: goes on after that.",
}
"""Of lists, unless the endpoint says it."""

_SEEN = {"camera_id": CAMERA, "external_id": "2026-11-23/gate-2/track-17"}
_FRAMES = {"frames": ["1.jpg", "2.jpg"]}
_FILES = "The parts `frames` are the files' bytes, in their order in time; here are their names."

BODIES: dict[str, dict[str, Any]] = {
    "createTracklet": {
        "summary": "Two frames of one person",
        "description": _FILES,
        "value": {"metadata": json.dumps(_SEEN)} | _FRAMES,
    },
    "searchByFrames": {
        "summary": "Who is that?",
        "description": _FILES,
        "value": _FRAMES | {"gallery": "default", "k": 3, "query_camera_id": CAMERA},
    },
    "exportSearchByFrames": {
        "summary": "A table of whom it may be",
        "description": _FILES,
        "value": _FRAMES | {"gallery": "default", "k": 2000, "format": "csv"},
    },
    "verify": {
        "summary": "Is that the one who is stored?",
        "description": _FILES,
        "value": _FRAMES | {"tracklet_id": TRACKLET_ID},
    },
}
"""Of bodies that are a form, by operation."""

ARCHIVE = (
    "`tar --create --file people.tar manifest.jsonl 17/1.jpg 17/2.jpg` makes one, where a line of `manifest.jsonl` is "
    f"`{json.dumps(_SEEN | {'frames': ['17/1.jpg', '17/2.jpg']})}`."
)
"""JSON cannot hold an archive."""
