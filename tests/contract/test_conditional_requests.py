"""ETag, If-None-Match, If-Match: a good copy is not sent again, and nobody changes what it did not see."""

import pytest

from service.api.conditional import check_unchanged, etag, still_good, versions_in
from service.errors import PreconditionFailed
from tests.contract.outsider import problem
from tests.support import RunningService, upload

CURRENT = etag(3)
MATCHING = ["*", '"3"', '"1", "3"', '"1","3" , "4"', ' "3" ']
OTHERS = ['"2"', "3", "", ",", '""', '"33"', '"3', "x" * 900, '"1", "2"', "\"'3'\"", '"*"', '"a,*,b"']


@pytest.mark.parametrize("header", [None, *MATCHING])
def test_what_the_caller_saw_may_be_changed(header: str | None) -> None:
    check_unchanged(header, CURRENT)


@pytest.mark.parametrize("header", [*OTHERS, 'W/"3"'])
def test_what_the_caller_did_not_see_may_not_be_changed(header: str) -> None:
    with pytest.raises(PreconditionFailed):
        check_unchanged(header, CURRENT)


@pytest.mark.parametrize("header", [*MATCHING, 'W/"3"', '"1", *'])
def test_a_copy_of_the_same_version_is_still_good(header: str) -> None:
    assert still_good(header, CURRENT)


@pytest.mark.parametrize("header", [None, *OTHERS])
def test_a_copy_of_another_version_is_not(header: str | None) -> None:
    assert not still_good(header, CURRENT)


def test_versions_are_compared_as_they_are_written() -> None:
    assert versions_in(None) is versions_in("*") is None
    assert versions_in('"1", "20", W/"3", "x"') == {1, 20}
    assert versions_in('"01", "0", "+1", "1.0", " 1"') == set()


def test_a_frame_is_not_sent_again_to_who_has_it(running_service: RunningService) -> None:
    stored = upload(running_service, seed=1, frames=2)
    first, second = stored["frame_urls"]
    with running_service.client() as client:
        answer = client.get(first)
        tag = answer.headers["etag"]
        again = client.get(first, headers={"If-None-Match": tag})
        other = client.get(second, headers={"If-None-Match": tag})
        part = client.get(first, headers={"Range": "bytes=0-9", "If-Range": tag})
        problem(client.get(first, headers={"If-None-Match": "x" * 5000}), 422)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert other.status_code == 200
    assert other.headers["etag"] != tag
    assert (part.status_code, part.content) == (206, answer.content[:10])
