"""Examples of what administrators read and make."""

from typing import Any

from service.api.examples.common import AT, GENERATION, JOB_ID, KEY_ID, MODEL, MODEL_ID, TRACKLET_ID, TRACKLETS

_JOB: dict[str, Any] = {
    "id": JOB_ID,
    "kind": "reindex",
    "gallery": "default",
    "status": "running",
    "done": 1200,
    "total": TRACKLETS,
    "error": None,
    "result": None,
    "cancel_requested": False,
    "created_at": AT,
    "started_at": "2026-11-23T22:46:18.401222Z",
    "finished_at": None,
}
_KEY: dict[str, Any] = {
    "id": KEY_ID,
    "name": "gate 2",
    "scopes": ["write"],
    "created_at": AT,
    "revoked_at": None,
    "requests_per_minute": 600,
    "max_tracklets": None,
    "tracklets": TRACKLETS,
    "version": 1,
}
_FINDING: dict[str, Any] = {
    "kind": "frame_missing",
    "count": 1,
    "examples": [TRACKLET_ID],
    "mendable": False,
    "remedy": "Put the files back from a backup, or delete the tracklets.",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Model": MODEL,
    "DefaultModel": MODEL | {"source": "tfclip train"},
    "RegisteredModelAnswer": MODEL
    | {
        "dimension": 320,
        "default": True,
        "available": True,
        "generations": 1,
        "galleries": ["default"],
        "created_at": AT,
        "provenance": {"name": "tfclip-demo", "trained": True},
    },
    "JobAnswer": _JOB,
    "GenerationAnswer": {
        "id": 7,
        "gallery": "default",
        "number": GENERATION,
        "model_id": MODEL_ID,
        "model_name": "tfclip-demo",
        "status": "ready",
        "serving": True,
        "created_at": AT,
    },
    "Key": _KEY,
    "CreatedKey": _KEY | {"tracklets": 0, "secret": "tfclip_ZXhhbXBsZS1vZi1hLXNlY3JldC0zMi1ieXRlcyE"},
    "FindingAnswer": _FINDING,
    "IntegrityAnswer": {
        "process": "reid-1/4242",
        "gallery": "default",
        "generation": GENERATION,
        "model_id": MODEL_ID,
        "change": TRACKLETS,
        "ok": False,
        "checked": {
            "tracklets": TRACKLETS,
            "frames": 94220,
            "files": 94219,
            "files_hashed": 200,
            "index_rows": TRACKLETS,
        },
        "findings": [_FINDING],
        "took_ms": 812.4,
    },
    "Readiness": {
        "status": "ready",
        "reasons": [],
        "model": MODEL | {"source": "tfclip train"},
        "galleries": {"default": TRACKLETS},
    },
}
