"""Examples of problems."""

from typing import Any

from service import errors
from service.api.examples.common import (
    GENERATION,
    IDENTITY_ID,
    JOB_ID,
    MATCH_ID,
    MERGE_EVENT,
    MERGED_ID,
    MODEL_ID,
    STRANGER_ID,
    TRACKLET_ID,
)
from service.errors import ServiceError

_REQUEST_ID = "ae1a884edbbe4e398a908e3021d9210e"
_FIELD = {"location": "k", "message": "Input should be less than or equal to 1000"}

# Where each may occur, and what is said there.
_SAID: dict[type[ServiceError], tuple[str, str]] = {
    ServiceError: ("/search", "Something failed; the log has the request id."),
    errors.InvalidRequest: ("/tracklets", "'gallery' is given more than once."),
    errors.InvalidFrame: ("/tracklets", "frames[1] is not a JPEG, PNG or WebP image."),
    errors.InvalidMultipart: ("/tracklets", "The Content-Type multipart/form-data names no boundary."),
    errors.InvalidArchive: ("/tracklets/batch", "The archive is compressed; send a plain tar."),
    errors.UnsupportedMediaType: ("/identities", "Send application/json."),
    errors.TooManyFrames: (
        "/tracklets",
        "A tracklet has at most 256 frames (TFCLIP_MAX_FRAMES); spread yours evenly and send fewer.",
    ),
    errors.BodyTooLarge: (
        "/tracklets",
        "The body is larger than 67108864 bytes (TFCLIP_MAX_BODY_BYTES). Send fewer or smaller frames.",
    ),
    errors.UriTooLong: ("/search", "Path and query string are longer than 65536 bytes (TFCLIP_MAX_URI_BYTES)."),
    errors.Unauthorized: ("/search", "Send an API key: `Authorization: Bearer <key>`."),
    errors.Forbidden: ("/admin/keys", "This needs a key with scope `admin`; yours has read, write."),
    errors.NotFound: ("/search", "There is no gallery 'archive'; the first upload that names it makes it."),
    errors.ExternalIdConflict: (
        "/tracklets",
        f"Gallery default has tracklet {TRACKLET_ID} under external_id '2026-11-23/gate-2/track-17', with other frames "
        "or another descriptor. Use another external_id, or delete that tracklet first.",
    ),
    errors.GalleryExists: (
        "/galleries",
        "There is a gallery 'archive' already; PATCH /galleries/archive changes it.",
    ),
    errors.GalleryDeleting: (
        "/galleries",
        "Gallery archive is being deleted; its name is free when that job is done.",
    ),
    errors.CameraInUse: (
        "/cameras/default/gate-2",
        "Tracklets of gallery default name camera 'gate-2'; delete them first.",
    ),
    errors.IdempotencyKeyReused: (
        "/identities",
        "This Idempotency-Key came with another request before. Send every new request under a new key.",
    ),
    errors.IdempotencyInProgress: (
        "/identities",
        "The first request under this Idempotency-Key is not answered yet; send it again shortly.",
    ),
    errors.PreconditionFailed: (
        f"/identities/{IDENTITY_ID}",
        "It has version 4 by now: read it again, and change or delete that.",
    ),
    errors.ModelConflict: (
        "/admin/calibrations",
        "Gallery archive is on another model than default; re-index one of them first.",
    ),
    errors.CursorExpired: (
        "/search",
        f"The cursor is of generation {GENERATION - 1}, the gallery is on {GENERATION} by now. Begin anew.",
    ),
    errors.IdentityExists: (
        "/identities",
        f"Gallery default has {IDENTITY_ID} of the name 'Ann' already. Assign tracklets to that one, or take another "
        "name.",
    ),
    errors.IdentityConflict: (
        f"/identities/{IDENTITY_ID}/tracklets",
        f"Tracklets {STRANGER_ID} and {TRACKLET_ID} were said to be of different people, by gate 2. Take that back "
        f"first: DELETE /matches/{MATCH_ID}.",
    ),
    errors.IdentityMerged: (
        f"/identities/{MERGED_ID}",
        f"Identity {MERGED_ID} (unnamed-1b9d7c52) was merged into {IDENTITY_ID}: change that one, or "
        f"POST /identities/{IDENTITY_ID}/unmerge first.",
    ),
    errors.MergeUndone: (
        f"/identities/{IDENTITY_ID}/unmerge",
        f"Merge {MERGE_EVENT} is undone already; GET /identities/{IDENTITY_ID}/history.",
    ),
    errors.TooManyTracklets: (
        "/identities/proposals",
        "4711 tracklets of gallery default that pass have no identity; at most 4000 are clustered "
        "(TFCLIP_MAX_PROPOSAL_TRACKLETS). Narrow them by camera_id, started_after, ended_before.",
    ),
    errors.InvalidWeights: ("/admin/models", "the body has clips of 4096 frames, expected at most 1024."),
    errors.ModelInUse: (
        f"/admin/models/{MODEL_ID}",
        "Generations or descriptors are of this model; purge those generations first.",
    ),
    errors.FramesUnreadable: (
        f"/tracklets/{TRACKLET_ID}/purity",
        f"Frames of tracklet {TRACKLET_ID} are not on disk as they were stored: missing [1], damaged []. Put the files "
        "back, or delete the tracklet and send it again.",
    ),
    errors.NoFrames: (
        f"/tracklets/{TRACKLET_ID}/purity",
        f"Tracklet {TRACKLET_ID} came as a descriptor: it has no frames to look at.",
    ),
    errors.InsufficientStorage: (
        "/tracklets",
        "The disk that holds frames/ is full; nothing of this request was kept. Make room there, then send it again.",
    ),
    errors.QuotaExceeded: (
        "/tracklets",
        "This key has stored 100000 tracklets and may store 100000. Delete some that it stored, or ask an "
        "administrator for more (`max_tracklets` of the key).",
    ),
    errors.RateLimited: (
        "/search",
        "This key may send 600 requests a minute. Wait 1 s, or ask an administrator for more (`requests_per_minute` of "
        "the key).",
    ),
    errors.JobFinished: (f"/jobs/{JOB_ID}", f"Job {JOB_ID} has succeeded already."),
    errors.JobIrrevocable: (
        f"/jobs/{JOB_ID}",
        "The gallery is gone for everybody already; what is left of it is being removed.",
    ),
    errors.GenerationServing: (
        f"/admin/generations/{GENERATION}",
        f"Generation {GENERATION} serves gallery default; activate another one first.",
    ),
    errors.Unavailable: (
        "/changes",
        "1000 requests wait for changes already (TFCLIP_MAX_FOLLOWERS); try again, or ask with wait_seconds=0.",
    ),
    errors.QueueFull: ("/tracklets", "256 clips are waiting to be embedded and the queue holds 256; try again."),
    errors.IndexNotReady: (
        "/search",
        "The index of gallery default is being loaded, or may lack the latest changes.",
    ),
    errors.GalleryMoved: (
        "/tracklets",
        "The gallery began to move to another model meanwhile, or ended it; try again.",
    ),
    errors.DatabaseUnavailable: ("/search", "PostgreSQL does not answer; try again shortly."),
}


def example_of(error: type[ServiceError]) -> dict[str, Any]:
    """A problem of this kind; a new kind needs a line above."""
    return _problem(error, *_SAID[error])


def no_gallery(name: str, instance: str) -> dict[str, Any]:
    """The problem that there is no such gallery."""
    return _problem(
        errors.NotFound, instance, f"There is no gallery {name!r}; the first upload that names it makes it."
    )


def _problem(error: type[ServiceError], instance: str, detail: str, *fields: dict[str, str]) -> dict[str, Any]:
    return {
        "type": f"urn:tfclip:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": detail,
        "instance": instance,
        "code": error.code,
        "request_id": _REQUEST_ID,
        "errors": list(fields),
    }


EXAMPLES: dict[str, dict[str, Any]] = {
    "ProblemField": _FIELD,
    "Problem": _problem(errors.InvalidRequest, "/search", "k: Input should be less than or equal to 1000", _FIELD),
}
