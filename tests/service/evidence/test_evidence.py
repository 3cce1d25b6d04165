"""Evidence over HTTP, against the network asked directly."""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model import TFCLIP, load_model
from model.clips import dense_clips, spread_evenly
from model.data.synthetic import draw_tracklet
from model.default_weights import open_model
from model.preprocess import to_tensor
from model.purity import find_purity
from tests.contract.outsider import problem
from tests.jobs import run
from tests.service.jobs.weights import make_weights
from tests.support import RunningService, frame_files, pictures, search

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def network() -> TFCLIP:
    """The model of the galleries of these tests, unless they say otherwise."""
    return open_model(None)[0]


def drawn(person: int, count: int, tracklet: int = 0) -> list[bytes]:
    """JPEG files of one drawn person before one camera."""
    files = []
    for image in draw_tracklet(person, 5, count, tracklet_seed=tracklet, height=64):
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=95)
        files.append(buffer.getvalue())
    return files


def stored(running: RunningService, contents: list[bytes], **metadata: str) -> dict[str, Any]:
    with running.client() as client:
        answer = client.post(
            "/tracklets",
            data={"metadata": json.dumps({"camera_id": "c1", **metadata})},
            files=frame_files(contents),
        )
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def get(running: RunningService, path: str, **parameters: str) -> httpx.Response:
    with running.client() as client:
        # Even without a member `params` would take the place of what the path asks.
        return client.get(path, params=parameters or None)


