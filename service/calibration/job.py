"""The job that calibrates a gallery."""

import asyncio
from typing import Any

import numpy as np

from service.calibration.fitting import Fitted, TooFewLabels, Wanted, fit, label, steps
from service.gallery.galleries import Galleries
from service.gallery.index import Frozen
from service.jobs.running import JobCancelled, JobRefused, RunningJob
from service.store import calibrations as store
from service.store import galleries as gallery_store
from service.store import jobs as job_store
from service.store.calibrations import Calibration
from service.store.database import Database

CALIBRATE = "calibrate"


class Calibrator:
    """Calibrates galleries from confirmed identities."""

    def __init__(self, database: Database, galleries: Galleries) -> None:
        self._database = database
        self._galleries = galleries

    async def calibrate(self, running: RunningJob) -> dict[str, Any]:
        """Fit a calibration to the labels of the gallery, or of `reference_gallery`, and put it in force.

        Running it again after a crash makes the same one: it has the job's id.

        Raises:
            JobCancelled: nothing is in force that was not before.
            JobRefused: too few labels, galleries on two models, or none.
        """
        parameters = running.job.parameters
        async with self._database.reading() as connection:
            gallery = await gallery_store.find(connection, running.job.gallery or "")
        if gallery is None:
            raise JobRefused("The gallery was deleted.")
        frozen, model_id = await self._freeze(gallery.name)
        size, reference = len(frozen.ids), parameters["reference_gallery"]
        if size == 0:
            raise JobRefused(f"Gallery {gallery.name} is empty: its size is part of what a score means.")
        if reference is not None:
            frozen, other = await self._freeze(reference)
            if other != model_id:
                raise JobRefused(
                    f"Galleries {gallery.name} and {reference} are on different models, whose scores do not compare; "
                    "re-index one of them first."
                )
        wanted = Wanted(
            parameters["match_fpir"],
            parameters["possible_fpir"],
            parameters["prior"],
            parameters["unlabelled"] == "strangers",
        )
        try:
            fitted = await asyncio.to_thread(self._fit, running, frozen, size, wanted)
        except TooFewLabels as error:
            raise JobRefused(str(error)) from error
        calibration = Calibration(
            running.job.id,
            gallery.name,
            model_id,
            size,
            fitted.curve.slope,
            fitted.curve.intercept,
            fitted.prior,
            fitted.match_threshold,
            fitted.possible_threshold,
        )
        async with self._database.transaction() as connection:
            if not await job_store.lock_uncancelled(connection, running.job.id):
                raise JobCancelled
            report = {"reference_gallery": reference, **fitted.report}
            await store.add(connection, gallery.id, calibration, report, parameters["made_by"])
        async with self._database.reading() as connection:
            await self._galleries.calibrations.refresh(connection)
        return {
            "calibration_id": str(calibration.id),
            "match_threshold": calibration.match_threshold,
            "possible_threshold": calibration.possible_threshold,
        }

    async def _freeze(self, name: str) -> tuple[Frozen, str]:
        """The gallery's rows as they are now, and the model that they are of."""
        await self._galleries.renewed(name)
        async with self._galleries.switching(name) as served:
            return served.index.freeze(), served.loaded.model_id

    def _fit(self, running: RunningJob, frozen: Frozen, size: int, wanted: Wanted) -> Fitted:
        columns = frozen.columns
        # Of who it is, only confirmed identities count. Rejected matches were looked at for high scores: beside
        # all pairs of the labels they would make high scores look commoner among strangers than they are.
        labelled = label(
            columns.identity.astype(np.int64), columns.camera.astype(np.int64), wanted.unlabelled_are_strangers
        )
        running.total = steps(labelled)

        def on_step(done: int) -> None:
            running.done = done
            running.check()

        fitted = fit(labelled, lambda rows: frozen.rows.gather(frozen.numbers[rows]), size, wanted, on_step)
        running.done = running.total
        return fitted
