"""`tfclip ingest`, against a running service: folders, videos, and the summary of what was stored."""

import json
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from model.data.scene import write_scene
from tests.commands import answer, tfclip
from tests.support import RunningService

pytestmark = pytest.mark.usefixtures("silent_service")


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


def test_a_video_that_is_none_is_told_in_one_line(running_service: RunningService, video: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    result = tfclip(running_service, "ingest", "video", text, "--tracks", video.with_suffix(".txt"), "--camera", "c")
    assert result.exit_code == 2
    assert "cannot be opened as a video" in result.stderr.splitlines()[-1]
