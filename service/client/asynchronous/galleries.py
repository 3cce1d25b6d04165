# Generated from service/client/synchronous/galleries.py by `python -m tools.asynchronous_client`: change that file.
"""What the client asks about galleries, their cameras, and the ways between them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from service.client.answers import if_match, parse, segment, transits_of
from service.client.asynchronous.sending import AsyncSender
from service.client.wire import Job
from service.client.wire.galleries import Camera, CameraPage, Gallery, GalleryPage, Transits


class AsyncGalleryMethods(AsyncSender):
    """Mixed into `AsyncTfclipClient`, which sends."""

    async def create_gallery(
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
        return parse(Gallery, await self._send("POST", "/galleries", once=True, json=body))

    async def list_galleries(self) -> AsyncIterator[Gallery]:
        """Yield galleries, oldest first."""
        async for item in self._pages(GalleryPage, "/galleries", None):
            yield item

    async def get_gallery(self, name: str) -> Gallery:
        """Return one gallery, with its statistics."""
        return parse(Gallery, await self._send("GET", f"/galleries/{segment(name)}"))

    async def change_gallery(self, name: str, changes: Mapping[str, Any], *, version: int | None = None) -> Gallery:
        """Change `description`, `purpose`, `legal_basis` or `frame_cap`; None takes one back, others stay.

        Args:
            version: change nothing, and raise `ApiProblem`, when the gallery is of another version by now.
        """
        path = f"/galleries/{segment(name)}"
        response = await self._send(
            "PATCH", path, repeatable=version is None, json=dict(changes), headers=if_match(version)
        )
        return parse(Gallery, response)

    async def delete_gallery(self, name: str, *, version: int | None = None) -> Job:
        """Start to remove a gallery; from now on it is there for nobody.

        Args:
            version: remove nothing, and raise `ApiProblem`, when the gallery is of another version by now.
        """
        path = f"/galleries/{segment(name)}"
        return parse(Job, await self._send("DELETE", path, repeatable=False, headers=if_match(version)))

    async def list_cameras(self, gallery: str | None = None) -> AsyncIterator[Camera]:
        """Yield a gallery's cameras, oldest first."""
        async for item in self._pages(CameraPage, "/cameras", gallery):
            yield item

    async def get_camera(self, gallery: str, name: str) -> Camera:
        """Return one camera."""
        return parse(Camera, await self._send("GET", f"/cameras/{segment(gallery)}/{segment(name)}"))

    async def put_camera(
        self,
        gallery: str,
        name: str,
        *,
        place: str | None = None,
        latitude: float | None = None,
        longitude: float | None = None,
        time_offset_seconds: float = 0.0,
        version: str | None = None,
        new: bool = False,
    ) -> Camera:
        """Say everything of a camera, and make it if it is new.

        Args:
            version: change nothing, and raise `ApiProblem`, when the camera is of another version by now.
            new: and when it is there already.
        """
        body = {
            "place": place,
            "latitude": latitude,
            "longitude": longitude,
            "time_offset_seconds": time_offset_seconds,
        }
        path = f"/cameras/{segment(gallery)}/{segment(name)}"
        headers = if_match(version) | ({"If-None-Match": "*"} if new else {})
        return parse(Camera, await self._send("PUT", path, repeatable=not headers, json=body, headers=headers))

    async def delete_camera(self, gallery: str, name: str, *, version: str | None = None) -> None:
        """Remove a camera that no tracklet names.

        Args:
            version: remove nothing, and raise `ApiProblem`, when the camera is of another version by now.
        """
        path = f"/cameras/{segment(gallery)}/{segment(name)}"
        await self._send("DELETE", path, gone_is_done=True, headers=if_match(version))

    async def get_transits(self, gallery: str) -> Transits:
        """Return how long the ways between a gallery's cameras take."""
        return transits_of(await self._send("GET", f"/galleries/{segment(gallery)}/transits"))

    async def put_transits(self, gallery: str, transits: Transits, *, version: str | None = None) -> Transits:
        """Say how long the ways between a gallery's cameras take; what was said before is forgotten.

        Args:
            version: change nothing, and raise `ApiProblem`, when something else than in this version was said by now.
        """
        path = f"/galleries/{segment(gallery)}/transits"
        body = transits.model_dump(mode="json")
        return transits_of(
            await self._send("PUT", path, repeatable=version is None, json=body, headers=if_match(version))
        )
