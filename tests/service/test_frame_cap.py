"""A gallery's frame cap: of how many frames its tracklets are described, and what changing it does."""

import uuid
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.jobs import run
from tests.support import RunningService, frame_files, pictures, upload, wait_until


@pytest.fixture
def client(running_service: RunningService) -> Iterator[httpx.Client]:
    """Speaks to the service as an administrator."""
    with running_service.client() as client:
        yield client


def make_gallery(client: httpx.Client, frame_cap: int | None) -> str:
    """A gallery of this cap."""
    gallery = f"g{uuid.uuid4().hex[:12]}"
    assert client.post("/galleries", json={"name": gallery, "frame_cap": frame_cap}).status_code == 201
    return gallery


def described(running: RunningService, tracklet_id: str) -> tuple[np.ndarray, int]:
    """A tracklet's descriptor, and of how many frames it is."""
    with running.database() as connection:
        query = "SELECT vector, frames FROM descriptors WHERE tracklet_id = %s"
        ((vector, frames),) = connection.execute(query, (tracklet_id,)).fetchall()
    return np.frombuffer(vector, "<f4"), frames


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine similarity."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_gallery_embeds_as_many_frames_as_it_says(running_service: RunningService, client: httpx.Client) -> None:
    caps = {None: 8, 2: 2, 5: 5, 100: 8}
    vectors = {}
    for cap, frames in caps.items():
        gallery = make_gallery(client, cap)
        stored = upload(running_service, 1, frames=8, gallery=gallery)
        vectors[cap], counted = described(running_service, stored["id"])
        assert counted == frames
        # The same frames find themselves: a search goes by the gallery's cap.
        found = client.post("/search", data={"gallery": gallery}, files=frame_files(pictures(1, 8)))
        assert found.json()["results"][0]["score"] > 0.99999
    assert cosine(vectors[None], vectors[100]) > 0.99999
    assert cosine(vectors[None], vectors[2]) < 0.99999
    assert cosine(vectors[None], vectors[5]) < 0.99999


def test_another_cap_leaves_descriptors_as_they_are_until_a_reindex(
    running_service: RunningService, client: httpx.Client
) -> None:
    gallery = make_gallery(client, 1)
    old = upload(running_service, 1, frames=8, gallery=gallery)["id"]
    short = upload(running_service, 2, frames=1, gallery=gallery)["id"]
    before, _ = described(running_service, old)
    assert client.patch(f"/galleries/{gallery}", json={"frame_cap": 8}).status_code == 200
    new = upload(running_service, 1, frames=8, gallery=gallery)["id"]
    expected, frames = described(running_service, new)
    assert frames == 8
    assert cosine(before, expected) < 0.999

    found = client.get("/admin/integrity", params={"gallery": gallery, "describe": 10, "full": True}).json()
    assert (found["ok"], found["checked"]["described_again"]) == (True, 3), found
    assert np.array_equal(described(running_service, old)[0], before)

    assert run(running_service, "POST", "/admin/reindex", gallery=gallery)["status"] == "succeeded"
    vector, frames = described(running_service, old)
    assert (frames, described(running_service, short)[1]) == (8, 1)
    purities = [client.get(f"/tracklets/{one}").json()["purity"] for one in (old, new, short)]
    assert purities == [pytest.approx(purities[1], abs=2e-4), purities[1], None]
    assert purities[1] is not None
    assert cosine(vector, expected) > 0.99999
    ranking = client.get("/search", params={"gallery": gallery, "query_id": new}).json()["results"]
    assert (ranking[0]["tracklet_id"], ranking[0]["score"] > 0.99999) == (old, True)
    assert client.get("/admin/integrity", params={"gallery": gallery, "describe": 10}).json()["ok"]


def test_a_foreign_descriptor_is_still_called_foreign(running_service: RunningService, client: httpx.Client) -> None:
    gallery = make_gallery(client, 2)
    stored = upload(running_service, 3, frames=6, gallery=gallery)["id"]
    vector, _ = described(running_service, stored)
    with running_service.database() as connection:
        wrong = np.roll(vector, 7).astype("<f4").tobytes()
        connection.execute("UPDATE descriptors SET vector = %s WHERE tracklet_id = %s", (wrong, stored))
    found = client.get("/admin/integrity", params={"gallery": gallery, "describe": 10}).json()
    assert "foreign_descriptor" in [one["kind"] for one in found["findings"]]
    job = client.post("/admin/repair", json={"gallery": gallery}).json()["id"]
    wait_until(lambda: client.get(f"/jobs/{job}").json()["finished_at"])
    mended, frames = described(running_service, stored)
    assert (cosine(mended, vector) > 0.99999, frames) == (True, 2)
