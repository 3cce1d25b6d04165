"""Models as a resource: added, listed, used, kept over a restart, removed when nothing needs them."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model import ModelConfig, new_model, save_model
from model.checkpoint import describe_weights
from model.default_weights import DEMO_WEIGHTS, open_model
from service.client import TfclipClient
from service.client.errors import ApiProblem
from service.embedding.registry import register_default
from service.store.database import Database
from service.store.embedded import EmbeddedPostgres
from service.store.migrate import upgrade
from service.store.model_files import ModelFiles
from tests.contract.crafted_weights import SMALLEST, weights_file
from tests.contract.outsider import everything, problem
from tests.service.client.scripted import OnALoop
from tests.support import (
    ADMIN_KEY,
    RunningService,
    empty_database,
    make_settings,
    reachable_folder,
    run_service,
    search,
    upload,
)

BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the user keeps weights."""
    return tmp_path_factory.mktemp("weights")


def send(running: RunningService, path: Path, status: int = 201) -> dict[str, Any]:
    """Upload a weights file and return the answer's body."""
    with running.client() as client:
        answer = client.post("/admin/models", params={"name": path.stem}, content=path.read_bytes(), headers=BYTES)
    assert answer.status_code == status, answer.text
    assert answer.headers["location"] == f"/admin/models/{answer.json()['id']}"
    return answer.json()


def listed(running: RunningService) -> list[dict[str, Any]]:
    """The list, newest first."""
    with running.client() as client:
        answer = client.get("/admin/models")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def kept(running: RunningService, model_id: str) -> Path:
    """Where the service keeps a model's weights."""
    return running.data_directory / "models" / f"{model_id}.safetensors"


def test_uploaded_weights_become_a_model(running_service: RunningService, folder: Path) -> None:
    path = weights_file(folder, seed=1, trained=True, mAP=0.5)
    model = send(running_service, path)
    info = describe_weights(path)
    assert (model["id"], model["dimension"]) == (info.model_id, SMALLEST.descriptor_dim)
    # The maker gave no name.
    assert (model["name"], model["trained"], model["demo"]) == ("seed-1", True, False)
    assert (model["default"], model["available"]) == (False, True)
    assert (model["generations"], model["galleries"]) == (0, [])
    assert model["provenance"] == {"name": "seed-1", **info.provenance}
    assert kept(running_service, model["id"]).read_bytes() == path.read_bytes()
    with running_service.client() as client:
        assert client.get(f"/admin/models/{model['id']}").json() == model
    assert listed(running_service)[0] == model


def test_a_file_of_the_folder_becomes_a_model_and_stays_there(running_service: RunningService, folder: Path) -> None:
    models = running_service.data_directory / "models"
    content = weights_file(folder, seed=2, name="second").read_bytes()
    (models / "inner").mkdir()
    (models / "inner" / "mine.safetensors").write_bytes(content)
    (models / "link.safetensors").symlink_to("inner/mine.safetensors")
    with running_service.client() as client:
        first = client.post("/admin/models", json={"path": "inner/mine.safetensors"})
        again = client.post("/admin/models", json={"path": "link.safetensors"})
        own = client.post("/admin/models", json={"path": f"{first.json()['id']}.safetensors"})
    assert (first.status_code, again.status_code, own.status_code) == (201, 200, 200)
    assert first.json() == again.json() == own.json()
    assert first.json()["name"] == "second"
    assert (models / "inner" / "mine.safetensors").read_bytes() == content
    assert kept(running_service, first.json()["id"]).read_bytes() == content
    assert not kept(running_service, first.json()["id"]).is_symlink()


def test_known_weights_are_200_and_mend_what_was_lost_or_damaged(running_service: RunningService, folder: Path) -> None:
    path = weights_file(folder, seed=3)
    model = send(running_service, path)
    place = kept(running_service, model["id"])
    place.unlink()
    with running_service.client() as client:
        assert client.get(f"/admin/models/{model['id']}").json()["available"] is False
    assert send(running_service, path, 200) == model
    place.write_bytes(b"damaged")
    before = everything(running_service)
    assert send(running_service, path, 200) == model
    assert place.read_bytes() == path.read_bytes()
    assert everything(running_service) == before


def test_weights_larger_than_a_piece_arrive_byte_for_byte(running_service: RunningService, folder: Path) -> None:
    large = folder / "large.safetensors"
    save_model(new_model(ModelConfig.preset("tiny"), seed=7), large, {})
    model = send(running_service, large)
    stored = kept(running_service, model["id"]).read_bytes()
    assert len(stored) > 4_000_000
    assert hashlib.sha256(stored).digest() == hashlib.sha256(large.read_bytes()).digest()


def test_the_list_is_newest_first(running_service: RunningService, folder: Path) -> None:
    added = [send(running_service, weights_file(folder, seed))["id"] for seed in (11, 12, 13)]
    items = listed(running_service)
    assert [item["id"] for item in items[:3]] == added[::-1]
    (default,) = [item for item in items if item["default"]]
    assert default["galleries"] == ["default"]


@pytest.fixture
def after_other_weights(postgres: EmbeddedPostgres, folder: Path) -> Iterator[tuple[RunningService, str]]:
    """A service on the demo weights, and the model that gallery `default` was made under before."""
    earlier = weights_file(folder, seed=20)
    with reachable_folder() as data, empty_database(postgres) as url:
        with run_service(make_settings(data / "data", url, weights=earlier)):
            pass
        with run_service(make_settings(data / "data", url)) as running:
            yield running, describe_weights(earlier).model_id


