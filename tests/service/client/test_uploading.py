"""Many uploads at once: failures of one, the end of the service, and how far ahead the source is read."""

import socket
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from service.client import TfclipClient
from service.client.errors import UnreachableError
from service.client.retries import RetryPolicy
from service.client.uploading import Upload, UploadSummary, upload_all


@pytest.fixture
def nobody() -> Iterator[TfclipClient]:
    """A client of an address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with TfclipClient(f"http://127.0.0.1:{taken.getsockname()[1]}", retries=RetryPolicy(attempts=1)) as client:
            yield client


def unreadable() -> Sequence[bytes]:
    raise FileNotFoundError("1.jpg was removed")


def test_a_file_that_cannot_be_read_fails_alone(nobody: TfclipClient) -> None:
    summary, done = UploadSummary(), []
    uploads = (Upload("c", f"e{number}", unreadable) for number in range(20))
    upload_all(nobody, uploads, summary, workers=3, on_done=lambda: done.append(1))
    assert summary.failed() == Counter({"file cannot be read": 20})
    assert {failure.external_id for failure in summary.failures} == {f"e{number}" for number in range(20)}
    assert len(done) == 20


def test_a_service_that_is_gone_ends_the_upload_before_the_source_is_read_through(nobody: TfclipClient) -> None:
    taken = []

    def source() -> Iterator[Upload]:
        for number in range(100):
            taken.append(number)
            yield Upload("c", str(number), lambda: [b"\xff\xd8"])

    summary = UploadSummary()
    with pytest.raises(UnreachableError):
        upload_all(nobody, source(), summary, workers=2)
    assert len(taken) <= 2 * 2 + 1
    assert (summary.stored, summary.already_there, summary.failures) == (0, 0, [])


def test_an_error_of_the_source_is_the_callers(nobody: TfclipClient) -> None:
    def source() -> Iterator[Upload]:
        yield Upload("c", "e", unreadable)
        raise ValueError("the source broke")

    with pytest.raises(ValueError, match="the source broke"):
        upload_all(nobody, source(), UploadSummary())
