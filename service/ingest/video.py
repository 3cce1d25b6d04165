"""A video and its tracks (MOTChallenge text) to tracklets of JPEG crops, one at a time and in bounded memory.

A tracklet is handed out as soon as the last of its boxes has passed, so at any moment only the crops of the tracks that
are still running are held, and of those no more than the cap.
"""

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.clips import spread_evenly
from service.ingest.tracks import Box, Track

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 95


class VideoError(ValueError):
    """The video cannot be opened or decoded; the message says which, where, and why."""


@dataclass(frozen=True)
class CutOptions:
    """How tracks become tracklets.

    Attributes:
        minimum_frames: a track with fewer boxes inside the picture is skipped.
        maximum_frames: of a longer track this many boxes are taken, spread evenly.
        frames_per_second: replaces the times that the video itself gives.
        start: when the video's first frame was taken; without it tracklets get no times.
    """

    minimum_frames: int = 8
    maximum_frames: int = 256
    frames_per_second: float | None = None
    start: datetime | None = None


@dataclass
class CutReport:
    """What was left out, and how far the video went; complete once the last tracklet was handed out."""

    boxes_without_area: int = 0
    frames_beyond_end: int = 0
    tracks_too_short: int = 0
    tracks_thinned: int = 0
    video_frames: int = 0


@dataclass(frozen=True)
class VideoTracklet:
    """The crops of one track: JPEG files in their order in time, and when the first and the last were taken."""

    track_id: int
    frames: tuple[bytes, ...]
    started_at: datetime | None
    ended_at: datetime | None


@dataclass
class _OpenTrack:
    """A track while the video runs. `boxes` lie inside the picture; `chosen` are the frames to crop."""

    boxes: dict[int, Box]
    chosen: set[int]
    crops: list[bytes] = field(default_factory=list)
    seen: int = 0
    first_seconds: float = 0.0
    last_seconds: float = 0.0


def cut_tracklets(
    video: Path, tracks: dict[int, Track], options: CutOptions, report: CutReport
) -> Iterator[VideoTracklet]:
    """Yield a tracklet for each track of `video` as soon as its last box has passed; `report` is filled on the way.

    Boxes are clipped to the picture; those with no area left are dropped. Frames are numbered from 1 as they decode.
    Decoding stops after the last frame that a track needs.

    Raises:
        VideoError: the file is no video, a frame does not decode, the picture changes its size, or times are wanted
            and neither the video nor the options give a frame rate.
    """
    import av

    try:
        container = av.open(str(video))
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{video} cannot be opened as a video: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{video} has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        size = (stream.codec_context.width, stream.codec_context.height)
        waiting = _open_tracks(tracks, size, options, report)
        frames = _numbered_frames(container, stream, video)
        yield from _cut(frames, waiting, size, options, report)


def _open_tracks(
    tracks: dict[int, Track], size: tuple[int, int], options: CutOptions, report: CutReport
) -> dict[int, _OpenTrack]:
    """Clip every box and decide, before a frame is decoded, which of them become crops."""
    waiting = {}
    for track_id, track in tracks.items():
        clipped = {number: box.clipped(*size) for number, box in sorted(track.items())}
        inside = {number: box for number, box in clipped.items() if box is not None}
        report.boxes_without_area += len(clipped) - len(inside)
        if len(inside) < options.minimum_frames or not inside:
            report.tracks_too_short += 1
            continue
        numbers = list(inside)
        chosen = {numbers[index] for index in spread_evenly(len(numbers), options.maximum_frames)}
        waiting[track_id] = _OpenTrack(inside, chosen)
    return waiting


def _cut(
    frames: Iterator[tuple[int, Any]],
    waiting: dict[int, _OpenTrack],
    size: tuple[int, int],
    options: CutOptions,
    report: CutReport,
) -> Iterator[VideoTracklet]:
    users: dict[int, list[int]] = defaultdict(list)
    for track_id, track in waiting.items():
        for number in track.boxes:
            users[number].append(track_id)
    first_time: float | None = None
    for number, frame in frames if waiting else ():
        report.video_frames = number
        if (frame.width, frame.height) != size:
            raise VideoError(f"frame {number} is {frame.width}x{frame.height}, the video began as {size[0]}x{size[1]}")
        moment = _seconds(number, frame, options)
        first_time = moment if first_time is None else first_time
        image = None
        for track_id in users.pop(number, ()):
            track = waiting[track_id]
            track.last_seconds = moment - first_time
            track.first_seconds = track.first_seconds if track.seen else track.last_seconds
            track.seen += 1
            if number in track.chosen:
                image = frame.to_image() if image is None else image
                track.crops.append(_jpeg(image, track.boxes[number]))
            if track.seen == len(track.boxes):
                yield from _close(track_id, waiting.pop(track_id), options, report)
        if not waiting:
            return
    report.frames_beyond_end = len(users)
    for track_id in list(waiting):
        yield from _close(track_id, waiting.pop(track_id), options, report)


def _close(track_id: int, track: _OpenTrack, options: CutOptions, report: CutReport) -> Iterator[VideoTracklet]:
    """Hand the track out, unless the video ended before it had frames enough."""
    if track.seen < options.minimum_frames or not track.crops:
        report.tracks_too_short += 1
        return
    report.tracks_thinned += len(track.chosen) < len(track.boxes)
    start = options.start
    yield VideoTracklet(
        track_id=track_id,
        frames=tuple(track.crops),
        started_at=start and start + timedelta(seconds=track.first_seconds),
        ended_at=start and start + timedelta(seconds=track.last_seconds),
    )


def _numbered_frames(container: Any, stream: Any, video: Path) -> Iterator[tuple[int, Any]]:
    import av

    number = 0
    try:
        for number, frame in enumerate(container.decode(stream), start=1):
            yield number, frame
    except av.FFmpegError as error:
        raise VideoError(f"{video} does not decode after frame {number}: {_reason(error)}") from error


def _seconds(number: int, frame: Any, options: CutOptions) -> float:
    if options.frames_per_second is not None:
        return (number - 1) / options.frames_per_second
    if frame.time is not None:
        return float(frame.time)
    if options.start is not None:
        raise VideoError(f"frame {number} carries no time; give the video's frame rate with --fps")
    return 0.0


def _jpeg(image: "Image.Image", box: Box) -> bytes:
    left, top = int(box.left), int(box.top)
    buffer = io.BytesIO()
    crop = image.crop((left, top, left + int(box.width), top + int(box.height)))
    crop.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
