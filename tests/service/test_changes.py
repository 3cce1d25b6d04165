"""Following a gallery: numbers without gaps, waiting that ends at once, and clients that hang up."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from typer.testing import CliRunner

from model.cli import build_app
from service.client import TfclipClient
from service.client.errors import ApiProblem
from service.store.embedded import EmbeddedPostgres
from tests.support import (
    ADMIN_KEY,
    RunningService,
    empty_database,
    make_settings,
    reachable_folder,
    run_service,
    upload,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("silent_service")


def page(running: RunningService, **options: object) -> dict:
    with running.client() as client:
        answer = client.get("/changes", params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def client(running_service: RunningService) -> Iterator[TfclipClient]:
    with TfclipClient(running_service.url, ADMIN_KEY) as client:
        yield client


def test_changes_come_in_order_without_gaps_and_say_what_happened(
    running_service: RunningService, client: TfclipClient
) -> None:
    first = upload(running_service, 1, 1, gallery="order")["id"]
    second = upload(running_service, 2, 1, gallery="order")["id"]
    client.change_tracklet(first, labels={"seen": True})
    client.delete_tracklet(second)
    found = page(running_service, gallery="order")
    assert [(one["number"], one["kind"], one["tracklet_id"]) for one in found["items"]] == [
        (1, "added", first),
        (2, "added", second),
        (3, "updated", first),
        (4, "deleted", second),
    ]
    assert (found["next"], found["change"]) == (4, 4)
    two = page(running_service, gallery="order", after=1, limit=2)
    assert ([one["number"] for one in two["items"]], two["next"], two["change"]) == ([2, 3], 3, 4)
    end = page(running_service, gallery="order", after=4)
    assert (end["items"], end["next"], end["change"]) == ([], 4, 4)
    assert [one.number for one in client.changes("order", page_size=1)] == [1, 2, 3, 4]
    # What is said of a camera is no change of its tracklets.
    client.put_camera("order", "c1", time_offset_seconds=-30)
    assert page(running_service, gallery="order", after=4)["change"] == 4


def test_whoever_follows_hears_of_every_change_of_many_at_once(
    running_service: RunningService, client: TfclipClient
) -> None:
    upload(running_service, 1, 1, gallery="many")
    with ThreadPoolExecutor(4) as pool:
        stored = [pool.submit(upload, running_service, seed, 1, gallery="many") for seed in range(2, 6)]
        following = client.changes("many", after=1, follow=True, page_size=3)
        heard = [next(following) for _ in stored]
    assert [one.number for one in heard] == list(range(2, 6))
    assert {one.tracklet_id for one in heard} == {future.result()["id"] for future in stored}


def test_waiting_ends_when_a_change_comes_and_holds_no_connection(running_service: RunningService) -> None:
    service = running_service.service
    upload(running_service, 1, 1, gallery="wait")
    options = {"gallery": "wait", "after": 1, "wait_seconds": 30}
    # More than the service has database connections.
    many = service.settings.database_connections + 1
    with ThreadPoolExecutor(many) as pool, running_service.client() as client:
        waiting = [pool.submit(client.get, "/changes", params=options) for _ in range(many)]
        wait_until(lambda: service.bell.waiting == many)
        # Of another gallery: nobody is woken by it, and it finds a connection.
        upload(running_service, 2, 1, gallery="other")
        assert not any(future.done() for future in waiting)
        began = time.monotonic()
        tracklet = upload(running_service, 3, 1, gallery="wait")
        answers = [future.result().json() for future in waiting]
    # Not a measurement: the time they would have waited without being woken.
    assert time.monotonic() - began < 30
    assert all([one["tracklet_id"] for one in answer["items"]] == [tracklet["id"]] for answer in answers)
    assert service.bell.waiting == 0


def test_all_who_wait_are_woken_and_leave_database_connections_to_others(postgres: EmbeddedPostgres) -> None:
    followers = 40
    options = {"after": 1, "wait_seconds": 30}
    with ThreadPoolExecutor(followers) as pool, reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url, database_connections=6)
        with run_service(settings) as running, running.client() as client, running.database() as beside:
            tracklet = upload(running, 1, 1)["id"]
            gallery = beside.execute("SELECT id FROM galleries").fetchone()[0]
            waiting = [pool.submit(client.get, "/changes", params=options) for _ in range(followers)]
            wait_until(lambda: running.service.bell.waiting == followers)
            with running.database() as changing, changing.transaction():
                # Whoever reads the changes now stands still, with a connection in its hands.
                changing.execute("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE")
                beside.execute("SELECT pg_notify('tfclip_galleries', %s || ' 2')", [str(gallery)])
                wait_until(lambda: running.service.database.in_use > 1)
                assert client.get("/tracklets").status_code == 200
                changing.execute("UPDATE galleries SET change = 2")
                changing.execute(
                    "INSERT INTO changes (gallery_id, number, kind, tracklet_id) VALUES (%s, 2, 'updated', %s)",
                    [gallery, tracklet],
                )
            answers = [future.result() for future in waiting]
    assert [answer.status_code for answer in answers] == [200] * followers
    assert all([one["number"] for one in answer.json()["items"]] == [2] for answer in answers)


def test_a_client_that_hangs_up_is_forgotten(running_service: RunningService) -> None:
    upload(running_service, 1, 1, gallery="gone")
    bell = running_service.service.bell
    with running_service.client() as client:
        options = {"gallery": "gone", "after": 1, "wait_seconds": 30}
        with pytest.raises(httpx.ReadTimeout):
            client.get("/changes", params=options, timeout=httpx.Timeout(60, read=0.5))
    wait_until(lambda: bell.waiting == 0)


def test_a_service_that_stops_answers_those_who_wait(postgres: EmbeddedPostgres) -> None:
    options = {"after": 0, "wait_seconds": 30}
    with ThreadPoolExecutor(1) as pool, reachable_folder() as folder, empty_database(postgres) as url:
        with run_service(make_settings(folder / "data", url)) as running:
            client = running.client()
            waiting = pool.submit(client.get, "/changes", params=options)
            wait_until(lambda: running.service.bell.waiting == 1)
        answer = waiting.result()
        client.close()
    assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_without_a_change_the_wait_ends_empty(running_service: RunningService) -> None:
    upload(running_service, 1, 1, gallery="quiet")
    found = page(running_service, gallery="quiet", after=1, wait_seconds=0.05)
    assert (found["items"], found["next"], found["change"]) == ([], 1, 1)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"gallery": "unheard-of"}, 404),
        ({"after": -1}, 422),
        ({"after": 2**63}, 422),
        ({"limit": 0}, 422),
        ({"limit": 1001}, 422),
        ({"wait_seconds": 31}, 422),
        ({"wait_seconds": "nan"}, 422),
        ({"wait_seconds": -1}, 422),
        ({"from": 1}, 422),
    ],
)
def test_bad_questions_are_refused(running_service: RunningService, options: dict, status: int) -> None:
    with running_service.client() as client:
        assert client.get("/changes", params=options).status_code == status


def test_the_command_prints_a_line_for_each_change(running_service: RunningService) -> None:
    upload(running_service, 1, 1, gallery="lines")
    second = upload(running_service, 2, 1, gallery="lines")["id"]
    options = ["changes", "--gallery", "lines", "--url", running_service.url, "--api-key", ADMIN_KEY]
    shown = CliRunner().invoke(build_app(), options)
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [["1", "added"], ["2", "added"]]
    lines = CliRunner().invoke(build_app(), [*options, "--after", "1", "--json"]).stdout.splitlines()
    assert [(json.loads(line)["number"], json.loads(line)["tracklet_id"]) for line in lines] == [(2, second)]


def test_a_number_beyond_the_last_change_is_told_and_not_waited_for(
    running_service: RunningService, client: TfclipClient
) -> None:
    upload(running_service, 1, 1, gallery="beyond")
    with pytest.raises(ApiProblem, match="begin again with 0"):
        next(client.changes("beyond", after=7, follow=True))
