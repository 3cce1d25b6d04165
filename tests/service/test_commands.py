"""Commands that look after tracklets, models, indexes and keys, against a running service; failures are one line."""

import re
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.cli import build_app
from tests.commands import answer, tfclip
from tests.service.jobs.weights import make_weights
from tests.support import RunningService

pytestmark = pytest.mark.usefixtures("silent_service")

ID = "00000000-0000-0000-0000-000000000001"


def no_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_tracklet_is_shown_deleted_and_gone(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "delete")
    first = answer(running_service, "tracklets", "list", "--gallery", "delete", "--limit", 1)["items"][0]
    assert answer(running_service, "tracklets", "show", first["id"])["external_id"] == first["external_id"]
    assert answer(running_service, "tracklets", "delete", first["id"]) == {"deleted": first["id"]}
    gone = tfclip(running_service, "tracklets", "show", first["id"])
    assert (gone.exit_code, gone.stdout) == (2, "")
    assert "Not found" in gone.stderr
    assert len(answer(running_service, "tracklets", "list", "--gallery", "delete")["items"]) == 5


def test_a_model_is_added_a_gallery_moved_to_it_and_back_and_the_rest_removed(
    running_service: RunningService, scene: Path, tmp_path: Path
) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "moved")
    make_weights(tmp_path / "another.safetensors", 5)
    model = answer(running_service, "models", "add", tmp_path / "another.safetensors")
    assert model["name"] == "seed-5"
    assert model in answer(running_service, "models", "list")["items"]
    assert model == answer(running_service, "models", "show", model["id"])
    job = answer(running_service, "reindex", "--gallery", "moved", "--model", model["id"])
    assert (job["status"], job["result"]["model_id"]) == ("succeeded", model["id"])
    newest, oldest = answer(running_service, "generations", "list", "--gallery", "moved")["items"]
    assert (newest["serving"], newest["model_name"], oldest["serving"]) == (True, "seed-5", False)
    assert answer(running_service, "generations", "activate", oldest["id"])["status"] == "succeeded"
    assert answer(running_service, "generations", "purge", newest["id"])["status"] == "succeeded"
    assert [item["kind"] for item in answer(running_service, "jobs", "list", "--gallery", "moved")["items"]] == [
        "purge",
        "activate",
        "reindex",
    ]
    assert answer(running_service, "models", "remove", model["id"]) == {"removed": model["id"]}


def test_a_gallery_is_compared_and_repaired(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "compared")
    assert answer(running_service, "integrity", "--gallery", "compared", "--full")["ok"] is True
    with running_service.database() as connection:
        connection.execute(
            "DELETE FROM descriptors USING tracklets, galleries WHERE tracklet_id = tracklets.id"
            " AND gallery_id = galleries.id AND galleries.name = 'compared'"
        )
    report = answer(running_service, "integrity", "--gallery", "compared", code=1)
    assert [finding["kind"] for finding in report["findings"]] == ["undescribed"]
    result = answer(running_service, "repair", "--gallery", "compared")["result"]
    assert [finding["kind"] for finding in result["mended"]] == ["undescribed"]
    assert answer(running_service, "integrity", "--gallery", "compared")["ok"] is True


def test_a_model_that_is_placed_refused_or_needed_is_told(running_service: RunningService, tmp_path: Path) -> None:
    placed = running_service.data_directory / "models" / "placed.safetensors"
    make_weights(placed, 6)
    assert answer(running_service, "models", "add", "--path", "placed.safetensors")["name"] == "seed-6"
    (tmp_path / "text.safetensors").write_text("no weights")
    for arguments, said in {
        ("add", tmp_path / "text.safetensors"): "422 invalid_weights",
        ("add", tmp_path / "none.safetensors"): "there is no file",
        ("add", "--path", "none.safetensors"): "404 not_found",
        ("add",): "either FILE or --path",
        ("show", "0" * 64): "404 not_found",
        ("remove", running_service.service.model.id): "409 model_in_use",
    }.items():
        result = tfclip(running_service, "models", *arguments)
        assert (result.exit_code, result.stdout) == (2, ""), arguments
        assert said in " ".join(result.stderr.split()), arguments
    placed.with_name(f"{answer(running_service, 'models', 'list')['items'][0]['id']}.safetensors").unlink()
    assert "weights missing" in tfclip(running_service, "models", "list").stdout


