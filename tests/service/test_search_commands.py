"""The commands that ask, against a running service: search, verify, evidence and purity."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.scene import write_scene
from tests.commands import answer, tfclip
from tests.support import RunningService

pytestmark = pytest.mark.usefixtures("silent_service")


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
