"""What the client asks about galleries, their cameras, and the ways between them."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.client.answers import parse, segment
from service.client.synchronous.sending import Sender
from service.client.wire import Job
from service.client.wire.galleries import Camera, CameraPage, Gallery, GalleryPage, Transits


class GalleryMethods(Sender):
    """Mixed into `TfclipClient`, which sends."""

    def create_gallery(
        self,
        name: str,
        *,
        description: str | None = None,
        purpose: str | None = None,
        legal_basis: str | None = None,
        frame_cap: int | None = None,
    ) -> Gallery:
        """Make an empty gallery under the service's default model."""
        said = {"description": description, "purpose": purpose, "legal_basis": legal_basis, "frame_cap": frame_cap}
        body = {"name": name} | {field: value for field, value in said.items() if value is not None}
        return parse(Gallery, self._send("POST", "/galleries", once=True, json=body))

    def list_galleries(self) -> Iterator[Gallery]:
        """Yield galleries, oldest first."""
        yield from self._pages(GalleryPage, "/galleries", None)

    def get_gallery(self, name: str) -> Gallery:
        """Return one gallery, with its statistics."""
        return parse(Gallery, self._send("GET", f"/galleries/{segment(name)}"))

    def change_gallery(self, name: str, changes: Mapping[str, Any], *, version: int | None = None) -> Gallery:
        """Change `description`, `purpose`, `legal_basis` or `frame_cap`; None takes one back, others stay.

        Args:
            version: change nothing, and raise `ApiProblem`, when the gallery is of another version by now.
        """
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        path = f"/galleries/{segment(name)}"
        response = self._send("PATCH", path, repeatable=version is None, json=dict(changes), headers=headers)
        return parse(Gallery, response)

    def delete_gallery(self, name: str) -> Job:
        """Start to remove a gallery; from now on it is there for nobody."""
        return parse(Job, self._send("DELETE", f"/galleries/{segment(name)}", repeatable=False))

    def list_cameras(self, gallery: str | None = None) -> Iterator[Camera]:
        """Yield a gallery's cameras, oldest first."""
        yield from self._pages(CameraPage, "/cameras", gallery)

    def put_camera(
        self,
        gallery: str,
        name: str,
        *,
        place: str | None = None,
        latitude: float | None = None,
        longitude: float | None = None,
        time_offset_seconds: float = 0.0,
    ) -> Camera:
        """Say everything of a camera, and make it if it is new."""
        body = {
            "place": place,
            "latitude": latitude,
            "longitude": longitude,
            "time_offset_seconds": time_offset_seconds,
        }
        return parse(Camera, self._send("PUT", f"/cameras/{segment(gallery)}/{segment(name)}", json=body))

    def delete_camera(self, gallery: str, name: str) -> None:
        """Remove a camera that no tracklet names."""
        self._send("DELETE", f"/cameras/{segment(gallery)}/{segment(name)}", gone_is_done=True)

    def get_transits(self, gallery: str) -> Transits:
        """Return how long the ways between a gallery's cameras take."""
        return parse(Transits, self._send("GET", f"/galleries/{segment(gallery)}/transits"))

    def put_transits(self, gallery: str, transits: Transits) -> Transits:
        """Say how long the ways between a gallery's cameras take; what was said before is forgotten."""
        path = f"/galleries/{segment(gallery)}/transits"
        return parse(Transits, self._send("PUT", path, json=transits.model_dump(mode="json")))
