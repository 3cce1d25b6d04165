"""Which model answers, and what it is good for: in `/readyz`, in every search answer, and in the log."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from model import ModelConfig, default_weights, new_model, save_model
from model.checkpoint import describe_weights
from model.default_weights import DEMO_WEIGHTS
from service.assembly import start
from service.errors import StartupError
from service.metrics import Metrics
from service.store import models
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.models import ModelRecord
from tests.support import (
    RunningService,
    empty_database,
    frame_files,
    make_settings,
    pictures,
    reachable_folder,
    run_service,
    search,
    upload,
)


def ready_model(running: RunningService) -> dict[str, Any]:
    """What `/readyz` says of the model."""
    with running.client() as client:
        return client.get("/readyz").json()["model"]


def test_the_default_model_is_named_as_a_demo_where_it_answers(running_service: RunningService) -> None:
    demo = {"id": describe_weights(DEMO_WEIGHTS).model_id, "name": "tfclip-demo", "trained": True, "demo": True}
    ready = ready_model(running_service)
    assert {name: ready[name] for name in demo} == demo
    stored = upload(running_service, 1)
    by_tracklet = search(running_service, stored["id"])
    with running_service.client() as client:
        by_frames = client.post("/search", files=frame_files(pictures(1))).json()
    assert by_tracklet["model"] == by_frames["model"] == demo
    assert by_tracklet["model_id"] == by_frames["model_id"] == stored["model_id"] == demo["id"]


def test_a_gallery_made_under_earlier_default_weights_stays_on_them_and_its_answers_name_them(
    postgres, tmp_path: Path
) -> None:
    earlier = tmp_path / "earlier.safetensors"
    untrained = save_model(new_model(ModelConfig.preset("tiny"), seed=0), earlier, {"trained": False})
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url, weights=earlier)
        with structlog.testing.capture_logs() as log, run_service(settings) as running:
            ready = ready_model(running)
            stored = upload(running, 1)
            with running.database() as connection:  # as versions wrote it that gave models no name
                connection.execute("UPDATE models SET provenance = provenance - 'name'")
        assert (ready["name"], ready["trained"], ready["demo"]) == ("earlier", False, False)
        (warning,) = [event for event in log if "untrained" in event["event"]]
        assert (warning["log_level"], warning["model"]) == ("warning", "earlier")
        earlier.unlink()

        with structlog.testing.capture_logs() as log, run_service(make_settings(folder / "data", url)) as running:
            again = upload(running, 1)
            answer = search(running, stored["id"])
            assert again["model_id"] == answer["model_id"] == untrained
            assert answer["model"] == {"id": untrained, "name": "unnamed", "trained": False, "demo": False}
            assert [result["tracklet_id"] for result in answer["results"]] == [again["id"]]
            new = upload(running, 1, gallery="new")
            assert search(running, new["id"], gallery="new")["model"]["name"] == ready_model(running)["name"]
        (stays,) = [event for event in log if event["event"].startswith("gallery stays")]
        assert (stays["gallery"], stays["model_id"], stays["trained"]) == ("default", untrained, False)
        (warning,) = [event for event in log if event["event"].startswith("demo weights")]
        assert (warning["log_level"], warning["model"]) == ("warning", "tfclip-demo")
        (started,) = [event for event in log if event["event"] == "service started"]
        assert (started["model"], started["demo"]) == ("tfclip-demo", True)


@pytest.mark.anyio
async def test_a_service_without_its_demo_weights_does_not_start(
    monkeypatch: pytest.MonkeyPatch, data_folder: Path
) -> None:
    monkeypatch.setattr(default_weights, "DEMO_WEIGHTS", data_folder / "demo.safetensors")
    with pytest.raises(StartupError, match="lacks the demo weights"):
        await start(make_settings(data_folder / "data", "postgresql://nowhere.invalid/x"), Metrics())


@pytest.mark.anyio
async def test_a_model_is_called_what_its_file_was_last_called(database_url: str) -> None:
    await asyncio.to_thread(upgrade, database_url)
    database = Database(database_url)
    for name in ("first", "second"):
        async with database.transaction() as connection:
            await models.register(connection, ModelRecord("m", 2, {}, {}, {"name": name, "trained": True}))
    async with database.reading() as connection:
        assert (await models.get(connection, "m")).name == "second"
    await database.close()
