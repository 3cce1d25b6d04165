"""The client commands, against a running service."""

import json
import re
import socket
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from model.cli import build_app
from model.data.scene import write_scene
from tests.commands import answer, tfclip
from tests.service.jobs.weights import make_weights
from tests.support import RunningService

pytestmark = pytest.mark.usefixtures("silent_service")

ID = "00000000-0000-0000-0000-000000000001"


def no_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scene")
    write_scene(root, people=3, cameras=2, frames=2)
    return root


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of noise with three tracks: one good, one short, one outside the picture."""
    path = tmp_path_factory.mktemp("video") / "yard.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 96, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    lines = [f"{number},4,{10 + number},-5,20,50,1,-1,-1,-1" for number in range(1, 13)]
    lines += [f"{number},5,40,10,20,50,1,-1,-1,-1" for number in range(1, 4)]
    lines += [f"{number},6,200,10,20,50,1,-1,-1,-1" for number in range(1, 21)]
    path.with_suffix(".txt").write_text("\n".join(lines))
    return path


def test_a_folder_is_stored_with_identity_camera_and_its_path(running_service: RunningService, scene: Path) -> None:
    summary = answer(running_service, "ingest", "folder", scene, "--gallery", "folder")
    assert (summary["stored"], summary["already_there"], summary["failed"]) == (6, 0, {})
    items = answer(running_service, "tracklets", "list", "--gallery", "folder")["items"]
    stored = {(t["external_id"], t["identity"], t["camera_id"], t["frame_count"]) for t in items}
    assert stored == {
        (f"person-{p:03d}/camera-{c}/001", f"person-{p:03d}", f"camera-{c}", 2) for p in (1, 2, 3) for c in (1, 2)
    }


def test_a_folder_stored_again_is_already_there(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "twice")
    summary = answer(running_service, "ingest", "folder", scene, "--gallery", "twice", "--workers", 1)
    assert (summary["stored"], summary["already_there"]) == (0, 6)
    assert len(answer(running_service, "tracklets", "list", "--gallery", "twice")["items"]) == 6


def test_one_bad_tracklet_does_not_stop_the_others(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path, people=2, cameras=1, frames=2)
    bad = tmp_path / "zoe" / "c1" / "t"
    bad.mkdir(parents=True)
    (bad / "1.jpg").write_bytes(b"no image")
    (tmp_path / "a" / "b" / "empty").mkdir(parents=True)
    (tmp_path / "list.txt").touch()
    result = tfclip(running_service, "ingest", "folder", tmp_path, "--gallery", "partly", "--json")
    assert result.exit_code == 1
    assert "1 could not be stored" in result.stderr
    summary = json.loads(result.stdout)
    assert summary["stored"] == 2
    assert summary["failed"] == {"invalid_frame": 1}
    assert [failure["external_id"] for failure in summary["failures"]] == ["zoe/c1/t"]
    assert summary["skipped"] == {"no frame in the folder": 1}
    assert "list.txt" in summary["notes"][0]


def test_the_summary_table_names_counts_and_reasons(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path, people=1, cameras=1, frames=1)
    (tmp_path / "a" / "b" / "empty").mkdir(parents=True)
    result = tfclip(running_service, "ingest", "folder", tmp_path, "--gallery", "table")
    assert result.exit_code == 0
    assert re.search(r"stored\s+│\s+│ 1 ", result.stdout)
    assert re.search(r"skipped\s+│ no frame in the folder\s+│ 1 ", result.stdout)


def test_frames_beyond_what_one_upload_may_hold_are_spread_and_said(
    running_service: RunningService, tmp_path: Path
) -> None:
    (frame,) = write_scene(tmp_path, people=1, cameras=1, frames=1)[0].frames
    for number in range(2, 301):
        frame.with_name(f"{number:04d}.jpg").write_bytes(frame.read_bytes())
    assert answer(running_service, "ingest", "folder", tmp_path, "--gallery", "long")["thinned"] == 1
    (stored,) = answer(running_service, "tracklets", "list", "--gallery", "long")["items"]
    assert stored["frame_count"] == 256


def test_a_video_is_stored_with_its_times_and_says_what_it_left_out(
    running_service: RunningService, video: Path
) -> None:
    options = ("--tracks", video.with_suffix(".txt"), "--camera", "yard", "--gallery", "video")
    start = "2025-03-01T09:00:00+01:00"
    summary = answer(running_service, "ingest", "video", video, *options, "--start", start)
    assert (summary["stored"], summary["skipped"]) == (1, {"track shorter than 8 frames": 2})
    assert summary["notes"] == ["boxes outside the picture, dropped: 20"]
    (stored,) = answer(running_service, "tracklets", "list", "--gallery", "video")["items"]
    assert (stored["external_id"], stored["camera_id"]) == ("yard/yard.mp4/4", "yard")
    assert (stored["frame_count"], stored["identity"]) == (12, None)
    assert (stored["started_at"], stored["ended_at"]) == ("2025-03-01T08:00:00Z", "2025-03-01T08:00:01.100000Z")
    again = answer(running_service, "ingest", "video", video, *options, "--start", start)
    assert (again["stored"], again["already_there"]) == (0, 1)


def test_a_search_ranks_the_others_and_keeps_to_its_filters(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "search")
    query = answer(running_service, "tracklets", "list", "--gallery", "search")["items"][0]
    found = answer(running_service, "search", query["id"], "--gallery", "search", "-k", 3)["results"]
    assert [match["rank"] for match in found] == [1, 2, 3]
    assert query["id"] not in {match["tracklet_id"] for match in found}
    other = answer(running_service, "search", query["id"], "--gallery", "search", "--exclude-query-camera")["results"]
    assert {match["camera_id"] for match in other} == {"camera-1", "camera-2"} - {query["camera_id"]}
    only = answer(running_service, "search", query["id"], "--gallery", "search", "--camera", "camera-1")["results"]
    assert {match["camera_id"] for match in only} == {"camera-1"}
    timed = ("--started-after", "2025-01-01")
    assert answer(running_service, "search", query["id"], "--gallery", "search", *timed)["results"] == []


def test_a_search_takes_several_tracklets_goes_on_re_ranks_and_writes_files(
    running_service: RunningService, scene: Path, tmp_path: Path
) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "more")
    ids = [item["id"] for item in answer(running_service, "tracklets", "list", "--gallery", "more")["items"]]
    gallery = ("--gallery", "more")
    found = answer(running_service, "search", *ids[:2], "--negative", ids[2], "--combine", "max", *gallery)["results"]
    assert {match["tracklet_id"] for match in found} == set(ids[3:])
    first = answer(running_service, "search", ids[0], "-k", 2, *gallery)
    rest = answer(running_service, "search", ids[0], "--cursor", first["next_cursor"], *gallery)["results"]
    assert [match["rank"] for match in first["results"] + rest] == [1, 2, 3, 4, 5]
    shown = tfclip(running_service, "search", ids[0], "-k", 2, *gallery).stdout
    assert f"more with --cursor {first['next_cursor']}" in shown
    ranked = answer(running_service, "search", ids[0], "--rerank", "--expand", 1, "--by-identity", *gallery)
    assert (ranked["rerank"]["method"], ranked["rerank"]["expand"]) == ("k_reciprocal", 1)
    assert len({match["identity"] for match in ranked["results"]}) == len(ranked["results"]) == 3
    assert "re-ranked 5 rows" in tfclip(running_service, "search", ids[0], "--rerank", *gallery).stdout
    for name, start in (("a.csv", b"rank,tracklet_id"), ("a.json", b'{"query_id"'), ("a.PNG", b"\x89PNG")):
        written = answer(running_service, "search", ids[0], *gallery, "--export", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
        assert (tmp_path / name).stat().st_size == written["bytes"]
    seen = scene / "person-001/camera-1/001"
    for query, asked in (
        ((seen,), ("--query-camera", "camera-1", "--exclude-query-camera", "--query-started-at", "2026-01-01")),
        ((*ids[:2],), ("--negative", ids[2])),
    ):
        ranked = answer(running_service, "search", *query, *asked, *gallery, "-k", 3)["results"]
        answer(running_service, "search", *query, *asked, *gallery, "-k", 3, "--export", tmp_path / "b.json")
        assert json.loads((tmp_path / "b.json").read_text())["results"] == ranked
        assert [match["rank"] for match in ranked] == [1, 2, 3]
    assert {match["camera_id"] for match in answer(running_service, "search", seen, *gallery)["results"]} == {
        "camera-1",
        "camera-2",
    }
    result = tfclip(running_service, "search", ids[0], *gallery, "--export", tmp_path / "none" / "a.csv")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_two_tracklets_are_compared_by_ids_or_folders(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "verify")
    stored = {
        t["external_id"]: t["id"] for t in answer(running_service, "tracklets", "list", "--gallery", "verify")["items"]
    }
    one, other = (f"person-{person:03d}/camera-1/001" for person in (1, 2))
    gallery = ("--gallery", "verify")
    by_ids = answer(running_service, "verify", stored[one], stored[other], *gallery)["score"]
    for sides in ((stored[one], scene / other), (scene / one, stored[other]), (scene / one, scene / other)):
        assert answer(running_service, "verify", *sides, *gallery)["score"] == pytest.approx(by_ids, abs=1e-5)
    assert (
        f"score {by_ids:.4f}, model " in tfclip(running_service, "verify", stored[one], stored[other], *gallery).stdout
    )
    for bad in ("nowhere", scene.parent / "empty"):
        (scene.parent / "empty").mkdir(exist_ok=True)
        result = tfclip(running_service, "verify", stored[one], bad, *gallery)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_a_search_prints_a_table_whose_ids_are_whole_and_says_what_answered(
    running_service: RunningService, scene: Path
) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "whole")
    ids = [item["id"] for item in answer(running_service, "tracklets", "list", "--gallery", "whole")["items"]]
    result = tfclip(running_service, "search", ids[0], "--gallery", "whole")
    assert result.exit_code == 0
    assert all(tracklet in result.stdout for tracklet in ids[1:])
    assert "model tfclip-demo " in result.stdout
    assert result.stderr == ("answered by demo weights, trained on drawn people only and not for use on people\n")


def test_a_tracklet_is_shown_deleted_and_gone(running_service: RunningService, scene: Path) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "delete")
    first = answer(running_service, "tracklets", "list", "--gallery", "delete", "--limit", 1)["items"][0]
    assert answer(running_service, "tracklets", "show", first["id"])["external_id"] == first["external_id"]
    assert answer(running_service, "tracklets", "delete", first["id"]) == {"deleted": first["id"]}
    gone = tfclip(running_service, "tracklets", "show", first["id"])
    assert (gone.exit_code, gone.stdout) == (2, "")
    assert "Not found" in gone.stderr
    assert len(answer(running_service, "tracklets", "list", "--gallery", "delete")["items"]) == 5


def test_two_tracklets_are_compared_frame_by_frame_and_drawn_on_a_sheet(
    running_service: RunningService, scene: Path, tmp_path: Path
) -> None:
    answer(running_service, "ingest", "folder", scene, "--gallery", "evidence")
    ids = [item["id"] for item in answer(running_service, "tracklets", "list", "--gallery", "evidence")["items"]][:2]
    found = answer(running_service, "evidence", *ids, "--out", tmp_path / "sheet.png")
    assert (found["frames"], found["other_frames"]) == ([0, 1], [0, 1])
    pair = found["best_pair"]
    shown = tfclip(running_service, "evidence", *ids).stdout
    assert f"most alike: frame {pair['position']} and frame {pair['other_position']}, {pair['similarity']:.4f}" in shown
    assert all(f"{one:.2f}" in shown for row in found["similarities"] for one in row)
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    # The cell of the best pair has a red frame, and no other one has.
    corners = [[tuple(pixels[8 + row * 113, 8 + column * 57]) for column in (1, 2)] for row in (1, 2)]
    red = [(row, column) for row in (0, 1) for column in (0, 1) if corners[row][column] == (220, 40, 0)]
    assert red == [(pair["position"], pair["other_position"])]
    nowhere = tfclip(running_service, "evidence", *ids, "--out", tmp_path / "none" / "sheet.png")
    assert (nowhere.exit_code, nowhere.stdout) == (2, "")
    assert "cannot be written" in nowhere.stderr
    assert "404 not_found" in tfclip(running_service, "evidence", ids[0], f"{0:032x}").stderr


def test_a_tracklet_of_two_people_is_told_from_one_of_one(running_service: RunningService, tmp_path: Path) -> None:
    first, second = write_scene(tmp_path, people=2, cameras=1, frames=6, height=64)
    answer(running_service, "ingest", "folder", tmp_path, "--gallery", "pure")
    for frame in second.frames[:5]:
        frame.rename(first.frames[0].with_name(f"9{frame.name}"))
    answer(running_service, "ingest", "folder", tmp_path, "--gallery", "spliced")
    listed = {
        gallery: {
            t["external_id"]: t for t in answer(running_service, "tracklets", "list", "--gallery", gallery)["items"]
        }
        for gallery in ("pure", "spliced")
    }
    pure, spliced, short = listed["pure"][first.path], listed["spliced"][first.path], listed["spliced"][second.path]
    assert "no sign of an identity switch" in tfclip(running_service, "purity", pure["id"]).stdout
    assert re.search(
        r"possible identity switch.*up to 5 .* from 6 on", tfclip(running_service, "purity", spliced["id"]).stdout
    )
    assert answer(running_service, "purity", spliced["id"])["split"]["after_position"] == 5
    assert tfclip(running_service, "purity", short["id"]).stdout == "too few frames to say: 1\n"
    table = tfclip(running_service, "tracklets", "list", "--gallery", "spliced").stdout
    assert re.search(rf"{spliced['id']}.*│ possible ", table)
    assert re.search(rf"{short['id']}.*│ - ", table)


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
    "command", [("search", "x"), ("reindex",), ("keys", "list"), ("tracklets", "list"), ("ingest", "folder", "SCENE")]
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


def test_a_video_that_is_none_is_told_in_one_line(running_service: RunningService, video: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    result = tfclip(running_service, "ingest", "video", text, "--tracks", video.with_suffix(".txt"), "--camera", "c")
    assert result.exit_code == 2
    assert "cannot be opened as a video" in result.stderr.splitlines()[-1]
