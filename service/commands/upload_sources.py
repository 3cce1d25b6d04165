"""What can be uploaded: a folder data set, a video with its tracks."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from model.clips import spread_evenly
from model.data.folder import FolderDataSet
from service.client.uploading import Failure, Upload, UploadSummary
from service.ingest.tracks import Track
from service.ingest.video import CutOptions, CutReport, VideoError, cut_tracklets

FRAMES_PER_TRACKLET = 256
"""The most frames that the service takes for one tracklet, as it comes."""

_EXAMPLES = 3


def folder_uploads(data: FolderDataSet, summary: UploadSummary) -> Iterator[Upload]:
    """Yield the tracklets of a folder data set; the external id is "IDENTITY/CAMERA/TRACKLET"."""
    if data.empty:
        summary.skipped["no frame in the folder"] += len(data.empty)
    if data.strays:
        examples = ", ".join(str(stray.relative_to(data.root)) for stray in data.strays[:_EXAMPLES])
        summary.notes.append(f"not part of the layout, ignored: {len(data.strays)} entries, for example {examples}")
    for tracklet in data.tracklets:
        chosen = [tracklet.frames[index] for index in spread_evenly(len(tracklet.frames), FRAMES_PER_TRACKLET)]
        summary.thinned += len(chosen) < len(tracklet.frames)
        yield Upload(
            camera_id=tracklet.camera,
            external_id=tracklet.path,
            identity=tracklet.identity,
            read=partial(_read_files, chosen),
        )


def video_uploads(
    video: Path,
    tracks: dict[int, Track],
    camera_id: str,
    options: CutOptions,
    summary: UploadSummary,
    on_skipped: Callable[[int], None] = lambda _: None,
) -> Iterator[Upload]:
    """Yield the tracklets of a video as they are cut; the external id is "CAMERA/VIDEO FILE NAME/TRACK".

    A video that stops decoding on the way is counted as a failure, and what was cut before is kept.

    Raises:
        VideoError: not even the first tracklet could be cut.
    """
    report = CutReport()
    cut = 0
    try:
        for tracklet in cut_tracklets(video, tracks, options, report):
            cut += 1
            yield Upload(
                camera_id=camera_id,
                external_id=f"{camera_id}/{video.name}/{tracklet.track_id}",
                read=partial(_given, tracklet.frames),
                started_at=tracklet.started_at,
                ended_at=tracklet.ended_at,
            )
    except VideoError as error:
        if not cut:
            raise
        summary.failures.append(Failure(f"{camera_id}/{video.name}", "video does not decode", str(error)))
    summary.thinned += report.tracks_thinned
    if report.tracks_too_short:
        summary.skipped[f"track shorter than {options.minimum_frames} frames"] += report.tracks_too_short
        on_skipped(report.tracks_too_short)
    if report.boxes_without_area:
        summary.notes.append(f"boxes outside the picture, dropped: {report.boxes_without_area}")
    if report.frames_beyond_end:
        beyond = f"frames that tracks name beyond the video's end at {report.video_frames}"
        summary.notes.append(f"{beyond}: {report.frames_beyond_end}")


def _read_files(paths: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def _given(frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return frames
