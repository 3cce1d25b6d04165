"""What can go wrong, as one tree. Rooms raise these; `service.api.problems` turns them into answers, nobody else."""

from dataclasses import dataclass, field


class StartupError(Exception):
    """The service cannot start; the message is one line that says what to do."""


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with a request: where, and what."""

    location: str
    message: str


@dataclass
class ServiceError(Exception):
    """An expected failure of a request.

    Attributes:
        detail: what happened to this request and what the caller can do, in one or two sentences.
        errors: single findings, where there are several.
        retry_after: seconds after which trying again makes sense.
    """

    detail: str
    errors: list[FieldError] = field(default_factory=list)
    retry_after: int | None = None

    status = 500
    code = "internal_error"
    title = "Something failed inside the service"

    def __str__(self) -> str:
        return self.detail


class InvalidRequest(ServiceError):
    """A value in the request breaks a rule."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class InvalidFrame(ServiceError):
    """A frame is not an image that can be used."""

    status, code, title = 422, "invalid_frame", "A frame cannot be used"


class InvalidMultipart(ServiceError):
    """The body is not multipart/form-data as documented."""

    status, code, title = 400, "invalid_multipart", "The body is not the expected multipart form"


class InvalidArchive(ServiceError):
    """The body is no tar archive as documented."""

    status, code, title = 422, "invalid_archive", "The archive cannot be used"


class UnsupportedMediaType(ServiceError):
    """The body is of another media type than the endpoint takes."""

    status, code, title = 415, "unsupported_media_type", "The body is of another media type than expected"


class TooManyFrames(ServiceError):
    """More frames than `TFCLIP_MAX_FRAMES`."""

    status, code, title = 422, "too_many_frames", "The tracklet has too many frames"


class BodyTooLarge(ServiceError):
    """The body is over `TFCLIP_MAX_BODY_BYTES`."""

    status, code, title = 413, "body_too_large", "The body is too large"


class UriTooLong(ServiceError):
    """Path and query string are over `TFCLIP_MAX_URI_BYTES`."""

    status, code, title = 414, "uri_too_long", "The address is too long"


class Unauthorized(ServiceError):
    """No key, or a key that is not known."""

    status, code, title = 401, "unauthorized", "A valid key is needed"


class Forbidden(ServiceError):
    """The key lacks a scope."""

    status, code, title = 403, "forbidden", "The key does not allow this"


class NotFound(ServiceError):
    """What the request names does not exist."""

    status, code, title = 404, "not_found", "Not found"


class ExternalIdConflict(ServiceError):
    """The gallery holds other frames under the same external id."""

    status, code, title = 409, "external_id_conflict", "The external id is taken by other frames"


class GalleryExists(ServiceError):
    """There is a gallery of this name."""

    status, code, title = 409, "gallery_exists", "The gallery is there already"


class GalleryDeleting(ServiceError):
    """The gallery is being deleted; its name is free when that is done."""

    status, code, title = 409, "gallery_deleting", "The gallery is being deleted"


class CameraInUse(ServiceError):
    """A camera that saw stored tracklets cannot be removed."""

    status, code, title = 409, "camera_in_use", "The camera is in use"


class IdempotencyKeyReused(ServiceError):
    """Another request was sent under the same `Idempotency-Key`."""

    status, code, title = 422, "idempotency_key_reused", "The idempotency key belongs to another request"


class IdempotencyInProgress(ServiceError):
    """The first request under the same `Idempotency-Key` is still worked on."""

    status, code, title = 409, "idempotency_in_progress", "The same request is being worked on"


class PreconditionFailed(ServiceError):
    """What the request wants to change or to make is not as its `If-Match` or `If-None-Match` says."""

    status, code, title = 412, "precondition_failed", "It is not as the request expects it"


class ModelConflict(ServiceError):
    """The request names a model that this gallery is not indexed under."""

    status, code, title = 409, "model_conflict", "Descriptors of different models are never compared"


class CursorExpired(ServiceError):
    """The cursor of a search is of another query, other options or another generation."""

    status, code, title = 409, "cursor_expired", "The cursor does not go on with this ranking"


class IdentityExists(ServiceError):
    """The gallery has an identity of this name already."""

    status, code, title = 409, "identity_exists", "The name is taken"


class IdentityConflict(ServiceError):
    """What is asked contradicts what is known of who is who."""

    status, code, title = 409, "identity_conflict", "It contradicts what is known"


class IdentityMerged(ServiceError):
    """The identity was merged into another one, and cannot be changed by itself."""

    status, code, title = 409, "identity_merged", "The identity was merged into another one"


class MergeUndone(ServiceError):
    """The merge to undo is undone already."""

    status, code, title = 409, "merge_undone", "The merge is undone already"


class TooManyTracklets(ServiceError):
    """More tracklets without an identity than proposals are made of."""

    status, code, title = 422, "too_many_tracklets", "There are too many tracklets without an identity"


class InvalidWeights(ServiceError):
    """A file is not a weights file that can be used."""

    status, code, title = 422, "invalid_weights", "The weights cannot be used"


class ModelInUse(ServiceError):
    """A model that something is of cannot be removed."""

    status, code, title = 409, "model_in_use", "The model is in use"


class FramesUnreadable(ServiceError):
    """Stored frames that an answer is computed from are not on disk as they were stored."""

    status, code, title = 409, "frames_lost", "Frames are missing or damaged"


class NoFrames(ServiceError):
    """A tracklet that came as a descriptor has no frames that could be looked at."""

    status, code, title = 409, "no_frames", "The tracklet has no frames"


class InsufficientStorage(ServiceError):
    """The disk is full."""

    status, code, title = 507, "insufficient_storage", "The disk is full"


class QuotaExceeded(ServiceError):
    """The caller's key has stored as many tracklets as it may."""

    status, code, title = 507, "quota_exceeded", "The key's quota is used up"


class RateLimited(ServiceError):
    """The caller's key has sent as many requests as it may for now."""

    status, code, title = 429, "rate_limited", "Too many requests"


class JobFinished(ServiceError):
    """A job that is over cannot be stopped."""

    status, code, title = 409, "job_finished", "The job is over"


class JobIrrevocable(ServiceError):
    """A job that would leave a half-deleted gallery behind is not stopped."""

    status, code, title = 409, "job_irrevocable", "The job cannot be stopped"


class GenerationServing(ServiceError):
    """The generation that serves a gallery cannot be purged."""

    status, code, title = 409, "generation_serving", "The generation serves its gallery"


class Unavailable(ServiceError):
    """The service cannot answer now and will be able to later."""

    status, code, title = 503, "unavailable", "Not available right now"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail, retry_after=retry_after)


class QueueFull(Unavailable):
    """More waits to be embedded than the queue holds."""

    code, title = "queue_full", "Too much is waiting to be embedded"


class IndexNotReady(Unavailable):
    """A gallery's index is being loaded, or is behind the database for too long."""

    code, title = "index_not_ready", "The gallery's index is not ready"


class GalleryMoved(Unavailable):
    """The gallery came to want descriptors of other models while the request was worked on."""

    code, title = "gallery_moved", "The gallery was switched to another model"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer."""

    code, title = "database_unavailable", "The database does not answer"
