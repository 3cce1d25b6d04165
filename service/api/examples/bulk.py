"""Examples of archives of tracklets, and of the changes of a gallery."""

from typing import Any

from service.api.examples.common import AT, TRACKLET_ID

_CHANGE: dict[str, Any] = {"number": 4711, "kind": "added", "tracklet_id": TRACKLET_ID, "at": AT}
_ITEM: dict[str, Any] = {
    "line": 1,
    "external_id": "2026-11-23/gate-2/track-17",
    "status": "created",
    "tracklet_id": TRACKLET_ID,
    "problem": None,
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "ChangeAnswer": _CHANGE,
    "ChangePage": {"items": [_CHANGE], "next": 4711, "change": 4711},
    "BatchReportItem": _ITEM,
    "BatchReport": {
        "created": 1,
        "existing": 0,
        "failed": 0,
        "complete": True,
        "problem": None,
        "items": [_ITEM],
        "unlisted": 0,
        "unlisted_examples": [],
    },
}
