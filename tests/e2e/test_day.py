"""The day of `tests/e2e/day.py`, with drawn people, in a service of its own: what was promised came true."""

import pytest

from service.client import TfclipClient
from tests.e2e.day import Day, cast_people, drawn_people, play, read_folder
from tests.support import RunningService

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def day(running_service: RunningService) -> Day:
    """The day, played once."""
    with drawn_people() as root, TfclipClient(running_service.url, running_service.admin_key) as client:
        return play(client, cast_people(read_folder(root).tracklets))


def test_everybody_is_stored_in_the_gallery_that_they_passed(day: Day) -> None:
    assert day.stored == {"north": 300, "south": 300}


def test_people_whom_the_gallery_lacks_come_back_as_no_match_as_often_as_promised(day: Day) -> None:
    assert day.promised is not None
    assert day.searches == 300
    assert day.promised.low <= day.share("no match") <= day.promised.high


def test_re_ranking_finds_people_better(day: Day) -> None:
    assert day.plain is not None
    assert day.reranked is not None
    assert day.reranked.mAP > day.plain.mAP


def test_a_merge_is_undone_without_loss(day: Day) -> None:
    assert day.merge["tracklets together"] == 3
    assert day.merge["as before"]
    assert day.merge["history"] == ["unmerged", "merged", "created"]


def test_the_ranking_is_exported_as_every_kind_of_file(day: Day) -> None:
    assert (day.exported["csv"], day.exported["json"]) == (10, 10)
    assert min(day.exported["png"]) > 100
