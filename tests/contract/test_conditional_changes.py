"""If-Match and If-None-Match on cameras, transit times, tracklets and keys: nobody overwrites what they did not see."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.client import ApiProblem, TfclipClient
from tests.contract.outsider import problem
from tests.support import ADMIN_KEY, RunningService, frame_files, pictures, upload, wait_until, waiting_for_locks

pytestmark = pytest.mark.usefixtures("silent_service")

OTHERS = ['"99"', 'W/"1"', "nonsense", '""']
MATRIX = {"cameras": ["a", "b"], "min_seconds": [[0, 10], [20, 0]], "max_seconds": [[None, 60], [None, None]]}
LATER = MATRIX | {"max_seconds": [[None, 61], [None, None]]}
EMPTY = {"cameras": [], "min_seconds": [], "max_seconds": []}


@pytest.fixture
def client(running_service: RunningService) -> Iterator[httpx.Client]:
    """Speaks to the service as an administrator."""
    with running_service.client() as client:
        yield client


@pytest.fixture
def gallery(client: httpx.Client) -> str:
    """A gallery of its own, with cameras a and b."""
    name = f"g{uuid.uuid4().hex[:12]}"
    assert client.post("/galleries", json={"name": name}).status_code == 201
    for camera in ("a", "b"):
        assert client.put(f"/cameras/{name}/{camera}", json={}).status_code == 201
    return name


def refuse_stale(client: httpx.Client, method: str, path: str, *stale: str, **body: Any) -> None:
    """Whoever saw another version changes nothing."""
    before = client.get(path)
    for tag in (*OTHERS, f"W/{before.headers['etag']}", *stale):
        refused = client.request(method, path, headers={"If-Match": tag}, **body)
        assert problem(refused, 412)["code"] == "precondition_failed"
    after = client.get(path)
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])


def test_a_camera_is_read_changed_and_removed_as_the_caller_saw_it(client: httpx.Client, gallery: str) -> None:
    path = f"/cameras/{gallery}/north/1"
    problem(client.get(path), 404)
    made = client.put(path, json={"place": "Gate"}, headers={"If-None-Match": "*"})
    assert made.status_code == 201
    assert made.headers["location"] == f"/cameras/{gallery}/north%2F1"
    read = client.get(made.headers["location"])
    assert (read.json(), read.headers["etag"]) == (made.json(), made.headers["etag"])
    assert read.headers["etag"] == f'"{read.json()["version"]}"'
    assert read.json() in client.get("/cameras", params={"gallery": gallery}).json()["items"]

    refuse_stale(client, "PUT", path, json={"place": "Hall"})
    changed = client.put(path, json={"place": "Hall"}, headers={"If-Match": read.headers["etag"]})
    assert (changed.status_code, changed.json()["place"]) == (200, "Hall")
    assert changed.headers["etag"] == client.get(path).headers["etag"] != read.headers["etag"]
    refuse_stale(client, "PUT", path, read.headers["etag"], json={})
    refuse_stale(client, "DELETE", path, read.headers["etag"])
    assert (
        client.put(path, json={"place": "Hall"}, headers={"If-Match": "*"}).headers["etag"] == changed.headers["etag"]
    )
    assert client.delete(path, headers={"If-Match": changed.headers["etag"]}).status_code == 204
    problem(client.delete(path, headers={"If-Match": changed.headers["etag"]}), 404)

    # Another camera of its name is not the one that was seen, whatever is said of it.
    again = client.put(path, json={"place": "Hall"})
    assert again.headers["etag"] != changed.headers["etag"]
    refuse_stale(client, "PUT", path, changed.headers["etag"], json={})


def test_what_is_not_there_is_made_only_by_who_wants_to_make_it(client: httpx.Client, gallery: str) -> None:
    path = f"/cameras/{gallery}/new"
    for tag in ("*", '"99"'):
        assert problem(client.put(path, json={}, headers={"If-Match": tag}), 412)["code"] == "precondition_failed"
    problem(client.get(path), 404)
    made = client.put(path, json={"place": "First"}, headers={"If-None-Match": "*"})
    assert made.status_code == 201
    for tag in ("*", made.headers["etag"]):
        problem(client.put(path, json={}, headers={"If-None-Match": tag}), 412)
    assert client.get(path).json()["place"] == "First"
    assert client.put(path, json={}, headers={"If-None-Match": '"99"'}).status_code == 200


def test_several_lines_of_one_header_are_one_list(client: httpx.Client, gallery: str) -> None:
    path = f"/cameras/{gallery}/a"
    tag = client.get(path).headers["etag"]

    def put(name: str, *lines: str) -> httpx.Response:
        return client.put(path, json={}, headers=[(name, line) for line in lines])

    for lines in (['"x"', tag], [tag, '"x"'], ['"x", "y"', f'W/{tag}, "z"'], ['"x"', "*"]):
        problem(put("If-None-Match", *lines), 412)
    assert put("If-None-Match", '"x"', '"y"').status_code == 200
    for lines in (['"x"', tag], [tag, '"x"']):
        assert put("If-Match", *lines).status_code == 200
    problem(put("If-Match", '"x"', f"W/{tag}"), 412)
    problem(put("If-Match", tag, "x" * 1000), 422)


def test_what_a_camera_sees_is_nothing_that_is_said_of_it(
    running_service: RunningService, client: httpx.Client, gallery: str
) -> None:
    seen = client.get(f"/cameras/{gallery}/a")
    upload(running_service, 1, frames=1, gallery=gallery, camera_id="a")
    now = client.get(f"/cameras/{gallery}/a")
    assert (now.json()["tracklets"], now.headers["etag"]) == (1, seen.headers["etag"])
    problem(client.delete(f"/cameras/{gallery}/a", headers={"If-Match": '"99"'}), 412)
    problem(client.delete(f"/cameras/{gallery}/a", headers={"If-Match": seen.headers["etag"]}), 409)


def test_transit_times_are_said_anew_as_the_caller_saw_them(client: httpx.Client, gallery: str) -> None:
    path = f"/galleries/{gallery}/transits"
    nothing = client.get(path).headers["etag"]
    said = client.put(path, json=MATRIX, headers={"If-Match": nothing})
    assert said.status_code == 200
    assert said.headers["etag"] == client.get(path).headers["etag"] != nothing
    refuse_stale(client, "PUT", path, nothing, json=LATER)
    # The same is the same, in whatever order.
    turned = {"cameras": ["b", "a"], "min_seconds": [[0, 20], [10, 0]], "max_seconds": [[None, None], [60, None]]}
    assert client.put(path, json=turned, headers={"If-Match": "*"}).headers["etag"] == said.headers["etag"]
    later = client.put(path, json=LATER, headers={"If-Match": said.headers["etag"]})
    assert (later.status_code, later.json()) == (200, client.get(path).json())
    # A camera that is removed takes what is said of its ways with it.
    assert client.delete(f"/cameras/{gallery}/b").status_code == 204
    refuse_stale(client, "PUT", path, later.headers["etag"], json=EMPTY)
    assert client.put(path, json=EMPTY).headers["etag"] == nothing


def both_at_once(
    running: RunningService, gallery: str, send: Callable[[httpx.Client, int], httpx.Response]
) -> list[httpx.Response]:
    """What two requests are answered that both wait for a lock inside the database before either is carried out."""
    with (
        running.client() as client,
        running.database() as connection,
        running.database() as watching,
        ThreadPoolExecutor(2) as pool,
    ):
        connection.autocommit = False
        # Who has nothing left to do but to number its change waits for this, and the other one for that.
        connection.execute("SELECT id FROM galleries WHERE name = %s FOR NO KEY UPDATE", [gallery])
        answers = [pool.submit(send, client, number) for number in range(2)]
        wait_until(lambda: waiting_for_locks(watching) == 2)
        connection.rollback()
        return [answer.result() for answer in answers]


@pytest.mark.parametrize("what", ["change", "make", "transits", "remove"])
def test_of_two_that_saw_the_same_one_is_refused(
    running_service: RunningService, client: httpx.Client, gallery: str, what: str
) -> None:
    path = (
        f"/galleries/{gallery}/transits"
        if what == "transits"
        else f"/cameras/{gallery}/{'new' if what == 'make' else 'a'}"
    )
    seen = {"If-None-Match": "*"} if what == "make" else {"If-Match": client.get(path).headers["etag"]}
    bodies = [MATRIX, LATER] if what == "transits" else [{"place": "first"}, {"place": "second"}]

    def send(client: httpx.Client, number: int) -> httpx.Response:
        if what == "remove" and number:
            return client.delete(path, headers=seen)
        return client.put(path, json=bodies[number], headers=seen)

    answers = both_at_once(running_service, gallery, send)
    statuses = sorted(answer.status_code for answer in answers)
    if what == "remove":
        # Either the change was first, or there is nothing left to change.
        assert [answer.status_code for answer in answers] in ([200, 412], [412, 204])
        return
    assert statuses == [201 if what == "make" else 200, 412]
    (carried_out,) = [answer for answer in answers if answer.is_success]
    now = client.get(path)
    assert (now.json(), now.headers["etag"]) == (carried_out.json(), carried_out.headers["etag"])


def test_tracklets_and_keys_are_deleted_as_the_caller_saw_them(
    running_service: RunningService, client: httpx.Client
) -> None:
    tracklet = f"/tracklets/{upload(running_service, 1, frames=1)['id']}"
    key = f"/admin/keys/{client.post('/admin/keys', json={'name': 'k', 'scopes': ['read']}).json()['id']}"
    for path, change in ((tracklet, {"labels": {"a": 1}}), (key, {"name": "other"})):
        seen = client.get(path).headers["etag"]
        now = client.patch(path, json=change).headers["etag"]
        refuse_stale(client, "DELETE", path, seen)
        assert client.delete(path, headers={"If-Match": now}).status_code == 204
    problem(client.get(tracklet), 404)
    assert client.get(key).json()["revoked_at"]


def test_the_client_changes_only_the_version_that_it_names(
    running_service: RunningService, client: httpx.Client, gallery: str
) -> None:
    stored = upload(running_service, 1, frames=1, gallery=gallery, camera_id="c")
    with TfclipClient(running_service.url, ADMIN_KEY) as ours:
        camera = ours.put_camera(gallery, "x", place="Gate", new=True)
        changed = ours.put_camera(gallery, "x", place="Hall", version=camera.version)
        assert ours.get_camera(gallery, "x") == changed
        said = ours.put_transits(gallery, ours.get_transits(gallery).model_copy(update=MATRIX), version=None)
        assert "version" not in said.model_dump()
        later = ours.put_transits(gallery, said.model_copy(update=LATER), version=said.version)
        assert later == ours.get_transits(gallery)
        ann = ours.create_identity("Ann", gallery=gallery)
        key = ours.create_key("k", ["read"])
        assert ours.change_key(key.id, name="other", version=key.version).version == 2
        stale: list[Callable[[], object]] = [
            lambda: ours.put_camera(gallery, "x", new=True),
            lambda: ours.put_camera(gallery, "x", version=camera.version),
            lambda: ours.delete_camera(gallery, "x", version=camera.version),
            lambda: ours.put_transits(gallery, said, version=said.version),
            lambda: ours.delete_identity(ann.id, version=99),
            lambda: ours.delete_tracklet(stored["id"], version=99),
            lambda: ours.change_key(key.id, name="third", version=key.version),
            lambda: ours.revoke_key(key.id, version=key.version),
            lambda: ours.delete_gallery(gallery, version=99),
        ]
        for change in stale:
            with pytest.raises(ApiProblem) as refused:
                change()
            assert refused.value.code == "precondition_failed"
        ours.revoke_key(key.id, version=2)
        ours.delete_identity(ann.id, version=ann.version)
        ours.delete_tracklet(stored["id"], version=stored["version"])
        ours.delete_camera(gallery, "x", version=changed.version)
        assert ours.delete_gallery(gallery, version=1).kind == "delete_gallery"


def test_headers_are_sent_where_the_description_says_so(
    running_service: RunningService, client: httpx.Client, gallery: str
) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    stored = upload(running_service, 1, frames=2, gallery=gallery, camera_id="c")
    other = upload(running_service, 2, frames=1, gallery=gallery, camera_id="c")["id"]

    def ask(method: str, template: str, **content: Any) -> httpx.Response:
        path = template.format(gallery=gallery, name=gallery, tracklet_id=stored["id"], position=0, **made)
        if "/cameras/" in template:
            path = f"/cameras/{gallery}/new"
        answer = client.request(method, path, **content)
        assert answer.status_code < 400, answer.text
        declared = paths[template][method.lower()]["responses"][str(answer.status_code)]["headers"]
        for header in ("ETag", "Location"):
            assert (header in answer.headers) == (header in declared), (method, template, header)
        return answer

    made: dict[str, str] = {}
    form = {"data": {"metadata": json.dumps({"camera_id": "c", "gallery": gallery, "external_id": "x"})}}
    for _ in range(2):
        ask("POST", "/tracklets", **form, files=frame_files(pictures(3, 1)))
    ask("GET", "/tracklets/{tracklet_id}")
    ask("PATCH", "/tracklets/{tracklet_id}", json={"labels": {}})
    frame = ask("GET", "/tracklets/{tracklet_id}/frames/{position}")
    ask("GET", "/tracklets/{tracklet_id}/frames/{position}", headers={"If-None-Match": frame.headers["etag"]})
    for _ in range(2):
        ask("PUT", "/cameras/{gallery}/{name}", json={})
    for template in ("/cameras/{gallery}/{name}", "/galleries/{name}", "/galleries/{name}/transits", "/cameras"):
        ask("GET", template)
    ask("PUT", "/galleries/{name}/transits", json=MATRIX)
    ask("PATCH", "/galleries/{name}", json={"purpose": "p"})
    ask("POST", "/galleries", json={"name": f"{gallery}-2"})
    body = {"gallery": gallery, "tracklet_ids": []}
    other_id = ask("POST", "/identities", json=body | {"name": "Ben"}).json()["id"]
    made["identity_id"] = ask("POST", "/identities", json=body | {"name": "Ann"}).json()["id"]
    ask("GET", "/identities/{identity_id}")
    ask("PATCH", "/identities/{identity_id}", json={"name": "Anne"})
    ask("POST", "/identities/{identity_id}/tracklets", json={"tracklet_ids": [stored["id"]]})
    event = ask("POST", "/identities/{identity_id}/merge", json={"from_id": other_id}).json()["event_id"]
    ask("POST", "/identities/{identity_id}/unmerge", json={"event_id": event})
    ask(
        "POST",
        "/matches",
        json={"gallery": gallery, "tracklet_id": stored["id"], "other_tracklet_id": other, "verdict": "same"},
    )
    made["key_id"] = ask("POST", "/admin/keys", json={"name": "k", "scopes": ["read"]}).json()["id"]
    ask("GET", "/admin/keys/{key_id}")
    ask("PATCH", "/admin/keys/{key_id}", json={"name": "other"})
    made["job_id"] = ask("POST", "/admin/reindex", json={"gallery": gallery}).json()["id"]
    ask("GET", "/jobs/{job_id}")
    (file,) = [path.name for path in (running_service.data_directory / "models").glob("*.safetensors")]
    ask("POST", "/admin/models", json={"path": file})
    wait_until(lambda: client.get(f"/jobs/{made['job_id']}").json()["finished_at"])
    ask("DELETE", "/galleries/{name}")
