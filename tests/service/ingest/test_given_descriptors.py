"""Tracklets that come as descriptors: taken as they are, and nothing asks for frames that are not there."""

import base64
import uuid
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from service.client import Descriptor, TfclipClient
from tests.jobs import ended, run
from tests.service.ingest.descriptors import field, send, vector
from tests.service.jobs.moving import add_model, begin_move, gate
from tests.service.jobs.weights import make_weights
from tests.service.searching.sheets import shown, strip
from tests.support import ADMIN_KEY, RunningService, pictures, search, upload


def test_a_descriptor_without_frames_is_stored_found_and_durable(running_service: RunningService) -> None:
    sent = vector(running_service, 1)
    answer = send(running_service, field(running_service, sent), gallery="plain", external_id="a")
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    assert (stored["frame_count"], stored["frame_urls"], stored["thumbnail_url"], stored["purity"]) == (
        0,
        [],
        None,
        None,
    )
    other = send(running_service, field(running_service, 3 * sent + 0.1 * vector(running_service, 2)), gallery="plain")
    found = search(running_service, stored["id"], gallery="plain")["results"]
    assert [(one["tracklet_id"], one["thumbnail_url"]) for one in found] == [(other.json()["id"], None)]
    with running_service.database() as connection:
        query = "SELECT vector, given FROM descriptors WHERE tracklet_id = %s"
        assert connection.execute(query, (stored["id"],)).fetchall() == [(sent.tobytes(), True)]
    assert search(running_service, stored["id"], gallery="plain", min_frames=1)["results"] == []


def test_a_descriptor_is_as_good_as_the_frames_it_was_made_of(running_service: RunningService) -> None:
    made = upload(running_service, 5, gallery="as-good")["id"]
    with running_service.database() as connection:
        query = "SELECT vector FROM descriptors WHERE tracklet_id = %s"
        content = connection.execute(query, (made,)).fetchone()[0]
    with TfclipClient(running_service.url, ADMIN_KEY) as client:
        values = np.frombuffer(content, "<f4").tolist()
        given = client.create_tracklet(
            [], "c2", gallery="as-good", descriptor=Descriptor(running_service.service.model.id, values)
        )
    (best,) = search(running_service, made, gallery="as-good")["results"]
    assert (best["tracklet_id"], round(best["score"], 9)) == (given.tracklet.id, 1.0)