def described(network: TFCLIP, contents: list[bytes], cap: int = 16) -> NDArray[np.float64]:
    """Unit descriptors of the frames that a tracklet is described by, made without the service."""
    images = [Image.open(BytesIO(contents[position])) for position in spread_evenly(len(contents), cap)]
    frames = to_tensor(images, network.image)
    length = network.config.clip_length
    found = network.describe_frames(frames[torch.tensor(dense_clips(len(frames), length))]).frames
    unit = []
    for position in range(len(frames)):
        vector = found[position // length, position % length].double().numpy()
        unit.append(vector / np.linalg.norm(vector))
    return np.array(unit)


def test_similarities_are_the_cosines_of_frame_descriptors(running_service: RunningService, network: TFCLIP) -> None:
    mine, theirs = pictures(1, 5), pictures(2, 20)
    one, other = stored(running_service, mine), stored(running_service, theirs)
    answer = get(running_service, f"/tracklets/{one['id']}/evidence", against=other["id"]).json()
    assert answer["frames"] == list(range(5))
    assert answer["other_frames"] == spread_evenly(20, 16)
    expected = described(network, mine) @ described(network, theirs).T
    assert np.abs(np.array(answer["similarities"]) - expected).max() < 1e-5
    row, column = np.unravel_index(expected.argmax(), expected.shape)
    pair = answer["best_pair"]
    assert (pair["position"], pair["other_position"]) == (row, answer["other_frames"][column])
    assert pair["similarity"] == pytest.approx(expected.max(), abs=1e-5)
    assert pair["similarity"] == np.max(answer["similarities"])


def test_the_score_is_that_of_the_search_and_so_is_the_model(running_service: RunningService) -> None:
    one, other = stored(running_service, pictures(3)), stored(running_service, pictures(4))
    answer = get(running_service, f"/tracklets/{one['id']}/evidence", against=other["id"]).json()
    ranking = search(running_service, one["id"], k=1000)
    (place,) = [place for place in ranking["results"] if place["tracklet_id"] == other["id"]]
    assert answer["score"] == place["score"]
    assert answer["model_id"] == ranking["model_id"]


def test_a_gallery_on_another_model_answers_by_that_one(running_service: RunningService, tmp_path: Path) -> None:
    mine, theirs = pictures(5, 11), pictures(6, 3)
    one = stored(running_service, mine, gallery="moved")
    before = get(running_service, f"/tracklets/{one['id']}/purity").json()["purity"]
    assert one["purity"] == pytest.approx(before, abs=2e-4)
    other = stored(running_service, theirs, gallery="moved")
    model_id = make_weights(tmp_path / "other.safetensors", seed=9)
    with running_service.client() as client:
        content = (tmp_path / "other.safetensors").read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        assert client.post("/admin/models", content=content, headers=headers).status_code == 201
    assert run(running_service, "POST", "/admin/reindex", gallery="moved", model_id=model_id)["status"] == "succeeded"
    network = load_model(tmp_path / "other.safetensors")
    assert network.config.clip_length == 8, "eleven frames fill the second clip with three"
    answer = get(running_service, f"/tracklets/{one['id']}/evidence", against=other["id"]).json()
    assert answer["model_id"] == model_id
    expected = described(network, mine) @ described(network, theirs).T
    assert np.abs(np.array(answer["similarities"]) - expected).max() < 1e-5
    judged = get(running_service, f"/tracklets/{one['id']}/purity").json()
    assert judged["model_id"] == model_id
    moved = get(running_service, f"/tracklets/{one['id']}").json()
    assert moved["purity"] == pytest.approx(judged["purity"], abs=2e-4)
    assert abs(moved["purity"] - one["purity"]) > 0.01, "else this does not tell the models apart"
    assert moved["possible_identity_switch"] == (moved["purity"] < 0.65)
    new = stored(running_service, mine, gallery="moved", external_id="again")
    assert new["purity"] == pytest.approx(moved["purity"], abs=2e-4)
    listed = get(running_service, "/tracklets", gallery="moved").json()["items"]
    assert {item["id"]: item["purity"] for item in listed}[one["id"]] == moved["purity"]
    shown = get(running_service, answer["attention_urls"][10], format="json").json()
    assert shown["model_id"] == model_id
    assert np.array(shown["weights"]).shape == network.config.grid
    with running_service.client() as client:
        first = client.get("/admin/generations", params={"gallery": "moved"}).json()["items"][-1]
    path = f"/admin/generations/{first['id']}/activate"
    assert run(running_service, "POST", path)["status"] == "succeeded"
    # What it was when that model served, and of whom it never described, what the job made of the frames.
    assert get(running_service, f"/tracklets/{one['id']}").json()["purity"] == one["purity"]
    assert get(running_service, f"/tracklets/{new['id']}").json()["purity"] == pytest.approx(one["purity"], abs=2e-4)


def test_attention_is_the_networks(running_service: RunningService, network: TFCLIP) -> None:
    contents = pictures(7, 18)
    one = stored(running_service, contents)
    # A frame that no descriptor is made of has attention too.
    for position in (0, 1, 17):
        shown = get(running_service, f"/tracklets/{one['id']}/frames/{position}/attention", format="json").json()
        frame = to_tensor([Image.open(BytesIO(contents[position]))], network.image)
        expected = network.encoder.attention(frame)[0].numpy()
        assert np.abs(np.array(shown["weights"]) - expected).max() < 1e-6
        assert np.sum(shown["weights"]) == pytest.approx(1, abs=1e-5)
        assert (shown["tracklet_id"], shown["position"]) == (one["id"], position)


def test_attention_is_painted_where_it_is(running_service: RunningService, network: TFCLIP) -> None:
    buffer = BytesIO()
    Image.new("RGB", (96, 192), "white").save(buffer, "PNG")
    grey = stored(running_service, [buffer.getvalue()])
    answer = get(running_service, f"/tracklets/{grey['id']}/frames/0/attention")
    assert answer.headers["content-type"] == "image/png"
    painted = Image.open(BytesIO(answer.content))
    assert painted.size == (96, 192)
    weights = np.array(
        get(running_service, f"/tracklets/{grey['id']}/frames/0/attention", format="json").json()["weights"]
    )
    # Where white is covered by red, green goes: the more, the more attention.
    green = 255 - np.asarray(painted)[:, :, 1].astype(float)
    rows, columns = weights.shape
    middles = green[192 // rows // 2 :: 192 // rows, 96 // columns // 2 :: 96 // columns]
    assert np.corrcoef(middles.ravel(), weights.ravel())[0, 1] > 0.95


def test_a_tracklet_of_two_people_is_flagged_when_it_is_stored(running_service: RunningService) -> None:
    pure = stored(running_service, drawn(1, 12))
    spliced = stored(running_service, drawn(1, 5) + drawn(2, 7))
    assert pure["possible_identity_switch"] is False
    assert spliced["possible_identity_switch"] is True
    assert 0 <= spliced["purity"] < pure["purity"] <= 1
    for one in (pure, spliced):
        read = get(running_service, f"/tracklets/{one['id']}").json()
        (listed,) = [item for item in get(running_service, "/tracklets").json()["items"] if item["id"] == one["id"]]
        for answer in (read, listed):
            assert answer["purity"] == one["purity"]
            assert answer["possible_identity_switch"] == one["possible_identity_switch"]


def test_purity_on_demand_names_the_place_and_equals_the_stored_one(
    running_service: RunningService, network: TFCLIP
) -> None:
    contents = drawn(3, 5) + drawn(4, 7)
    one = stored(running_service, contents)
    answer = get(running_service, f"/tracklets/{one['id']}/purity").json()
    assert answer["purity"] == pytest.approx(one["purity"], abs=2e-4)
    assert (answer["split"]["after_position"], answer["split"]["before_position"]) == (4, 5)
    assert answer["possible_identity_switch"] is True
    assert answer["min_purity"] == running_service.service.settings.min_purity
    expected = find_purity(described(network, contents).astype(np.float32))
    assert expected is not None
    assert [split["separation"] for split in answer["curve"]] == pytest.approx(expected.separations, abs=1e-5)
    assert [split["after_position"] for split in answer["curve"]] == list(range(1, 10))
    assert answer["split"] == max(answer["curve"], key=lambda split: split["separation"])


def test_positions_of_a_long_tracklet_are_those_of_its_frames(running_service: RunningService) -> None:
    one = stored(running_service, drawn(5, 14) + drawn(6, 16))
    answer = get(running_service, f"/tracklets/{one['id']}/purity").json()
    assert answer["frames"] == spread_evenly(30, 16)
    split = answer["split"]
    assert split["after_position"] < 14 <= split["before_position"]


def test_three_frames_are_too_few_to_say(running_service: RunningService) -> None:
    one = stored(running_service, drawn(7, 3))
    assert (one["purity"], one["possible_identity_switch"]) == (None, None)
    answer = get(running_service, f"/tracklets/{one['id']}/purity").json()
    assert (answer["purity"], answer["possible_identity_switch"], answer["split"]) == (None, None, None)
    assert (answer["frames"], answer["curve"]) == ([0, 1, 2], [])


def test_nothing_crosses_a_gallery(running_service: RunningService) -> None:
    here, there = stored(running_service, pictures(8)), stored(running_service, pictures(9), gallery="elsewhere")
    body = problem(get(running_service, f"/tracklets/{here['id']}/evidence", against=there["id"]), 404)
    assert there["id"] in body["detail"]


def test_what_is_not_there_is_not_found(running_service: RunningService) -> None:
    one = stored(running_service, pictures(10))
    problem(get(running_service, f"/tracklets/{NOBODY}/evidence", against=one["id"]), 404)
    problem(get(running_service, f"/tracklets/{one['id']}/evidence", against=NOBODY), 404)
    problem(get(running_service, f"/tracklets/{NOBODY}/purity"), 404)
    problem(get(running_service, f"/tracklets/{NOBODY}/frames/0/attention"), 404)
    problem(get(running_service, f"/tracklets/{one['id']}/frames/3/attention"), 404)


def test_what_makes_no_sense_is_refused(running_service: RunningService) -> None:
    one = stored(running_service, pictures(11))["id"]
    problem(get(running_service, f"/tracklets/{one}/evidence"), 422)
    problem(get(running_service, f"/tracklets/{one}/evidence", against="me"), 422)
    problem(get(running_service, f"/tracklets/{one}/evidence", against=one, k="3"), 422)
    problem(get(running_service, f"/tracklets/{one}/frames/0/attention", format="gif"), 422)
    problem(get(running_service, f"/tracklets/{one}/frames/-1/attention"), 422)


def test_lost_frames_are_named(running_service: RunningService) -> None:
    contents = pictures(12, 4)
    one, whole = stored(running_service, contents), stored(running_service, pictures(13))
    folder = running_service.data_directory / "frames" / "default"
    names = [hashlib.sha256(content).hexdigest() for content in contents]
    (folder / names[1]).unlink()
    (folder / names[2]).write_bytes(b"something else")
    for path in ("purity", f"evidence?against={whole['id']}"):
        body = problem(get(running_service, f"/tracklets/{one['id']}/{path}"), 409)
        assert body["code"] == "frames_lost"
        assert "missing [1], damaged [2]" in body["detail"]
    problem(get(running_service, f"/tracklets/{whole['id']}/evidence", against=one["id"]), 409)
    problem(get(running_service, f"/tracklets/{one['id']}/frames/1/attention"), 409)
    assert get(running_service, f"/tracklets/{one['id']}/frames/0/attention").status_code == 200


def test_evidence_waits_in_the_queue_of_the_uploads(running_service: RunningService) -> None:
    one = stored(running_service, pictures(14))["id"]
    batcher = running_service.service.models.default
    with batcher._room_for(running_service.service.settings.queue_clips):
        for path in (f"evidence?against={one}", "purity", "frames/0/attention"):
            assert problem(get(running_service, f"/tracklets/{one}/{path}"), 503)["code"] == "queue_full"
    assert get(running_service, f"/tracklets/{one}/purity").status_code == 200
