"""Examples of identities, decisions about pairs, and proposals."""

from typing import Any

from service.api.examples.common import (
    AT,
    GENERATION,
    IDENTITY_ID,
    MATCH_ID,
    MERGE_EVENT,
    MERGED_ID,
    MODEL_ID,
    OTHER_ID,
    SCORE,
    STRANGER_ID,
    TRACKLET_ID,
)

_FIRST_SEEN, _LAST_SEEN = "2026-11-23T07:21:00Z", "2026-11-23T07:21:09Z"
_IDENTITY: dict[str, Any] = {
    "id": IDENTITY_ID,
    "gallery": "default",
    "name": "Ann",
    "tracklets": 1,
    "merged_into": None,
    "version": 3,
    "created_at": AT,
}
_MERGED_ONE = _IDENTITY | {"id": MERGED_ID, "name": "unnamed-1b9d7c52", "tracklets": 0, "version": 2}
_SEEN = {"camera_id": "gate-3", "tracklets": 1, "first_seen": _FIRST_SEEN, "last_seen": _LAST_SEEN}
_MATCH: dict[str, Any] = {
    "id": MATCH_ID,
    "gallery": "default",
    "tracklet_ids": [STRANGER_ID, TRACKLET_ID],
    "verdict": "different",
    "decided_by": "gate 2",
    "at": AT,
}
_LIKE = {"identity_id": IDENTITY_ID, "name": "Ann", "similarity": SCORE}
_PROPOSED: dict[str, Any] = {
    "tracklet_ids": [TRACKLET_ID],
    "similarity": None,
    "like": _LIKE,
    "thumbnail_url": f"/tracklets/{TRACKLET_ID}/frames/2",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Identity": _IDENTITY,
    "SeenByCamera": _SEEN,
    "IdentityDetails": _IDENTITY
    | {
        "cameras": [_SEEN],
        "first_seen": _FIRST_SEEN,
        "last_seen": _LAST_SEEN,
        "thumbnail_url": f"/tracklets/{OTHER_ID}/frames/1",
    },
    "Event": {
        "id": MERGE_EVENT,
        "kind": "merged",
        "identity_id": IDENTITY_ID,
        "other_id": MERGED_ID,
        "tracklet_ids": [OTHER_ID],
        "details": {"name": "Ann", "other_name": _MERGED_ONE["name"]},
        "done_by": "gate 2",
        "at": AT,
    },
    "Merged": {"identity": _IDENTITY, "event_id": MERGE_EVENT},
    "UnmergedAnswer": {
        "identity": _MERGED_ONE | {"tracklets": 1, "version": 3},
        "restored": [OTHER_ID],
        "elsewhere": [],
        "gone": [],
    },
    "Appearance": {
        "tracklet_id": OTHER_ID,
        "camera_id": "gate-3",
        "started_at": _FIRST_SEEN,
        "ended_at": _LAST_SEEN,
        "time_offset_seconds": 0.0,
        "external_id": "2026-11-23/gate-3/track-5",
        "frame_count": 2,
        "thumbnail_url": f"/tracklets/{OTHER_ID}/frames/1",
    },
    "Match": _MATCH,
    "DecidedMatches": {"identity_id": None, "items": [_MATCH]},
    "LikelyIdentity": _LIKE,
    "ProposedIdentity": _PROPOSED,
    "ProposalsAnswer": {
        "gallery": "default",
        "model_id": MODEL_ID,
        "generation": GENERATION,
        "threshold": 0.6,
        "tracklets": 1,
        "found": 1,
        "items": [_PROPOSED],
    },
}
