"""Tracklets: the part of the client that stores, reads, lists and deletes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from service.client.answers import StoredTracklet, frame_parts, if_match, parse, segment
from service.client.metadata import Descriptor, metadata_of
from service.client.synchronous.sending import Sender
from service.client.wire import Tracklet, TrackletPage


class TrackletMethods(Sender):
    """Mixed into `TfclipClient`, which sends."""

    def create_tracklet(
        self,
        frames: Sequence[bytes],
        camera_id: str,
        *,
        gallery: str | None = None,
        external_id: str | None = None,
        identity: str | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        labels: Mapping[str, Any] | None = None,
        descriptor: Descriptor | None = None,
    ) -> StoredTracklet:
        """Store a tracklet: `frames` are JPEG, PNG or WebP files in their order in time.

        With a descriptor there may be none.
        """
        metadata = metadata_of(
            camera_id,
            gallery=gallery,
            external_id=external_id,
            identity=identity,
            started_at=started_at,
            ended_at=ended_at,
            labels=labels,
            descriptor=descriptor,
        )
        # A part like the frames: without any of those a field would not make a multipart body.
        fields = [("metadata", (None, json.dumps(metadata).encode(), "application/json"))]
        response = self._send("POST", "/tracklets", once=True, files=[*fields, *frame_parts(frames)])
        return StoredTracklet(parse(Tracklet, response), created=response.status_code == httpx.codes.CREATED)

    def get_tracklet(self, tracklet_id: str) -> Tracklet:
        """Return one stored tracklet."""
        return parse(Tracklet, self._send("GET", f"/tracklets/{segment(tracklet_id)}"))

    def list_tracklets(self, gallery: str | None = None, *, page_size: int = 100) -> Iterator[Tracklet]:
        """Yield a gallery's tracklets, newest first, asking for the next page only when it is needed."""
        cursor: str | None = None
        while True:
            given = {"limit": str(page_size), "gallery": gallery, "cursor": cursor}
            parameters = [(name, value) for name, value in given.items() if value is not None]
            page = parse(TrackletPage, self._send("GET", "/tracklets", params=parameters))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def delete_tracklet(self, tracklet_id: str, *, version: int | None = None) -> None:
        """Delete one tracklet: no search finds it once this returns.

        Args:
            version: delete nothing, and raise `ApiProblem`, when the tracklet is of another version by now.
        """
        path = f"/tracklets/{segment(tracklet_id)}"
        self._send("DELETE", path, gone_is_done=True, headers=if_match(version))
