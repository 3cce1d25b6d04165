# Generated from service/client/synchronous/calibration.py by `python -m tools.asynchronous_client`: change that file.
"""What scores mean: the part of the client that calibrates galleries."""

from collections.abc import AsyncIterator
from typing import Literal

from service.client.answers import parse, segment
from service.client.asynchronous.sending import AsyncSender
from service.client.wire import Job
from service.client.wire.calibration import Calibration, CalibrationPage


class AsyncCalibrationMethods(AsyncSender):
    """Mixed into `AsyncTfclipClient`, which sends."""

    async def calibrate(
        self,
        gallery: str | None = None,
        *,
        reference_gallery: str | None = None,
        match_fpir: float | None = None,
        possible_fpir: float | None = None,
        prior: float | None = None,
        unlabelled: Literal["unknown", "strangers"] | None = None,
    ) -> Job:
        """Start to learn what scores of a gallery mean, from its labels or from those of `reference_gallery`."""
        given = {
            "gallery": gallery,
            "reference_gallery": reference_gallery,
            "match_fpir": match_fpir,
            "possible_fpir": possible_fpir,
            "prior": prior,
            "unlabelled": unlabelled,
        }
        body = {name: value for name, value in given.items() if value is not None}
        return parse(Job, await self._send("POST", "/admin/calibrations", once=True, json=body))

    async def calibration(self, gallery: str | None = None) -> Calibration | None:
        """Return the calibration that a gallery's answers are judged by, if there is one."""
        parameters = [("limit", "1")] + ([("gallery", gallery)] if gallery else [])
        return parse(CalibrationPage, await self._send("GET", "/calibrations", params=parameters)).current

    async def list_calibrations(self, gallery: str | None = None) -> AsyncIterator[Calibration]:
        """Yield a gallery's calibrations, newest first."""
        async for item in self._pages(CalibrationPage, "/calibrations", gallery):
            yield item

    async def get_calibration(self, calibration_id: str) -> Calibration:
        """Return one calibration, such as the one that an answer names."""
        return parse(Calibration, await self._send("GET", f"/calibrations/{segment(calibration_id)}"))

    async def delete_calibration(self, calibration_id: str) -> None:
        """Forget a calibration; the one before it is in force again."""
        await self._send("DELETE", f"/admin/calibrations/{segment(calibration_id)}", gone_is_done=True)
