"""Calibrations in a running service: made from labels, in force in every answer, silent when they no longer hold."""

import csv
import uuid
from dataclasses import dataclass
from io import StringIO

import numpy as np
import pytest

from service.calibration.answers import ServedCalibrations, decide, judge_of
from service.calibration.curve import Curve
from service.store.calibrations import Calibration
from tests.commands import tfclip
from tests.service.calibration.people import World, calibrate, store, switch
from tests.support import RunningService, frame_files, make_settings, pictures, run_service, search, wait_until

WORLD = World()
PEOPLE = 60


@dataclass
class Calibrated:
    """A gallery of 60 people, each seen by three cameras, and what calibrating it came to."""

    ids: list[str]
    job: dict
    page: dict

    @property
    def current(self) -> dict:
        return self.page["current"]


def page_of(running: RunningService, gallery: str, **options: object) -> dict:
    with running.client() as client:
        answer = client.get("/calibrations", params={"gallery": gallery, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def fill(running: RunningService, gallery: str, seed: int = 1, people: int = PEOPLE) -> list[str]:
    rng = np.random.default_rng(seed)
    vectors = WORLD.seen(WORLD.people(people, rng), 3, rng).reshape(-1, WORLD.dimension)
    return store(running, gallery, vectors, [f"p{n // 3}" for n in range(3 * people)])


@pytest.fixture(scope="module")
def calibrated(running_service: RunningService) -> Calibrated:
    ids = fill(running_service, "yard")
    job = calibrate(running_service, gallery="yard", match_fpir=0.02, possible_fpir=0.1)
    return Calibrated(ids, job, page_of(running_service, "yard"))


def test_the_job_reports_what_it_did_and_what_it_is_worth(calibrated: Calibrated) -> None:
    job, made = calibrated.job, calibrated.current
    assert (job["kind"], job["status"], job["error"]) == ("calibrate", "succeeded", None)
    assert job["done"] == job["total"] == 3 * PEOPLE + 3 * PEOPLE
    assert job["result"]["calibration_id"] == made["id"] == job["id"]
    assert (made["gallery"], made["tracklets"], made["reference_gallery"]) == ("yard", 3 * PEOPLE, None)
    assert (made["stale"], made["reason"], made["made_by"]) == (False, None, "TFCLIP_ADMIN_KEY")
    assert made["labels"] == {
        "identities": PEOPLE,
        "tracklets_compared": 3 * PEOPLE,
        "people_compared": PEOPLE,
        "people_beyond": 0,
        "pairs": 3 * PEOPLE,
        "searches": 3 * PEOPLE,
        "mated_searches": 3 * PEOPLE,
    }
    match, possible = made["decisions"]["match"], made["decisions"]["possible"]
    assert match["threshold"] > possible["threshold"]
    assert match["fpir"]["low"] < 0.02 < match["fpir"]["high"]
    assert possible["fpir"]["low"] < 0.1 < possible["fpir"]["high"]
    assert match["fnir"]["value"] >= possible["fnir"]["value"]
    fpir = [point["fpir"] for point in made["points"]]
    assert fpir == sorted(fpir, reverse=True)
    assert calibrated.page["items"] == [made]


def test_every_answer_has_probabilities_and_a_decision(running_service: RunningService, calibrated: Calibrated) -> None:
    made = calibrated.current
    curve, prior = Curve(made["probability"]["slope"], made["probability"]["intercept"]), made["probability"]["prior"]
    decisions = set()
    for query in calibrated.ids[::20]:
        answer = search(running_service, query, gallery="yard", k=50)
        assert answer["calibration"] == {"id": made["id"], "stale": False, "reason": None}
        best = answer["results"][0]["score"]
        floors = [made["decisions"][name]["threshold"] for name in ("match", "possible")]
        assert answer["decision"] == ("match" if best >= floors[0] else "possible" if best >= floors[1] else "no match")
        decisions.add(answer["decision"])
        own = f"c{calibrated.ids.index(query) % 3}"
        for place in answer["results"]:
            expected = None if place["camera_id"] == own else float(curve.probability(place["score"], prior))
            assert place["probability"] == pytest.approx(expected)
        assert {place["probability"] is None for place in answer["results"]} == {True, False}
    assert "match" in decisions


def test_a_camera_that_is_known_is_the_queries_own_however_it_is_asked(
    running_service: RunningService, calibrated: Calibrated
) -> None:
    options = {"gallery": "yard", "k": 50}
    with running_service.client() as client:
        asked = {"data": options | {"query_camera_id": "c1"}, "files": frame_files(pictures(1, 1))}
        by_frames = client.post("/search", **asked).json()
        asked["data"] = options
        anywhere = client.post("/search", **asked).json()
        by_example = client.post("/search/examples", json=options | {"positive": [calibrated.ids[1]]}).json()
    for answer in (by_frames, by_example):
        assert answer["calibration"]["id"] == calibrated.current["id"]
        assert {place["camera_id"] for place in answer["results"] if place["probability"] is None} == {"c1"}
        assert {place["camera_id"] for place in answer["results"] if place["probability"] is not None} == {"c0", "c2"}
    assert all(place["probability"] is not None for place in anywhere["results"])


@pytest.mark.usefixtures("silent_service")
def test_a_comparison_has_the_probability_that_a_search_gives(
    running_service: RunningService, calibrated: Calibrated
) -> None:
    one = calibrated.ids[0]
    ranking = search(running_service, one, gallery="yard", k=50)
    other = {place["camera_id"]: place for place in ranking["results"]}
    reference = {"id": calibrated.current["id"], "stale": False, "reason": None}
    with running_service.client() as client:
        for place in (other["c0"], other["c1"]):
            body = {"gallery": "yard", "tracklet_id": one, "other_tracklet_id": place["tracklet_id"]}
            compared = client.post("/verify", json=body).json()
            assert (compared["score"], compared["calibration"]) == (place["score"], reference)
            assert compared["probability"] == place["probability"]
            assert (compared["probability"] is None) == (place["camera_id"] == "c0")
        by_frames = {"data": {"gallery": "yard", "tracklet_id": one}, "files": frame_files(pictures(1, 1))}
        assert client.post("/verify", **by_frames).json()["probability"] is not None
        bare = store(running_service, "uncompared", np.eye(2, 16), [None, None])
        body = {"gallery": "uncompared", "tracklet_id": bare[0], "other_tracklet_id": bare[1]}
        compared = client.post("/verify", json=body).json()
        assert (compared["probability"], compared["calibration"]) == (None, None)
    arguments = ("verify", one, other["c1"]["tracklet_id"], "--gallery", "yard")
    assert f"probability {other['c1']['probability']:.4f}, model " in tfclip(running_service, *arguments).stdout


def test_an_export_has_the_probabilities_of_the_search(running_service: RunningService, calibrated: Calibrated) -> None:
    options = {"query_id": calibrated.ids[0], "gallery": "yard", "k": 50}
    places = search(running_service, calibrated.ids[0], gallery="yard", k=50)["results"]
    with running_service.client() as client:
        table = client.get("/search/export", params=options | {"format": "csv"}).text
    found = [row["probability"] and float(row["probability"]) for row in csv.DictReader(StringIO(table))]
    assert found == ["" if place["probability"] is None else place["probability"] for place in places]


def test_a_filter_leaves_the_decision_to_the_rows_that_pass(
    running_service: RunningService, calibrated: Calibrated
) -> None:
    query = calibrated.ids[0]
    others = search(running_service, query, gallery="yard", identity="p1")
    assert others["decision"] == "no match"
    nobody = search(running_service, query, gallery="yard", identity="nobody")
    assert (nobody["results"], nobody["decision"]) == ([], "no match")


def test_what_min_score_hides_is_not_decided(running_service: RunningService, calibrated: Calibrated) -> None:
    query, possible = calibrated.ids[0], calibrated.current["decisions"]["possible"]["threshold"]
    low = search(running_service, query, gallery="yard", identity="p1", min_score=possible - 0.001)
    high = search(running_service, query, gallery="yard", identity="p1", min_score=possible + 0.001)
    assert (low["results"], low["decision"]) == ([], "no match")
    assert (high["results"], high["decision"], high["undecided_because"]) == ([], None, "min_score")
    assert low["undecided_because"] is None


def test_every_page_has_the_decision_of_its_ranking(running_service: RunningService, calibrated: Calibrated) -> None:
    decisions = set()
    for query in calibrated.ids[::20]:
        first = search(running_service, query, gallery="yard", k=3)
        second = search(running_service, query, gallery="yard", k=3, cursor=first["next_cursor"])
        third = search(running_service, query, gallery="yard", k=3, cursor=second["next_cursor"])
        assert [page["results"][0]["rank"] for page in (first, second, third)] == [1, 4, 7]
        assert {(page["decision"], page["undecided_because"]) for page in (second, third)} == {
            (first["decision"], None)
        }
        decisions.add(first["decision"])
    # By the best row of a further page they would all be the same.
    assert len(decisions) > 1


def test_several_examples_are_not_decided_and_say_why(running_service: RunningService, calibrated: Calibrated) -> None:
    one, other, third = calibrated.ids[:3]
    with running_service.client() as client:
        for body in ({"positive": [one, other]}, {"positive": [one], "negative": [third]}):
            answer = client.post("/search/examples", json={"gallery": "yard", "k": 5} | body).json()
            assert (answer["decision"], answer["undecided_because"]) == (None, "several_examples")
            assert {place["probability"] for place in answer["results"]} == {None}
        alone = client.post("/search/examples", json={"gallery": "yard", "positive": [one]}).json()
        assert (alone["decision"] is None, alone["undecided_because"]) == (False, None)


def test_an_answer_without_a_calibration_says_so(running_service: RunningService) -> None:
    ids = fill(running_service, "bare", people=2)
    answer = search(running_service, ids[0], gallery="bare")
    assert (answer["decision"], answer["calibration"]) == (None, None)
    assert answer["undecided_because"] == "no_calibration"
    assert {place["probability"] for place in answer["results"]} == {None}
    assert page_of(running_service, "bare") == {"current": None, "items": [], "next_cursor": None}


def test_a_gallery_that_grew_by_half_is_answered_with_scores_until_it_is_calibrated_again(
    running_service: RunningService,
) -> None:
    ids = fill(running_service, "growing")
    first = calibrate(running_service, gallery="growing", match_fpir=0.02)["result"]["calibration_id"]
    rng = np.random.default_rng(2)
    more = WORLD.seen(WORLD.people(90, rng), 1, rng)[:, 0]
    store(running_service, "growing", more[:89], [None] * 89)
    assert search(running_service, ids[0], gallery="growing")["decision"] == "match"
    store(running_service, "growing", more[89:], [None])
    answer = search(running_service, ids[0], gallery="growing")
    why = "the gallery had 180 tracklets and has 270"
    assert answer["calibration"] == {"id": first, "stale": True, "reason": why}
    assert answer["undecided_because"] == "stale_calibration"
    assert (answer["decision"], answer["results"][0]["probability"]) == (None, None)
    with running_service.client() as client:
        body = {"gallery": "growing", "tracklet_id": ids[0], "other_tracklet_id": ids[1]}
        compared = client.post("/verify", json=body).json()
    assert (compared["probability"], compared["calibration"]) == (None, answer["calibration"])
    assert (page_of(running_service, "growing")["current"]["stale"], why) == (True, why)

    second = calibrate(running_service, gallery="growing", match_fpir=0.02)["result"]["calibration_id"]
    page = page_of(running_service, "growing")
    assert [made["id"] for made in page["items"]] == [second, first]
    # Thirty more people to come, as many tracklets each as those with a name; the thresholds know of them.
    assert page["current"]["labels"]["people_beyond"] == 30
    before, after = page["items"][1]["decisions"], page["items"][0]["decisions"]
    assert after["possible"]["threshold"] > before["possible"]["threshold"]
    assert search(running_service, ids[0], gallery="growing")["calibration"]["id"] == second
    with running_service.client() as client:
        assert [client.get(f"/calibrations/{made['id']}").json() for made in page["items"]] == page["items"]
        assert client.delete(f"/admin/calibrations/{second}").status_code == 204
        assert client.delete(f"/admin/calibrations/{second}").status_code == 404
        assert client.get(f"/calibrations/{second}").json()["code"] == "not_found"
    assert search(running_service, ids[0], gallery="growing")["calibration"]["id"] == first
    assert page_of(running_service, "growing", limit=1)["next_cursor"] is None


def test_on_another_model_nothing_is_decided_and_back_on_the_first_it_is_again(running_service: RunningService) -> None:
    ids = fill(running_service, "moving", people=25)
    made = calibrate(running_service, gallery="moving", match_fpir=0.05)["result"]["calibration_id"]
    before = search(running_service, ids[0], gallery="moving")
    assert before["decision"] is not None
    switch(running_service, "moving", 2, "b" * 64)
    answer = search(running_service, ids[0], gallery="moving")
    why = "the gallery is on another model"
    assert answer["calibration"] == {"id": made, "stale": True, "reason": why}
    assert (answer["decision"], answer["results"][0]["probability"]) == (None, None)
    with running_service.client() as client:
        named = client.get(f"/calibrations/{made}").json()
    assert (named["id"], named["stale"], named["reason"]) == (made, True, why)
    fill(running_service, "staying", people=1)
    refused = {"gallery": "moving", "reference_gallery": "staying"}
    with running_service.client() as client:
        assert client.post("/admin/calibrations", json=refused).json()["code"] == "model_conflict"
    switch(running_service, "moving", 1)
    again = search(running_service, ids[0], gallery="moving")
    assert (again["decision"], again["calibration"]) == (before["decision"], before["calibration"])


def test_rejected_matches_leave_probabilities_as_they_are(running_service: RunningService) -> None:
    ids = fill(running_service, "rejecting", people=25)
    rng = np.random.default_rng(3)
    unnamed = WORLD.seen(WORLD.people(9, rng), 1, rng)[:, 0]
    strangers = store(running_service, "rejecting", unnamed, [None] * 9)
    for _ in range(2):
        assert calibrate(running_service, gallery="rejecting", match_fpir=0.05)["status"] == "succeeded"
        with running_service.client() as client:
            body = {"tracklet_id": ids[0], "other_tracklet_id": strangers[1], "verdict": "different"}
            body["gallery"] = "rejecting"
            assert client.post("/matches", json=body).status_code in (200, 201)
    after, before = page_of(running_service, "rejecting")["items"]
    assert (after["probability"], after["decisions"]) == (before["probability"], before["decisions"])


def test_too_few_labels_leave_answers_as_scores(running_service: RunningService) -> None:
    ids = fill(running_service, "few", people=5)
    job = calibrate(running_service, gallery="few")
    assert job["status"] == "failed"
    assert "5 identities seen by two cameras, needed are 20" in job["error"]
    assert search(running_service, ids[0], gallery="few")["calibration"] is None


def test_the_labels_of_a_reference_gallery_give_numbers_for_a_gallery_of_another_size(
    running_service: RunningService, calibrated: Calibrated
) -> None:
    rng = np.random.default_rng(5)
    vectors = WORLD.seen(WORLD.people(360, rng), 1, rng)[:, 0]
    ids = store(running_service, "unnamed", vectors, [None] * 360)
    job = calibrate(running_service, gallery="unnamed", reference_gallery="yard", match_fpir=0.02)
    assert job["status"] == "succeeded", job
    made = page_of(running_service, "unnamed")["current"]
    assert (made["tracklets"], made["reference_gallery"], made["labels"]["people_beyond"]) == (360, "yard", PEOPLE)
    assert made["decisions"]["possible"]["threshold"] > calibrated.current["decisions"]["possible"]["threshold"]
    answer = search(running_service, ids[0], gallery="unnamed", k=400)
    assert (answer["decision"], len(answer["results"])) == ("no match", 359)


def test_another_process_follows(running_service: RunningService, calibrated: Calibrated, data_folder) -> None:
    settings = make_settings(data_folder / "data", running_service.database_url, poll_seconds=30)
    with run_service(settings) as other:
        query = calibrated.ids[0]
        assert search(other, query, gallery="yard")["decision"] == "match"
        # Announced: nobody waits for the next look, which is half a minute away.
        made = calibrate(running_service, gallery="yard", match_fpir=0.05)["result"]["calibration_id"]
        wait_until(lambda: search(other, query, gallery="yard")["calibration"]["id"] == made, seconds=15)
        with running_service.client() as client:
            assert client.delete(f"/admin/calibrations/{made}").status_code == 204
        before = calibrated.current["id"]
        wait_until(lambda: search(other, query, gallery="yard")["calibration"]["id"] == before, seconds=15)


def test_a_calibration_of_another_model_is_stale_and_one_of_this_model_goes_before_it() -> None:
    old = Calibration(uuid.uuid4(), "yard", "a" * 64, 100, 50.0, -17.5, 0.01, 0.7, 0.5)
    new = Calibration(uuid.uuid4(), "yard", "b" * 64, 100, 50.0, -17.5, 0.01, 0.7, 0.5)
    served = ServedCalibrations()
    served._of = {"yard": [new, old]}
    assert served.current("yard", "a" * 64) == old
    assert served.current("yard", "c" * 64) == new
    assert judge_of(new, "c" * 64, 100).reason == "the gallery is on another model"
    assert [judge_of(new, "b" * 64, size).stale for size in (1, 149, 150)] == [False, False, True]


def test_a_threshold_belongs_to_the_decision_that_it_begins() -> None:
    calibration = Calibration(uuid.uuid4(), "yard", "a" * 64, 100, 50.0, -17.5, 0.01, 0.7, 0.5)
    scores = {0.7: "match", np.nextafter(0.7, 0): "possible", 0.5: "possible", np.nextafter(0.5, 0): "no match"}
    assert {score: decide(calibration, score, None) for score in scores} == scores


@pytest.mark.parametrize(
    "body",
    [
        {"match_fpir": 0},
        {"match_fpir": 0.2, "possible_fpir": 0.1},
        {"possible_fpir": 1},
        {"prior": 0},
        {"prior": 1},
        {"prior": "high"},
        {"unlabelled": "guess"},
        {"reference_gallery": ".."},
        {"model_id": "0" * 64},
    ],
    ids=str,
)
def test_a_bad_request_starts_no_job(running_service: RunningService, body: dict) -> None:
    with running_service.client() as client:
        answer = client.post("/admin/calibrations", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


@pytest.mark.parametrize("body", [{"gallery": "unheard-of"}, {"reference_gallery": "unheard-of"}], ids=str)
def test_a_gallery_that_does_not_exist_is_not_found(running_service: RunningService, body: dict) -> None:
    with running_service.client() as client:
        assert client.post("/admin/calibrations", json=body).status_code == 404
        assert client.get("/calibrations", params={"gallery": "unheard-of"}).status_code == 404
