"""`tfclip galleries`, `cameras` and `transits`, against a running service."""

import json
import re
import uuid
from pathlib import Path

import pytest

from tests.commands import answer, tfclip
from tests.support import RunningService, upload

pytestmark = pytest.mark.usefixtures("silent_service")


def name() -> str:
    """A gallery that nobody has yet."""
    return f"g{uuid.uuid4().hex[:12]}"


def test_a_gallery_is_made_described_shown_and_deleted(running_service: RunningService) -> None:
    gallery = name()
    made = answer(running_service, "galleries", "create", gallery, "--purpose", "Visitors", "--frame-cap", 8)
    assert (made["purpose"], made["frame_cap"]) == ("Visitors", 8)
    said = ("--legal-basis", "Consent", "--clear", "frame-cap")
    changed = answer(running_service, "galleries", "set", gallery, *said)
    assert changed | {"version": made["version"]} == made | {"legal_basis": "Consent", "frame_cap": None}
    upload(running_service, 1, gallery=gallery)
    shown = answer(running_service, "galleries", "show", gallery)
    assert shown["statistics"]["tracklets"] == 1
    assert changed in answer(running_service, "galleries", "list")["items"]
    assert gallery in tfclip(running_service, "galleries", "list").stdout
    printed = tfclip(running_service, "galleries", "show", gallery).stdout
    fields = [re.split("  +", line) for line in printed.splitlines()]
    assert ["legal basis", "Consent"] in fields
    assert ["frame cap", "-"] in fields
    assert ["index rows", "1"] in fields

    # Where nobody can be asked nothing happens.
    unasked = tfclip(running_service, "galleries", "delete", gallery)
    assert (unasked.exit_code, len(unasked.stderr.splitlines()), "--yes" in unasked.stderr) == (2, 1, True)
    assert answer(running_service, "galleries", "show", gallery)["statistics"]["tracklets"] == 1
    job = answer(running_service, "galleries", "delete", gallery, "--yes")
    assert (job["kind"], job["status"], job["gallery"]) == ("delete_gallery", "succeeded", gallery)
    refused = tfclip(running_service, "galleries", "show", gallery)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)


def test_what_is_said_of_a_camera_stays_until_it_is_said_anew(running_service: RunningService) -> None:
    gallery = name()
    answer(running_service, "galleries", "create", gallery)
    place = ("--latitude", 47.5, "--longitude", -8.25, "--place", "Gate")
    answer(running_service, "cameras", "set", "north/1", "--gallery", gallery, *place)
    answer(running_service, "cameras", "set", "north/1", "--gallery", gallery, "--time-offset-seconds", -1.5)
    answer(running_service, "cameras", "set", "hall", "--gallery", gallery)
    cameras = answer(running_service, "cameras", "list", "--gallery", gallery)["items"]
    said = [(one["name"], one["place"], one["latitude"], one["time_offset_seconds"]) for one in cameras]
    assert said == [("north/1", "Gate", 47.5, -1.5), ("hall", None, None, 0.0)]
    assert "Gate" in tfclip(running_service, "cameras", "list", "--gallery", gallery).stdout
    clear = ("cameras", "set", "north/1", "--gallery", gallery, "--clear", "place", "--clear", "position")
    twice = tfclip(running_service, *clear, "--longitude", 1)
    assert (twice.exit_code, "--longitude is given, too" in twice.stderr) == (2, True)
    left = answer(running_service, *clear)
    fields = ("place", "latitude", "longitude", "time_offset_seconds")
    assert [left[field] for field in fields] == [None, None, None, -1.5]
    assert answer(running_service, "cameras", "delete", "north/1", "--gallery", gallery) == {"deleted": "north/1"}
    assert tfclip(running_service, "cameras", "delete", "north/1", "--gallery", gallery).exit_code == 2


def test_transit_times_are_set_from_what_show_prints(running_service: RunningService, tmp_path: Path) -> None:
    gallery, file = name(), tmp_path / "transits.json"
    for camera in ("a", "b"):
        upload(running_service, 1, gallery=gallery, camera_id=camera, started_at="2025-01-01T00:00:00Z")
    matrix = {
        "cameras": ["a", "b"],
        "min_seconds": [[0.0, 5.0], [6.0, 0.0]],
        "max_seconds": [[None, 60.0], [None, None]],
    }
    file.write_text(json.dumps(matrix))
    assert answer(running_service, "transits", "set", file, "--gallery", gallery) == matrix
    shown = answer(running_service, "transits", "show", "--gallery", gallery)
    assert shown == matrix
    assert "60" in tfclip(running_service, "transits", "show", "--gallery", gallery).stdout

    query = answer(running_service, "tracklets", "list", "--gallery", gallery)["items"][0]["id"]
    rules = ("--feasible-transit", "--min-time-gap-seconds", 0)
    # Both were seen at one moment, which nobody can be in two places.
    assert answer(running_service, "search", query, "--gallery", gallery, "--feasible-transit")["results"] == []
    assert len(answer(running_service, "search", query, "--gallery", gallery, *rules[1:])["results"]) == 1


BAD_MATRICES = {
    "no file": None,
    "cut off": "{",
    "list": "[]",
    "no numbers": '{"cameras": []}',
    "negative": '{"cameras": ["a"], "min_seconds": [[-1]], "max_seconds": [[1]]}',
}


@pytest.mark.parametrize("matrix", BAD_MATRICES)
def test_a_bad_matrix_is_one_line(running_service: RunningService, tmp_path: Path, matrix: str) -> None:
    file = tmp_path / "transits.json"
    if (content := BAD_MATRICES[matrix]) is not None:
        file.write_text(content)
    result = tfclip(running_service, "transits", "set", str(file))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.stderr