def test_the_same_descriptor_again_is_existing_and_another_a_conflict(running_service: RunningService) -> None:
    first = field(running_service, vector(running_service, 1))
    ids = [send(running_service, first, gallery="again", external_id="a") for _ in range(2)]
    assert [one.status_code for one in ids] == [201, 200]
    assert ids[0].json()["id"] == ids[1].json()["id"]
    other = field(running_service, vector(running_service, 2))
    for refused in (
        send(running_service, other, gallery="again", external_id="a"),
        send(running_service, first, pictures(1, 1), gallery="again", external_id="a"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "external_id_conflict")


def test_with_frames_both_are_kept_and_the_descriptor_counts(running_service: RunningService) -> None:
    sent = vector(running_service, 7)
    stored = send(running_service, field(running_service, sent), pictures(1, 2), gallery="both").json()
    assert (stored["frame_count"], stored["purity"]) == (2, None)
    with running_service.client() as client:
        assert client.get(stored["thumbnail_url"]).content == pictures(1, 2)[1]
    index = running_service.service.galleries.find("both").loaded.index
    assert np.allclose(index.vector(uuid.UUID(stored["id"])), sent / np.linalg.norm(sent))


def test_another_frame_cap_of_the_gallery_leaves_a_given_descriptor_as_it_is(running_service: RunningService) -> None:
    sent = vector(running_service, 8)
    stored = send(running_service, field(running_service, sent), pictures(1, 5), gallery="capped").json()["id"]
    made = upload(running_service, 1, frames=5, gallery="capped")["id"]

    def kept() -> dict[str, bytes]:
        with running_service.database() as connection:
            query = "SELECT tracklet_id, vector FROM descriptors WHERE tracklet_id = ANY(%s)"
            rows = connection.execute(query, ([uuid.UUID(stored), uuid.UUID(made)],)).fetchall()
        return {str(tracklet): content for tracklet, content in rows}

    before = kept()
    with running_service.client() as client:
        assert client.patch("/galleries/capped", json={"frame_cap": 2}).status_code == 200
    assert run(running_service, "POST", "/admin/reindex", gallery="capped")["status"] == "succeeded"
    assert kept()[stored] == before[stored] == sent.tobytes()
    assert kept()[made] != before[made]


def bad_descriptors(running: RunningService) -> dict[str, tuple[object, int, str]]:
    good = vector(running, 1)
    infinite, undefined = good.copy(), good.copy()
    infinite[3], undefined[3] = np.inf, np.nan
    odd = {"model_id": running.service.model.id, "values": base64.b64encode(b"12345").decode()}
    return {
        "another model": (field(running, good, "0" * 64), 409, "model_conflict"),
        "no model": (field(running, good, ""), 422, "invalid_request"),
        "too short": (field(running, good[:-1]), 422, "invalid_request"),
        "too long": (field(running, np.tile(good, 2)), 422, "invalid_request"),
        "infinite": (field(running, infinite), 422, "invalid_request"),
        "not a number": (field(running, undefined), 422, "invalid_request"),
        "zero": (field(running, 0 * good), 422, "invalid_request"),
        "odd bytes": (odd, 422, "invalid_request"),
        "no base64": ({**odd, "values": "*" * 8}, 422, "invalid_request"),
        "empty": ({**odd, "values": ""}, 422, "invalid_request"),
        "huge": ({**odd, "values": "A" * 400_000}, 422, "invalid_request"),
        "a list": ({**odd, "values": good.tolist()}, 422, "invalid_request"),
        "more": ({**odd, "norm": 1}, 422, "invalid_request"),
        "null": (None, 422, "invalid_frame"),
    }


def test_bad_descriptors_are_refused_and_leave_nothing(running_service: RunningService) -> None:
    before = running_service.footprint()
    for name, (descriptor, status, code) in bad_descriptors(running_service).items():
        answer = send(running_service, descriptor)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (name, answer.text)
    assert running_service.footprint() == before


def test_what_asks_for_frames_says_that_there_are_none(running_service: RunningService) -> None:
    stored = send(running_service, field(running_service, vector(running_service, 1)), gallery="none").json()["id"]
    other = upload(running_service, 1, gallery="none")["id"]
    with running_service.client() as client:
        for path in (
            f"/tracklets/{stored}/purity",
            f"/tracklets/{stored}/frames/0/attention",
            f"/tracklets/{stored}/evidence?against={other}",
            f"/tracklets/{other}/evidence?against={stored}",
        ):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (409, "no_frames"), path
        assert client.get(f"/tracklets/{stored}/frames/0").status_code == 404
        sheet = client.get("/search/export", params={"query_id": stored, "gallery": "none", "format": "png"})
        assert sheet.content.startswith(b"\x89PNG")
        asked = {"positive": [stored, other], "gallery": "none", "format": "png"}
        sheet = Image.open(BytesIO(client.post("/search/examples/export", json=asked).content)).convert("RGB")
        # A grey place stands for the example without frames, and the other one's first frame beside it.
        grey, other_one = strip(sheet, 0)[:2]
        assert (grey == 221).all()
        assert shown(other_one, pictures(1, 1)[0])
        listed = client.get("/identities/proposals", params={"gallery": "none", "threshold": -1})
        assert listed.status_code == 200, listed.text


def test_the_integrity_check_finds_nothing_wrong_with_them_and_repair_leaves_them(
    running_service: RunningService,
) -> None:
    alone = send(running_service, field(running_service, vector(running_service, 1)), gallery="sound").json()["id"]
    beside = field(running_service, vector(running_service, 2))
    send(running_service, beside, pictures(2, 2), gallery="sound")
    upload(running_service, 3, gallery="sound")
    with running_service.client() as client:
        report = client.get("/admin/integrity", params={"gallery": "sound"}).json()
    assert (report["ok"], report["findings"], report["checked"]["described_again"]) == (True, [], 2)
    done = run(running_service, "POST", "/admin/repair", gallery="sound")
    assert (done["status"], done["result"]["mended"], done["result"]["left"]) == ("succeeded", [], [])
    with running_service.database() as connection:
        query = "SELECT count(*) FROM descriptors WHERE given AND tracklet_id = %s"
        assert connection.execute(query, (alone,)).fetchone() == (1,)


@pytest.fixture(scope="module")
def second_model(running_service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("weights") / "other.safetensors"
    model_id = make_weights(file, seed=5)
    add_model(running_service, file)
    return model_id


def test_a_gallery_with_them_does_not_move_to_another_model(running_service: RunningService, second_model: str) -> None:
    upload(running_service, 1, gallery="stays")
    stored = send(running_service, field(running_service, vector(running_service, 1)), gallery="stays").json()["id"]
    job = run(running_service, "POST", "/admin/reindex", gallery="stays", model_id=second_model)
    assert job["status"] == "failed"
    assert stored in job["error"]
    assert "no frames" in job["error"]
    assert run(running_service, "POST", "/admin/reindex", gallery="stays")["status"] == "succeeded"
    assert search(running_service, stored, gallery="stays")["results"] != []


def test_while_a_gallery_moves_only_those_with_frames_are_taken(
    running_service: RunningService, second_model: str
) -> None:
    with gate(second_model, "describe") as closed:
        move = begin_move(running_service, second_model, closed)
        assert closed.arrived.wait(60)
        given = field(running_service, vector(running_service, 1))
        refused = send(running_service, given, gallery=move.gallery)
        assert (refused.status_code, refused.json()["code"]) == (409, "model_conflict")
        assert "moving" in refused.json()["detail"]
        taken = send(running_service, given, pictures(9, 2), gallery=move.gallery)
        assert taken.status_code == 201, taken.text
        closed.open()
        assert ended(running_service, move.job)["status"] == "succeeded"
    late = send(running_service, given, gallery=move.gallery)
    assert (late.status_code, late.json()["code"]) == (409, "model_conflict")
    assert len(search(running_service, taken.json()["id"], gallery=move.gallery)["results"]) == len(move.stored)
