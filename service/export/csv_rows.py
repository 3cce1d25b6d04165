"""Places of a ranking as lines of CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from io import StringIO

from service.gallery.ranking import RankedTracklet

COLUMNS = (
    "rank",
    "tracklet_id",
    "score",
    "rerank_distance",
    "probability",
    "camera_id",
    "identity",
    "external_id",
    "started_at",
    "ended_at",
)

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""What a formula begins with; the second four are full-width forms of the first."""


def header() -> bytes:
    """The first line."""
    return _lines([COLUMNS])


def lines(places: Iterable[RankedTracklet]) -> bytes:
    """One line for each place."""
    return _lines(
        (
            str(place.rank),
            str(place.tracklet.id),
            repr(place.score),
            "" if place.distance is None else repr(place.distance),
            "" if place.probability is None else repr(place.probability),
            plain_cell(place.tracklet.camera),
            plain_cell(place.tracklet.identity),
            plain_cell(place.tracklet.external_id),
            _moment(place.tracklet.started_at),
            _moment(place.tracklet.ended_at),
        )
        for place in places
    )


def plain_cell(text: str | None) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before what begins like one (OWASP, CSV injection).

    Names hold no control characters, so a tab or a line break cannot begin one.
    """
    if text is None:
        return ""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _moment(time: datetime | None) -> str:
    """The time as the wire has it everywhere."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z") if time else ""


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    written = StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
