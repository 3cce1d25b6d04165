"""The Python client: `with TfclipClient(url, api_key) as client: client.search(tracklet_id)`."""

import time
import uuid
from itertools import count
from types import TracebackType
from typing import Any, Self

import httpx

from service.client.answers import parse
from service.client.errors import UnexpectedAnswerError, no_answer, problem_of
from service.client.retries import BUSY, PATIENT, RetryPolicy, retry_after_seconds
from service.client.synchronous.admin import AdminMethods
from service.client.synchronous.bulk import BulkMethods
from service.client.synchronous.calibration import CalibrationMethods
from service.client.synchronous.evidence import EvidenceMethods
from service.client.synchronous.galleries import GalleryMethods
from service.client.synchronous.identities import IdentityMethods
from service.client.synchronous.search import SearchMethods
from service.client.synchronous.tracklets import TrackletMethods
from service.client.wire import Readiness


class TfclipClient(
    TrackletMethods,
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

    def ready(self) -> Readiness:
        """Return whether the service is ready now. It is asked once, without retries."""
        try:
            response = self._http.get(f"{self.url}/readyz")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise no_answer(self.url, error) from error
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
                    raise no_answer(self.url, error) from error
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise no_answer(self.url, error) from error
            else:
                # The first deletion may have been carried out although its answer was lost.
                if response.is_success or (gone_is_done and lost and response.status_code == httpx.codes.NOT_FOUND):
                    return response
                asked = retry_after_seconds(response.headers.get("Retry-After"))
                # 409 with a time: the first of two requests under one idempotency key is not answered yet.
                busy = response.status_code in BUSY or (
                    response.status_code == httpx.codes.CONFLICT and asked is not None
                )
                delay = self._retries.delay(attempt, asked) if repeatable and busy else None
                if delay is None:
                    raise problem_of(response)
            time.sleep(delay)
        raise AssertionError("unreachable")