def test_a_reindex_is_followed_to_its_end(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "reindexed")
    job = answer(running_service, "reindex", "--gallery", "reindexed")
    assert (job["status"], job["done"], job["total"]) == ("succeeded", 6, 6)
    jobs = tfclip(running_service, "jobs", "list", "--gallery", "reindexed").stdout
    assert re.search(rf"{job['id']} │ {job['kind']} │ reindexed │ succeeded │ 6/6\s+│ \d", jobs), jobs
    generations = tfclip(running_service, "generations", "list", "--gallery", "reindexed").stdout
    assert re.search(r"│ reindexed │ 2\s+│ serving", generations), generations
    assert answer(running_service, "reindex", "--gallery", "reindexed", "--no-wait")["kind"] == job["kind"]


def test_a_key_that_may_only_read_cannot_store(running_service: RunningService, scene: Path) -> None:
    key = answer(running_service, "keys", "create", "reader", "--scope", "read")
    listed = tfclip(running_service, "tracklets", "list", "--json", key=key["secret"])
    assert listed.exit_code == 0
    refused = tfclip(running_service, "ingest", "folder", scene, key=key["secret"])
    assert refused.exit_code == 2
    assert "403 forbidden" in refused.stderr
    keys = {item["id"]: item for item in answer(running_service, "keys", "list")["items"]}
    assert keys[key["id"]]["name"] == "reader"
    assert "secret" not in keys[key["id"]]
    answer(running_service, "keys", "revoke", key["id"])
    revoked = tfclip(running_service, "tracklets", "list", key=key["secret"])
    assert (revoked.exit_code, revoked.stdout) == (2, "")
    assert "the key is wrong or revoked" in revoked.stderr


def test_limits_of_a_key_are_set_changed_and_shown(running_service: RunningService) -> None:
    made = answer(running_service, "keys", "create", "narrow", "--scope", "write", "--requests-per-minute", "60")
    assert (made["requests_per_minute"], made["max_tracklets"]) == (60, None)
    changed = answer(running_service, "keys", "change", made["id"], "--max-tracklets", "5")
    assert (changed["requests_per_minute"], changed["max_tracklets"]) == (60, 5)
    changed = answer(running_service, "keys", "change", made["id"], "--max-tracklets", "7", "--defaults")
    assert (changed["requests_per_minute"], changed["max_tracklets"]) == (None, 7)
    listed = tfclip(running_service, "keys", "list")
    assert "0 of 7" in listed.stdout
    said = tfclip(running_service, "keys", "change", made["id"], "--max-tracklets", "8")
    assert said.stdout == f"changed {made['id']}: requests_per_minute default, max_tracklets 8\n"
    nothing = tfclip(running_service, "keys", "change", made["id"])
    assert (nothing.exit_code, nothing.stderr.count("\n")) == (2, 1)
    assert "nothing to change" in nothing.stderr


def test_a_wrong_key_ends_an_ingest_with_one_line(running_service: RunningService, scene: Path) -> None:
    result = tfclip(running_service, "ingest", "folder", scene, key="wrong")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {running_service.url}: the key is wrong")


@pytest.mark.parametrize(
    "command", [("search", ID), ("reindex",), ("keys", "list"), ("tracklets", "list"), ("ingest", "folder", "SCENE")]
)
def test_a_service_that_is_not_there_is_one_line(command: tuple[str, ...], scene: Path) -> None:
    url = no_address()
    arguments = [str(scene) if part == "SCENE" else part for part in command]
    result = CliRunner().invoke(build_app(), [*arguments, "--url", url])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(f"error: the service at {url} does not answer")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("ingest", "folder", "NOWHERE"), "does not exist"),
        (("ingest", "video", "NOWHERE", "--tracks", "NOWHERE", "--camera", "c"), "cannot be read"),
        (("search", "x", "--started-after", "noon"), "no ISO 8601 time"),
        (("search", "x", "--export", "ranking.pdf"), "ends in .csv, .json or .png"),
        (("search", "NOWHERE", "--export", "ranking.csv"), "neither an id nor a folder"),
        (("search", "tests/docs", ID), "a folder of frames stands alone"),
        (("search", "tests/docs", "--negative", ID), "a folder of frames stands alone"),
        (("search", ID, "--query-camera", "c1"), "'--query-camera': only with a folder of frames"),
        (("search", ID, "--query-ended-at", "2026-01-01"), "'--query-ended-at': only with a folder of frames"),
        (("search", "x", "--query-ended-at", "noon"), "no ISO 8601 time"),
        (("ingest", "video", "v", "--tracks", "t", "--camera", "c", "--start", "noon"), "no ISO 8601 time"),
    ],
)
def test_bad_usage_is_told_before_anything_is_sent(arguments: tuple[str, ...], fault: str, tmp_path: Path) -> None:
    given = [str(tmp_path / "none") if argument == "NOWHERE" else argument for argument in arguments]
    result = CliRunner().invoke(build_app(), given)
    assert result.exit_code == 2
    assert fault in result.stderr
