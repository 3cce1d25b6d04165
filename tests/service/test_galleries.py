"""Galleries over HTTP: made, described, counted, and deleted without a trace and without harm to another one."""

import uuid
from typing import Any

import httpx
import pytest

from tests.support import RunningService, pictures, search, upload, wait_until


@pytest.fixture
def client(running_service: RunningService) -> httpx.Client:
    """Speaks to the service as an administrator."""
    with running_service.client() as client:
        yield client


def name() -> str:
    """A gallery that nobody has yet."""
    return f"g{uuid.uuid4().hex[:12]}"


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job, when it is over."""
    wait_until(lambda: client.get(f"/jobs/{job['id']}").json()["finished_at"])
    return client.get(f"/jobs/{job['id']}").json()


def rows_of(running: RunningService, gallery: str) -> dict[str, list[Any]]:
    """Everything that the database has of a gallery."""
    with running.database() as connection:
        (gallery_id,) = connection.execute("SELECT id FROM galleries WHERE name = %s", (gallery,)).fetchone()
        owned = "SELECT table_name FROM information_schema.columns WHERE column_name = 'gallery_id'"
        tables = [row[0] for row in connection.execute(owned)]
        found = {
            table: connection.execute(
                f"SELECT * FROM {table} WHERE gallery_id = %s ORDER BY 1, 2", (gallery_id,)
            ).fetchall()
            for table in tables
        }
        found["galleries"] = connection.execute("SELECT * FROM galleries WHERE id = %s", (gallery_id,)).fetchall()
        found["descriptors"] = connection.execute(
            "SELECT descriptors.* FROM descriptors JOIN tracklets ON id = tracklet_id WHERE gallery_id = %s ORDER BY 1",
            (gallery_id,),
        ).fetchall()
        return found


def files_of(running: RunningService, gallery: str) -> dict[str, bytes]:
    """Every frame file of a gallery."""
    folder = running.data_directory / "frames" / gallery
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_a_gallery_is_made_described_changed_and_listed(client: httpx.Client) -> None:
    gallery = name()
    said = {"description": "Gates", "purpose": "Lost children", "legal_basis": "Consent", "frame_cap": 4}
    made = client.post("/galleries", json={"name": gallery, **said})
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/galleries/{gallery}"
    assert said.items() <= made.json().items()
    again = client.post("/galleries", json={"name": gallery})
    assert (again.status_code, again.json()["code"]) == (409, "gallery_exists")

    read = client.get(f"/galleries/{gallery}")
    assert read.headers["etag"] == made.headers["etag"]
    changed = client.patch(
        f"/galleries/{gallery}", json={"purpose": None, "frame_cap": 2}, headers={"If-Match": read.headers["etag"]}
    )
    assert changed.status_code == 200
    assert changed.json() | {"version": 1} == made.json() | {"purpose": None, "frame_cap": 2}
    assert changed.headers["etag"] != read.headers["etag"]

    listed = client.get("/galleries", params={"limit": 500}).json()
    assert changed.json() in listed["items"]
    first = client.get("/galleries", params={"limit": 1}).json()
    rest = client.get("/galleries", params={"cursor": first["next_cursor"], "limit": 499}).json()
    assert first["items"] + rest["items"] == listed["items"]


@pytest.mark.parametrize("given", ['"99"', 'W/"1"', '"1x"', "1", '"2", "3"'])
def test_a_gallery_that_was_changed_meanwhile_is_left_as_it_is(client: httpx.Client, given: str) -> None:
    gallery = name()
    made = client.post("/galleries", json={"name": gallery}).json()
    answer = client.patch(f"/galleries/{gallery}", json={"purpose": "mine"}, headers={"If-Match": given})
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert client.get(f"/galleries/{gallery}").json().items() >= made.items()
    assert client.patch(f"/galleries/{gallery}", json={}, headers={"If-Match": '"7", "1"'}).json() == made
    assert client.patch(f"/galleries/{gallery}", json={}, headers={"If-Match": "*"}).json() == made


def test_a_gallery_that_was_changed_meanwhile_is_not_deleted(client: httpx.Client) -> None:
    gallery = name()
    seen = client.post("/galleries", json={"name": gallery}).headers["etag"]
    client.patch(f"/galleries/{gallery}", json={"purpose": "p"})
    answer = client.delete(f"/galleries/{gallery}", headers={"If-Match": seen})
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    now = client.get(f"/galleries/{gallery}").headers["etag"]
    assert client.delete(f"/galleries/{gallery}", headers={"If-Match": now}).status_code == 202


def test_what_is_made_comes_with_its_etag(running_service: RunningService, client: httpx.Client) -> None:
    metadata = {"metadata": '{"camera_id": "c"}'}
    stored = client.post("/tracklets", data=metadata, files=[("frames", ("0.jpg", pictures(1, 1)[0], "image/jpeg"))])
    key = client.post("/admin/keys", json={"name": "k", "scopes": ["read"]})
    for made in (stored, key):
        assert made.headers["etag"] == client.get(made.headers["location"]).headers["etag"]


def test_what_a_gallery_holds_is_counted(running_service: RunningService, client: httpx.Client) -> None:
    gallery = name()
    upload(running_service, 1, gallery=gallery, camera_id="a", identity="p", started_at="2025-01-02T00:00:00Z")
    upload(running_service, 1, gallery=gallery, camera_id="b", identity="p", started_at="2025-01-01T00:00:00Z")
    upload(running_service, 2, gallery=gallery, camera_id="b", frames=2)
    counted = client.get(f"/galleries/{gallery}").json()["statistics"]
    index = counted.pop("index")
    assert counted == {
        "tracklets": 3,
        "frames": 8,
        "files": 5,
        "bytes": sum(len(content) for content in pictures(1) + pictures(2, 2)),
        "identities": 1,
        "cameras": 2,
        "first_start": "2025-01-01T00:00:00Z",
        "last_start": "2025-01-02T00:00:00Z",
    }
    assert (index["rows"], index["lag_changes"]) == (3, 0)


def test_a_deleted_gallery_leaves_nothing_and_another_one_is_untouched(
    running_service: RunningService, client: httpx.Client
) -> None:
    gone, other = name(), name()
    for gallery in (gone, other):
        for seed in range(3):
            upload(running_service, seed, gallery=gallery, camera_id=f"c{seed}", identity="p", external_id=str(seed))
    matrix = {"cameras": ["c0", "c1"], "min_seconds": [[0, 1], [1, 0]], "max_seconds": [[None, 9], [9, None]]}
    assert client.put(f"/galleries/{gone}/transits", json=matrix).status_code == 200
    ended(client, client.post("/admin/reindex", json={"gallery": gone}).json())
    ids = [one["id"] for one in client.get("/tracklets", params={"gallery": gone}).json()["items"]]
    rows, files = rows_of(running_service, other), files_of(running_service, other)
    snapshots = running_service.data_directory / "index"
    with running_service.database() as connection:
        (gallery_id,) = connection.execute("SELECT id FROM galleries WHERE name = %s", (gone,)).fetchone()

    answer = client.delete(f"/galleries/{gone}")
    assert answer.status_code == 202, answer.text
    assert answer.json()["kind"] == "delete_gallery"
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    job = ended(client, answer.json())
    assert (job["status"], job["gallery"], job["done"], job["result"]) == ("succeeded", gone, 3, {"tracklets": 3})

    assert rows_of(running_service, other) == rows
    assert files_of(running_service, other) == files
    assert not (running_service.data_directory / "frames" / gone).exists()
    assert not list(snapshots.glob(f"{gallery_id}-*"))
    with running_service.database() as connection:
        owned = "SELECT table_name FROM information_schema.columns WHERE column_name = 'gallery_id'"
        for table in [row[0] for row in connection.execute(owned)]:
            query = f"SELECT count(*) FROM {table} WHERE gallery_id = %s"
            assert connection.execute(query, (gallery_id,)).fetchone() == (0,), table
        query = "SELECT count(*) FROM descriptors LEFT JOIN tracklets ON id = tracklet_id WHERE id IS NULL"
        assert connection.execute(query).fetchone() == (0,)
        query = "SELECT count(*) FROM descriptors WHERE tracklet_id = ANY(%s)"
        assert connection.execute(query, (ids,)).fetchone() == (0,)
    assert gone not in client.get("/metrics").text
    # The name is free: what is stored under it knows nothing of what was there.
    assert client.get(f"/galleries/{gone}").status_code == 404
    new = upload(running_service, 1, gallery=gone, camera_id="c1", external_id="1")
    assert new["id"] not in ids
    assert search(running_service, new["id"], gallery=gone)["results"] == []
    assert client.get(f"/galleries/{gone}").json()["statistics"]["tracklets"] == 1


def test_the_default_gallery_is_made_anew(fresh_service: RunningService) -> None:
    upload(fresh_service, 1)
    with fresh_service.client() as client:
        client.patch("/galleries/default", json={"purpose": "old"})
        ended(client, client.delete("/galleries/default").json())
        found = client.get("/galleries/default").json()
        assert (found["purpose"], found["statistics"]["tracklets"]) == (None, 0)
    upload(fresh_service, 1)


@pytest.mark.parametrize("path", ["/galleries/none", "/galleries/none/transits", "/cameras?gallery=none"])
def test_a_gallery_that_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404
