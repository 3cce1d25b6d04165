"""The Python client of the service, waiting or for an event loop, and what it sends and raises."""

from service.client.answers import StoredTracklet
from service.client.archives import PackedTracklet
from service.client.asynchronous.client import AsyncTfclipClient
from service.client.errors import (
    ApiProblem,
    ClientError,
    JobTimeoutError,
    TooLongError,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.client.metadata import Descriptor
from service.client.options import KEEP, SearchOptions
from service.client.retries import PATIENT, RetryPolicy
from service.client.synchronous.client import TfclipClient

__all__ = [
    "KEEP",
    "PATIENT",
    "ApiProblem",
    "AsyncTfclipClient",
    "ClientError",
    "Descriptor",
    "JobTimeoutError",
    "PackedTracklet",
    "RetryPolicy",
    "SearchOptions",
    "StoredTracklet",
    "TfclipClient",
    "TooLongError",
    "UnexpectedAnswerError",
    "UnreachableError",
]
