"""Galleries follow the database: other processes' changes, damaged snapshots, and honest refusal when they cannot."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.gallery import snapshot
from service.gallery.index import GalleryIndex
from tests.support import (
    RunningService,
    empty_database,
    make_settings,
    reachable_folder,
    run_service,
    search,
    upload,
    wait_until,
)


def snapshots(running: RunningService) -> list[Path]:
    """Snapshot files on disk."""
    return sorted((running.data_directory / "index").glob("*.snapshot"))


def test_a_change_made_by_another_process_is_followed(postgres, data_folder: Path) -> None:
    with (
        empty_database(postgres) as url,
        run_service(make_settings(data_folder / "data", url)) as one,
        run_service(make_settings(data_folder / "data", url)) as other,
    ):
        ids = [upload(one, seed)["id"] for seed in range(4)]
        wait_until(lambda: other.footprint()["index"] == 4)
        assert search(other, ids[0])["results"] == search(one, ids[0])["results"]
        with other.client() as client:
            client.delete(f"/tracklets/{ids[1]}")
        wait_until(lambda: one.footprint()["index"] == 3)
        job_id = one.client().post("/admin/reindex").json()["id"]
        wait_until(lambda: one.client().get(f"/jobs/{job_id}").json()["status"] == "succeeded")
        wait_until(lambda: search(other, ids[0])["generation"] == 2)
        assert search(other, ids[0])["results"] == search(one, ids[0])["results"]


def test_changes_and_switches_are_heard_of_without_looking(postgres, data_folder: Path) -> None:
    with (
        empty_database(postgres) as url,
        run_service(make_settings(data_folder / "data", url)) as one,
        run_service(make_settings(data_folder / "data", url, poll_seconds=600, max_lag_seconds=1200)) as other,
    ):
        ids = [upload(one, seed)["id"] for seed in range(3)]
        wait_until(lambda: other.footprint()["index"] == 3)
        one.client().delete(f"/tracklets/{ids[1]}")
        wait_until(lambda: other.footprint()["index"] == 2)
        # A query that the other process has stored a moment ago is looked for before it is called unknown.
        newest = upload(one, 9)["id"]
        assert len(search(other, newest)["results"]) == 2
        one.client().post("/admin/reindex")
        wait_until(lambda: search(other, ids[0])["generation"] == 2)
        assert search(other, ids[0])["results"] == search(one, ids[0])["results"]


def test_snapshots_of_generations_that_do_not_exist_are_removed_at_the_start(postgres, data_folder: Path) -> None:
    index = data_folder / "data" / "index"
    index.mkdir(parents=True)
    (index / "77-1.snapshot").write_bytes(b"of a gallery that is gone")
    with empty_database(postgres) as url, run_service(make_settings(data_folder / "data", url)):
        wait_until(lambda: not (index / "77-1.snapshot").exists())


def test_a_folder_in_the_place_of_a_snapshot_costs_no_more_than_the_snapshot(postgres, data_folder: Path) -> None:
    with empty_database(postgres) as url:
        settings = make_settings(data_folder / "data", url)
        with run_service(settings) as running:
            ids = [upload(running, seed)["id"] for seed in range(3)]
            before = search(running, ids[0])["results"]
        (path,) = snapshots(running)
        path.unlink()
        path.mkdir()
        with run_service(settings) as running:
            assert search(running, ids[0])["results"] == before


@pytest.mark.parametrize(("rows", "drafts"), [("float32", "on"), ("float32", "off"), ("float16", "auto")])
def test_searches_at_once_are_answered_as_alone(postgres, data_folder: Path, rows: str, drafts: str) -> None:
    with (
        empty_database(postgres) as url,
        run_service(make_settings(data_folder / "data", url, index_rows=rows, index_drafts=drafts)) as running,
    ):
        ids = [upload(running, seed, camera_id=f"c{seed % 2}")["id"] for seed in range(12)]
        alone = [search(running, identifier)["results"] for identifier in ids]
        with ThreadPoolExecutor(12) as threads:
            for _ in range(3):
                together = list(threads.map(lambda identifier: search(running, identifier)["results"], ids))
                assert together == alone


def test_an_index_that_cannot_follow_refuses_to_answer_and_recovers(postgres, data_folder: Path) -> None:
    with (
        empty_database(postgres) as url,
        run_service(make_settings(data_folder / "data", url, max_lag_seconds=0.5)) as running,
    ):
        first, second = upload(running, 1), upload(running, 2)
        before = search(running, first["id"])["results"]
        with running.database() as blocker, running.client() as client:
            # The index reads this table to learn of changes; nobody can while it is locked.
            blocker.autocommit = False
            blocker.execute("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE")
            with running.database() as writer:
                writer.execute("UPDATE galleries SET change = change + 1")
            wait_until(lambda: client.get("/readyz").status_code == 503)
            answer = client.get("/search", params={"query_id": first["id"]})
            assert (answer.status_code, answer.json()["code"]) == (503, "index_not_ready")
            assert int(answer.headers["retry-after"]) >= 1
            blocker.rollback()
            # There is no change with that number: the index is rebuilt rather than trusted.
            wait_until(lambda: client.get("/readyz").status_code == 200)
        assert search(running, first["id"])["results"] == before
        assert before[0]["tracklet_id"] == second["id"]


@pytest.mark.parametrize(
    "damage",
    [
        "none",
        "flipped",
        "truncated",
        "missing",
        "of another gallery",
        "of another model",
        "of another dimension",
        "of the future",
    ],
)
def test_a_restart_answers_the_same_whatever_became_of_the_snapshot(postgres, damage: str) -> None:
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url)
        with run_service(settings) as running:
            ids = [upload(running, seed)["id"] for seed in range(5)]
            running.client().delete(f"/tracklets/{ids[4]}")
            before = search(running, ids[0])
        (path,) = snapshots(running)
        match damage:
            case "flipped":
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
            case "truncated":
                path.write_bytes(path.read_bytes()[:-10])
            case "missing":
                path.unlink()
            case "of another gallery":
                manifest, index = snapshot.read(path)
                snapshot.write(path, index.freeze(), 999, manifest.generation, manifest.model_id)
            case "of another model":
                manifest, index = snapshot.read(path)
                snapshot.write(path, index.freeze(), manifest.gallery_id, manifest.generation, "0" * 64)
            case "of another dimension":
                manifest, index = snapshot.read(path)
                other = GalleryIndex(manifest.dimension // 2, manifest.applied)
                halves = [vectors[:, : manifest.dimension // 2] for vectors in index.freeze().vectors()]
                other.append(halves, index.ids(), index.freeze().columns)
                snapshot.write(path, other.freeze(), manifest.gallery_id, manifest.generation, manifest.model_id)
            case "of the future":
                manifest, index = snapshot.read(path)
                index.applied += 1
                snapshot.write(path, index.freeze(), manifest.gallery_id, manifest.generation, manifest.model_id)
        with capture_logs() as said, run_service(settings) as running:
            after = search(running, ids[0])
            assert after["results"] == before["results"]
            assert len(after["results"]) == 3
        (loaded,) = [one for one in said if one["event"] == "gallery loaded" and one["gallery"] == "default"]
        assert loaded["source"] == ("snapshot" if damage == "none" else "database")
        loud = [one for one in said if one["log_level"] == "error"]
        assert len(loud) == (0 if damage in ("none", "missing") else 1)
        assert all("rebuilding from the database" in one["event"] for one in loud)
        # Saved again when the service ended.
        assert snapshot.verify(path).applied == 6
        assert snapshot.verify(path).model_id == before["model_id"]


def test_changes_after_the_snapshot_are_replayed(postgres) -> None:
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url)
        with run_service(settings) as running:
            ids = [upload(running, seed)["id"] for seed in range(3)]
        (path,) = snapshots(running)
        old = path.read_bytes()
        with run_service(settings) as running:
            ids += [upload(running, seed)["id"] for seed in range(3, 6)]
            running.client().delete(f"/tracklets/{ids[1]}")
            before = search(running, ids[0])
        path.write_bytes(old)
        with run_service(settings) as running:
            assert search(running, ids[0])["results"] == before["results"]
            assert running.footprint()["index"] == 5


def test_a_gallery_stays_on_its_model_when_the_service_starts_with_other_weights(postgres, tmp_path: Path) -> None:
    from model import ModelConfig, new_model, save_model

    other = save_model(
        new_model(ModelConfig.preset("tiny"), seed=9),
        tmp_path / "other.safetensors",
        {"trained": True, "source": {"seed": 9}},
    )
    with reachable_folder() as folder, empty_database(postgres) as url:
        with run_service(make_settings(folder / "data", url)) as running:
            stored = upload(running, 1)
        with run_service(make_settings(folder / "data", url, weights=tmp_path / "other.safetensors")) as running:
            assert running.client().get("/readyz").json()["model"]["source"] == '{"seed": 9}'
            again = upload(running, 1)
            assert again["model_id"] == stored["model_id"] != other
            answer = search(running, stored["id"])
            assert answer["model_id"] == stored["model_id"]
            assert answer["results"][0]["score"] == pytest.approx(1.0)
            assert upload(running, 1, gallery="new")["model_id"] == other
            job = running.client().post("/admin/reindex", json={"model_id": other}).headers["location"]
            wait_until(lambda: running.client().get(job).json()["status"] == "succeeded")
            assert search(running, stored["id"])["model_id"] == other