def test_a_model_is_removed_when_nothing_needs_it_and_not_before(
    after_other_weights: tuple[RunningService, str],
) -> None:
    running, earlier = after_other_weights
    stored = upload(running, 1)
    default = describe_weights(DEMO_WEIGHTS).model_id

    def refused(model_id: str) -> dict[str, Any]:
        before = everything(running)
        with running.client() as client:
            body = problem(client.delete(f"/admin/models/{model_id}"), 409)
        assert body["code"] == "model_in_use"
        assert everything(running) == before
        return body

    assert "New galleries" in refused(default)["detail"]
    assert "purge" in refused(earlier)["detail"]
    (item,) = [item for item in listed(running) if item["id"] == earlier]
    assert (item["generations"], item["galleries"]) == (1, ["default"])
    assert search(running, stored["id"])["model_id"] == earlier

    with running.database() as connection:  # as a gallery that was moved and purged leaves it
        connection.execute("UPDATE generations SET model_id = %s", [default])
    refused(earlier)
    with running.database() as connection:
        connection.execute("DELETE FROM descriptors")
    with running.client() as client:
        assert client.delete(f"/admin/models/{earlier}").status_code == 204
        assert client.get(f"/admin/models/{earlier}").status_code == 404
        assert client.delete(f"/admin/models/{earlier}").status_code == 404
    assert not kept(running, earlier).exists()
    assert [item["id"] for item in listed(running)] == [default]


def test_a_removed_model_can_be_added_again(running_service: RunningService, folder: Path) -> None:
    path = weights_file(folder, seed=21)
    model = send(running_service, path)
    with running_service.client() as client:
        assert client.delete(f"/admin/models/{model['id']}").status_code == 204
    assert not kept(running_service, model["id"]).exists()
    assert send(running_service, path)["id"] == model["id"]


def test_a_restart_keeps_models_and_clears_what_a_killed_process_left(postgres: EmbeddedPostgres, folder: Path) -> None:
    with reachable_folder() as data, empty_database(postgres) as url:
        settings = make_settings(data / "data", url)
        with run_service(settings) as running:
            added = send(running, weights_file(folder, seed=30))
            before = listed(running)
        incoming = data / "data" / "models" / ".incoming"
        for name, age in (("old", 4000), ("young", 10)):
            (incoming / name).write_bytes(b"half")
            then = (incoming / name).stat().st_mtime - age
            os.utime(incoming / name, (then, then))
        with run_service(settings) as running:
            assert listed(running) == before
            assert [path.name for path in incoming.iterdir()] == ["young"]
            assert kept(running, added["id"]).is_file()


def test_two_services_take_the_same_weights_at_once(postgres: EmbeddedPostgres, folder: Path) -> None:
    path = folder / "shared.safetensors"
    save_model(new_model(ModelConfig.preset("tiny"), seed=31), path, {})
    with reachable_folder() as data, empty_database(postgres) as url:
        settings = make_settings(data / "data", url)
        with run_service(settings) as one, run_service(settings) as other:
            answers: list[tuple[int, str]] = []
            together = threading.Barrier(4)

            def add(running: RunningService) -> None:
                with running.client() as client:
                    together.wait()
                    answer = client.post("/admin/models", content=path.read_bytes(), headers=BYTES)
                answers.append((answer.status_code, answer.json()["id"]))

            threads = [threading.Thread(target=add, args=(running,)) for running in (one, other, one, other)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
            (model_id,) = {found for _, found in answers}
            assert kept(one, model_id).read_bytes() == path.read_bytes()
            assert listed(one)[0]["id"] == listed(other)[0]["id"] == model_id
            assert list((data / "data" / "models" / ".incoming").iterdir()) == []


@pytest.mark.anyio
async def test_services_that_start_at_once_keep_one_whole_copy_of_the_default(
    database_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(upgrade, database_url)
    network, provenance = open_model(DEMO_WEIGHTS)
    databases = [Database(database_url) for _ in range(4)]
    files = [ModelFiles(tmp_path / "models") for _ in databases]
    records = await asyncio.gather(
        *(
            register_default(database, folder, network, provenance, DEMO_WEIGHTS)
            for database, folder in zip(databases, files, strict=True)
        )
    )
    for database in databases:
        await database.close()
    assert {record.id for record in records} == {describe_weights(DEMO_WEIGHTS).model_id}
    assert [path.name for path in (tmp_path / "models").glob("*.safetensors")] == [f"{records[0].id}.safetensors"]
    assert files[0].path(records[0].id).read_bytes() == DEMO_WEIGHTS.read_bytes()
    assert list((tmp_path / "models" / ".incoming").iterdir()) == []


def test_both_clients_hear_of_too_large_weights_although_not_all_was_sent(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with reachable_folder() as data, empty_database(postgres) as url:
        settings = make_settings(data / "data", url, max_model_bytes=10_000_000)
        with (tmp_path / "huge.safetensors").open("w+b") as huge, run_service(settings) as running:
            huge.truncate(20_000_000)
            for kind in (TfclipClient, OnALoop):
                huge.seek(0)
                with kind(running.url, ADMIN_KEY) as client, pytest.raises(ApiProblem) as refused:
                    client.add_model(huge)
                assert refused.value.code == "body_too_large"
