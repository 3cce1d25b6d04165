"""An example of everything that the service answers, by the name of its schema in the OpenAPI document.

Schemas that say an example themselves need none here. Pages of a list are made of the example of their items.
"""

from typing import Any

_TRACKLET_ID = "72233e4c-fe6e-4840-9ad0-e6d99d217bc4"
_MODEL_ID = "2c92e79eee536cb2fe5eea0184b858e3725bad7dcd19eb58da1f32d1277d99cc"
_FRAMES = f"/tracklets/{_TRACKLET_ID}/frames"
_AT = "2026-11-23T22:46:18.222352Z"

_MODEL: dict[str, Any] = {"id": _MODEL_ID, "name": "tfclip-demo", "trained": True, "demo": True}
_TRACKLET: dict[str, Any] = {
    "id": _TRACKLET_ID,
    "gallery": "default",
    "camera_id": "gate-2",
    "external_id": "2026-11-23/gate-2/track-17",
    "identity": None,
    "started_at": "2026-11-23T07:15:00Z",
    "ended_at": "2026-11-23T07:15:04Z",
    "labels": {"direction": "in"},
    "frame_count": 2,
    "created_at": _AT,
    "thumbnail_url": f"{_FRAMES}/1",
    "frame_urls": [f"{_FRAMES}/0", f"{_FRAMES}/1"],
}
_RESULT: dict[str, Any] = {
    "rank": 1,
    "tracklet_id": "244223f2-ea6f-412a-bb28-37746f6c5d56",
    "score": 0.8947,
    "camera_id": "gate-3",
    "identity": "person-002",
    "external_id": "2026-11-23/gate-3/track-5",
    "started_at": "2026-11-23T07:21:00Z",
    "ended_at": "2026-11-23T07:21:09Z",
    "thumbnail_url": "/tracklets/244223f2-ea6f-412a-bb28-37746f6c5d56/frames/4",
}
_JOB: dict[str, Any] = {
    "id": "0a1c8e52-8d0e-4b0e-9c50-0d6c1b2c9f10",
    "kind": "reindex",
    "gallery": "default",
    "status": "running",
    "done": 1200,
    "total": 5000,
    "error": None,
    "result": None,
    "cancel_requested": False,
    "created_at": _AT,
    "started_at": "2026-11-23T22:46:18.401222Z",
    "finished_at": None,
}
_KEY: dict[str, Any] = {
    "id": "24c262bd-55af-43a8-8a11-8a37779af5c6",
    "name": "gate 2",
    "scopes": ["write"],
    "created_at": _AT,
    "revoked_at": None,
    "requests_per_minute": 600,
    "max_tracklets": None,
    "tracklets": 4711,
}
_FINDING: dict[str, Any] = {
    "kind": "frame_missing",
    "count": 1,
    "examples": [_TRACKLET_ID],
    "mendable": False,
    "remedy": "Put the files back from a backup, or delete the tracklets.",
}
_FIELD = {"location": "k", "message": "Input should be less than or equal to 1000"}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Model": _MODEL,
    "DefaultModel": _MODEL | {"source": "tfclip train"},
    "RegisteredModelAnswer": _MODEL
    | {
        "dimension": 320,
        "default": True,
        "available": True,
        "generations": 1,
        "galleries": ["default"],
        "created_at": _AT,
        "provenance": {"name": "tfclip-demo", "trained": True},
    },
    "Tracklet": _TRACKLET,
    "StoredAnswer": _TRACKLET | {"model_id": _MODEL_ID},
    "Result": _RESULT,
    "Ranking": {
        "query_id": _TRACKLET_ID,
        "gallery": "default",
        "model_id": _MODEL_ID,
        "model": _MODEL,
        "generation": 1,
        "took_ms": 10.358,
        "results": [_RESULT],
    },
    "JobAnswer": _JOB,
    "GenerationAnswer": {
        "id": 7,
        "gallery": "default",
        "number": 2,
        "model_id": _MODEL_ID,
        "model_name": "tfclip-demo",
        "status": "ready",
        "serving": True,
        "created_at": _AT,
    },
    "Key": _KEY,
    "CreatedKey": _KEY | {"tracklets": 0, "secret": "tfclip_ZXhhbXBsZS1vZi1hLXNlY3JldC0zMi1ieXRlcyE"},
    "FindingAnswer": _FINDING,
    "IntegrityAnswer": {
        "gallery": "default",
        "generation": 1,
        "model_id": _MODEL_ID,
        "change": 4711,
        "ok": False,
        "checked": {"tracklets": 4711, "frames": 94220, "files": 94219, "files_hashed": 200, "index_rows": 4711},
        "findings": [_FINDING],
        "took_ms": 812.4,
    },
    "Readiness": {
        "status": "ready",
        "reasons": [],
        "model": _MODEL | {"source": "tfclip train"},
        "galleries": {"default": 4711},
    },
    "ProblemField": _FIELD,
    "Problem": {
        "type": "urn:tfclip:problem:invalid_request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "k: Input should be less than or equal to 1000",
        "instance": "/search",
        "code": "invalid_request",
        "request_id": "ae1a884edbbe4e398a908e3021d9210e",
        "errors": [_FIELD],
    },
}
