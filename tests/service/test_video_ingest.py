"""A video and its tracks become tracklets."""

import io
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from service.ingest.tracks import Box, Track, TracksError, read_tracks
from service.ingest.video import CutOptions, CutReport, VideoError, VideoTracklet, cut_tracklets

WIDTH, HEIGHT, FRAMES, RATE = 96, 64, 30, 10


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames; the left half of frame n (from 1) has the grey value 8 n, the right half 255 - 8 n."""
    path = tmp_path_factory.mktemp("video") / "grey.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "bgr0"
        for number in range(1, FRAMES + 1):
            pixels = np.full((HEIGHT, WIDTH, 3), 8 * number, np.uint8)
            pixels[:, WIDTH // 2 :] = 255 - 8 * number
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number - 1, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


SOMEWHERE = Box(8, 8, 16, 32)


def steady(first: int, last: int, box: Box = SOMEWHERE) -> Track:
    return dict.fromkeys(range(first, last + 1), box)


def cut(video: Path, tracks: dict[int, Track], **options: object) -> tuple[dict[int, VideoTracklet], CutReport]:
    report = CutReport()
    chosen = CutOptions(**{"minimum_frames": 1, **options})  # type: ignore[arg-type]
    return {t.track_id: t for t in cut_tracklets(video, tracks, chosen, report)}, report


def brightness(jpeg: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), dtype=float).mean())


def test_each_box_is_cut_from_its_own_frame(video: Path) -> None:
    tracklets, _ = cut(video, {7: steady(5, 9)})
    frames = tracklets[7].frames
    assert [round(brightness(frame) / 8) for frame in frames] == [5, 6, 7, 8, 9]
    assert all(Image.open(io.BytesIO(frame)).size == (16, 32) for frame in frames)
    assert all(Image.open(io.BytesIO(frame)).format == "JPEG" for frame in frames)


def test_the_place_of_a_box_counts_from_the_upper_left_corner(video: Path) -> None:
    tracklets, _ = cut(video, {1: steady(3, 3, Box(4, 0, 20, 20)), 2: steady(3, 3, Box(60, 0, 20, 20))})
    assert brightness(tracklets[1].frames[0]) == pytest.approx(24, abs=2)
    assert brightness(tracklets[2].frames[0]) == pytest.approx(231, abs=2)


def test_boxes_are_clipped_to_the_picture(video: Path) -> None:
    tracklets, report = cut(video, {1: steady(1, 1, Box(-10, -5, 30, 300)), 2: steady(1, 1, Box(90, 60, 50, 50))})
    assert Image.open(io.BytesIO(tracklets[1].frames[0])).size == (20, HEIGHT)
    assert Image.open(io.BytesIO(tracklets[2].frames[0])).size == (6, 4)
    assert report.boxes_without_area == 0


def test_boxes_with_no_area_inside_the_picture_are_dropped_and_counted(video: Path) -> None:
    outside = [Box(-20, 0, 20, 20), Box(WIDTH, 0, 9, 9), Box(5, 5, 0, 10), Box(5, 5, 10, -3), Box(5, 70, 10, 10)]
    track = steady(10, 12) | dict(enumerate(outside, start=1))
    tracklets, report = cut(video, {1: track})
    assert len(tracklets[1].frames) == 3
    assert report.boxes_without_area == 5


def test_tracks_shorter_than_the_minimum_are_skipped_and_counted(video: Path) -> None:
    tracklets, report = cut(video, {1: steady(1, 4), 2: steady(1, 5), 3: {1: Box(-9, 0, 3, 3)}}, minimum_frames=5)
    assert set(tracklets) == {2}
    assert report.tracks_too_short == 2


def test_tracks_that_end_after_the_video_keep_what_there_is(video: Path) -> None:
    tracklets, report = cut(video, {1: steady(25, 40), 2: steady(29, 36)}, minimum_frames=3)
    assert len(tracklets[1].frames) == 6
    assert set(tracklets) == {1}
    assert report.tracks_too_short == 1
    assert report.frames_beyond_end == 10
    assert report.video_frames == FRAMES


def test_skipped_tracks_are_not_taken_for_frames_beyond_the_end(video: Path) -> None:
    _, report = cut(video, {1: steady(1, 10), 2: steady(20, 22)}, minimum_frames=5)
    assert report.frames_beyond_end == 0


def test_a_long_track_is_spread_evenly_over_its_whole_length(video: Path) -> None:
    tracklets, report = cut(video, {1: steady(1, 30), 2: steady(1, 4)}, maximum_frames=4)
    numbers = [round(brightness(frame) / 8) for frame in tracklets[1].frames]
    assert len(numbers) == 4
    assert (numbers[0], numbers[-1]) == (1, 30)
    assert max(np.diff(numbers)) - min(np.diff(numbers)) <= 1
    assert report.tracks_thinned == 1


def test_a_tracklet_is_handed_out_when_its_last_box_has_passed(video: Path) -> None:
    report = CutReport()
    tracklets = cut_tracklets(video, {1: steady(1, 30), 2: steady(2, 6)}, CutOptions(minimum_frames=1), report)
    assert next(tracklets).track_id == 2
    assert report.video_frames == 6
    assert next(tracklets).track_id == 1


def test_times_come_from_the_video(video: Path) -> None:
    start = datetime(2025, 3, 1, 8, tzinfo=UTC)
    tracklets, _ = cut(video, {1: steady(1, 30), 2: steady(11, 16)}, start=start)
    assert (tracklets[1].started_at, tracklets[1].ended_at) == (start, start + timedelta(seconds=2.9))
    assert (tracklets[2].started_at, tracklets[2].ended_at) == (
        start + timedelta(seconds=1),
        start + timedelta(seconds=1.5),
    )


def test_a_given_frame_rate_replaces_the_times_of_the_video(video: Path) -> None:
    start = datetime(2025, 3, 1, 8, tzinfo=UTC)
    tracklets, _ = cut(video, {2: steady(11, 16)}, start=start, frames_per_second=5.0)
    assert (tracklets[2].started_at, tracklets[2].ended_at) == (
        start + timedelta(seconds=2),
        start + timedelta(seconds=3),
    )


def test_without_a_start_a_tracklet_has_no_times(video: Path) -> None:
    tracklets, _ = cut(video, {1: steady(1, 3)})
    assert tracklets[1].started_at is None
    assert tracklets[1].ended_at is None


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.avi"
    path.write_text("no video")
    with pytest.raises(VideoError, match=r"text\.avi cannot be opened as a video"):
        cut(path, {1: steady(1, 2)})


def test_a_missing_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="cannot be opened as a video: No such file"):
        cut(tmp_path / "none.avi", {1: steady(1, 2)})


def test_tracks_are_read_by_id_and_frame(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    path.write_text("1,9,499.20,157.69,31.03,75.17,1,-1,-1,-1\n\n2,9,1,2,3,4\n1,15,258.03,218.65,32.91,88.70,0.5\n")
    assert read_tracks(path) == {
        9: {1: Box(499.2, 157.69, 31.03, 75.17), 2: Box(1, 2, 3, 4)},
        15: {1: Box(258.03, 218.65, 32.91, 88.7)},
    }


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2,1,5,5", "4 columns"),
        ("2,1,5,5,x,9", "could not convert"),
        ("2,1,5,5,nan,9", "not finite"),
        ("2,1,5,inf,5,9", "not finite"),
        ("1.5,1,5,5,5,9", "whole numbers"),
        ("0,1,5,5,5,9", "count from 1"),
        ("2,-1,5,5,5,9", "belongs to no track"),
        ("1,1,5,5,5,9", "second box in frame 1"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "tracks.txt"
    path.write_text(f"1,1,5,5,5,9\n{line}\n")
    with pytest.raises(TracksError, match=rf"tracks\.txt, line 2: .*{fault}"):
        read_tracks(path)


def test_a_file_without_boxes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    path.write_text("\n")
    with pytest.raises(TracksError, match="holds no box"):
        read_tracks(path)


def test_a_tracks_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(TracksError, match="cannot be read as text"):
        read_tracks(path)
