"""The Python client of the service: `with TfclipClient(url, api_key) as client: client.search(tracklet_id)`."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel

from service.client_admin import AdminMethods
from service.client_answers import frame_parts, parse, segment
from service.client_bulk import BulkMethods
from service.client_calibration import CalibrationMethods
from service.client_errors import UnexpectedAnswerError, UnreachableError, problem_of
from service.client_evidence import EvidenceMethods
from service.client_galleries import GalleryMethods
from service.client_identities import IdentityMethods
from service.client_metadata import Descriptor as Descriptor
from service.client_metadata import metadata_of
from service.client_options import SearchOptions as SearchOptions
from service.client_search import SearchMethods
from service.retries import RetryPolicy, retry_after_seconds
from service.tar_writing import PackedTracklet as PackedTracklet
from service.wire import Readiness, Tracklet, TrackletPage

Answer = TypeVar("Answer", bound=BaseModel)
DEFAULT_URL = "http://127.0.0.1:8000"
PATIENT = RetryPolicy()
_BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet that the service holds; `created` is false when it held it before this request."""

    tracklet: Tracklet
    created: bool


class TfclipClient(
    SearchMethods,
    CalibrationMethods,
    EvidenceMethods,
    GalleryMethods,
    IdentityMethods,
    BulkMethods,
    AdminMethods,
):
    """One service at one address, spoken to with one key. May be used from several threads.

    Requests are sent again after a lost connection, 429 or 503. Those that create carry an `Idempotency-Key`, by which
    the service tells the second from the first. Weights, and the purge of a generation, are sent once.

    Every method raises `ApiProblem` when the service refuses, `UnreachableError` when there is no answer, and
    `UnexpectedAnswerError` when something else than the service answered.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout_seconds: float = 300.0, retries: RetryPolicy = PATIENT
    ) -> None:
        """Prepare for the service at `url`; nothing is sent yet.

        Raises:
            ValueError: the key has characters that no HTTP header can carry.
        """
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key holds characters that no key has; was a line break copied with it?")
        self.url = url.rstrip("/")
        self._retries = retries
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, connect=10.0),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_tracklet(
        self,
        frames: Sequence[bytes],
        camera_id: str,
        *,
        gallery: str | None = None,
        external_id: str | None = None,
        identity: str | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        labels: Mapping[str, Any] | None = None,
        descriptor: Descriptor | None = None,
    ) -> StoredTracklet:
        """Store a tracklet: `frames` are JPEG, PNG or WebP files in their order in time.

        With a descriptor there may be none.
        """
        metadata = metadata_of(
            camera_id,
            gallery=gallery,
            external_id=external_id,
            identity=identity,
            started_at=started_at,
            ended_at=ended_at,
            labels=labels,
            descriptor=descriptor,
        )
        # A part like the frames: without any of those a field would not make a multipart body.
        fields = [("metadata", (None, json.dumps(metadata).encode(), "application/json"))]
        response = self._send("POST", "/tracklets", once=True, files=[*fields, *frame_parts(frames)])
        return StoredTracklet(parse(Tracklet, response), created=response.status_code == httpx.codes.CREATED)

    def get_tracklet(self, tracklet_id: str) -> Tracklet:
        """Return one stored tracklet."""
        return parse(Tracklet, self._send("GET", f"/tracklets/{segment(tracklet_id)}"))

    def list_tracklets(self, gallery: str | None = None, *, page_size: int = 100) -> Iterator[Tracklet]:
        """Yield a gallery's tracklets, newest first, asking for the next page only when it is needed."""
        cursor: str | None = None
        while True:
            given = {"limit": str(page_size), "gallery": gallery, "cursor": cursor}
            parameters = [(name, value) for name, value in given.items() if value is not None]
            page = parse(TrackletPage, self._send("GET", "/tracklets", params=parameters))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def delete_tracklet(self, tracklet_id: str) -> None:
        """Delete one tracklet; searches no longer find it once this returns."""
        self._send("DELETE", f"/tracklets/{segment(tracklet_id)}", gone_is_done=True)

    def ready(self) -> Readiness:
        """Return whether the service is ready now. It is asked once, without retries."""
        try:
            response = self._http.get(f"{self.url}/readyz")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(_no_answer(self.url, error)) from error
        if response.is_success:
            return parse(Readiness, response)
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise problem_of(response)
        try:
            return parse(Readiness, response)
        except UnexpectedAnswerError:
            # A service that is still starting, or a proxy before it, has no more to say than 503.
            return Readiness(status="not ready", reasons=[str(problem_of(response))])

    def _send(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool = True,
        once: bool = False,
        gone_is_done: bool = False,
        **content: Any,
    ) -> httpx.Response:
        lost = False
        if once:
            content["headers"] = {"Idempotency-Key": str(uuid.uuid4())} | content.get("headers", {})
        for attempt in count(1):
            try:
                response = self._http.request(method, f"{self.url}{path}", **content)
            except (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError) as error:
                lost = True
                delay = self._retries.delay(attempt) if repeatable else None
                if delay is None:
                    raise UnreachableError(_no_answer(self.url, error)) from error
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise UnreachableError(_no_answer(self.url, error)) from error
            else:
                # The first deletion may have been carried out although its answer was lost.
                if response.is_success or (gone_is_done and lost and response.status_code == httpx.codes.NOT_FOUND):
                    return response
                asked = retry_after_seconds(response.headers.get("Retry-After"))
                # 409 with a time: the first of two requests under one idempotency key is not answered yet.
                busy = response.status_code in _BUSY or (
                    response.status_code == httpx.codes.CONFLICT and asked is not None
                )
                delay = self._retries.delay(attempt, asked) if repeatable and busy else None
                if delay is None:
                    raise problem_of(response)
            time.sleep(delay)
        raise AssertionError("unreachable")


def _no_answer(url: str, error: Exception) -> str:
    return f"the service at {url} does not answer: {error or type(error).__name__}"
