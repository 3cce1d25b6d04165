"""`tfclip search` says what the service answers, and what it asks."""

import pytest

from tests.commands import answer, tfclip
from tests.support import RunningService, upload

pytestmark = pytest.mark.usefixtures("silent_service")

GALLERY = ("--gallery", "asked")


@pytest.fixture(scope="module")
def ids(running_service: RunningService) -> list[str]:
    """Ids of four stored tracklets."""
    return [upload(running_service, seed, 1, gallery="asked", camera_id=f"c{seed % 2}")["id"] for seed in range(4)]


def without_time(ranking: dict) -> dict:
    """A ranking without how long it took."""
    return {name: value for name, value in ranking.items() if name not in ("took_ms", "rerank")}


def test_the_json_is_what_the_service_answers(running_service: RunningService, ids: list[str]) -> None:
    with running_service.client() as client:
        asked = {"query_id": ids[0], "gallery": "asked"}
        answered = client.get("/search", params=asked).json()
        tuned = {"rerank": "k_reciprocal", "rerank_k1": 2, "rerank_k2": 1, "rerank_lambda": 0.9}
        re_ranked = client.get("/search", params=asked | tuned).json()
    assert without_time(answer(running_service, "search", ids[0], *GALLERY)) == without_time(answered)
    options = ("--rerank", "--rerank-k1", 2, "--rerank-k2", 1, "--rerank-lambda", 0.9)
    shown = answer(running_service, "search", ids[0], *GALLERY, *options)
    assert without_time(shown) == without_time(re_ranked)
    distances = [match["rerank_distance"] for match in shown["results"]]
    by_default = answer(running_service, "search", ids[0], *GALLERY, "--rerank")["results"]
    assert distances != [match["rerank_distance"] for match in by_default]


def test_cameras_that_the_gallery_does_not_have_are_named_beside_the_answer(
    running_service: RunningService, ids: list[str]
) -> None:
    search = ("search", ids[0], *GALLERY)
    misspelt = tfclip(running_service, *search, "--camera", "C1", "--exclude-camera", "c0", "--json")
    assert misspelt.exit_code == 0
    assert misspelt.stderr == "gallery asked has no camera 'C1'; see `tfclip cameras list --gallery asked`\n"
    assert '"results": []' in misspelt.stdout
    assert tfclip(running_service, *search, "--camera", "c1", "--json").stderr == ""
