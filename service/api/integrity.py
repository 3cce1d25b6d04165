"""Whether everything of a gallery is there, and mending what is not."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.admin_schemas import JobAnswer
from service.api.creating import CreatingRoute
from service.api.dependencies import AdminKey, ServiceDep, single_valued
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.api.values import GalleryName, Schema
from service.errors import IndexNotReady, NotFound
from service.integrity.checks import Depth
from service.integrity.repair import REPAIR
from service.integrity.report import Kind
from service.store import galleries as gallery_store

router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(single_valued)], route_class=CreatingRoute)


class IntegrityParameters(Schema):
    """What to compare, and how closely."""

    gallery: GalleryName = "default"
    sample: int = Field(default=200, ge=0, le=1_000_000, description="Frame files that are read and hashed.")
    describe: int = Field(default=8, ge=0, le=1000, description="Tracklets that are described again.")
    full: bool = Field(default=False, description="Read and hash every frame file.")


class RepairRequest(Schema):
    """What to mend."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"gallery": "default"}]})

    gallery: GalleryName = "default"


class FindingAnswer(BaseModel):
    """One kind of difference, with up to 20 examples."""

    kind: Kind
    count: int
    examples: list[str] = Field(description="Tracklets, or names of files.")
    mendable: bool = Field(description="Whether repair does something about it.")
    remedy: str


class IntegrityAnswer(BaseModel):
    """A comparison of one gallery."""

    process: str = Field(description="Whose index was compared: host and number of the process that answers.")
    gallery: str
    generation: int
    model_id: str
    change: int = Field(description="The gallery's last change at the time of the comparison.")
    ok: bool
    checked: dict[str, int] = Field(description="How much was looked at, by what.")
    findings: list[FindingAnswer]
    took_ms: float


@router.get("/integrity", operation_id="checkIntegrity", responses=problems(401, 403, 404, 422, 503, IndexNotReady))
async def check_integrity(
    parameters: Annotated[IntegrityParameters, Query()], caller: AdminKey, service: ServiceDep
) -> IntegrityAnswer:
    """Compare rows, descriptors, frames and this process's index of a gallery, and name what differs."""
    began = time.perf_counter()
    depth = Depth(None if parameters.full else parameters.sample, parameters.describe)
    report = await service.checker.check(parameters.gallery, depth)
    findings: list[dict[str, Any]] = [finding.to_dict() for finding in report.findings]
    return IntegrityAnswer(
        process=report.process,
        gallery=report.gallery,
        generation=report.generation,
        model_id=report.model_id,
        change=report.change,
        ok=report.ok,
        checked=report.checked,
        findings=[FindingAnswer.model_validate(finding) for finding in findings],
        took_ms=round(1000 * (time.perf_counter() - began), 3),
    )


@router.post(
    "/repair",
    operation_id="repair",
    status_code=202,
    responses=problems(401, 403, 404, 413, 415, 422, 503),
    openapi_extra=json_body(RepairRequest, required=False),
)
async def start_repair(request: Request, response: Response, caller: AdminKey, service: ServiceDep) -> JobAnswer:
    """Compare everything of a gallery and mend what can be, as a job.

    Its result says what was mended and what is left to a person. Every tracklet is described again, which takes as long
    as a re-index to another model. Every process builds its index of the gallery anew, but for the one that compared
    its own.
    """
    wanted = await read_json(request, RepairRequest, empty=RepairRequest())
    async with service.database.transaction() as connection:
        gallery = await gallery_store.find(connection, wanted.gallery)
        if gallery is None:
            raise NotFound(f"There is no gallery {wanted.gallery!r}.")
        job = await service.jobs.enqueue(connection, REPAIR, gallery.id)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)
