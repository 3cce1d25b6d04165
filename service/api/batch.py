"""Many tracklets in one request: a tar archive that is stored while it arrives."""

import hashlib
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from service.api.batch_schemas import BatchParameters, BatchReport, BatchReportItem
from service.api.creating import CreatingRoute, acts_early, claim_early
from service.api.dependencies import ServiceDep, WriteKey, owner_of, single_valued
from service.api.examples.requests import ARCHIVE
from service.api.manifest import read_manifest
from service.api.problems import Problem, problem_document, problems
from service.errors import GalleryDeleting, InvalidArchive, ServiceError, Unavailable, UnsupportedMediaType
from service.ingest.batches import Batch
from service.ingest.tar_reading import TarReader

router = APIRouter(
    prefix="/tracklets", tags=["tracklets"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-tar": {
                "schema": {
                    "type": "string",
                    "contentMediaType": "application/x-tar",
                    "description": "`manifest.jsonl` first, then the frames, those of a tracklet together. " + ARCHIVE,
                }
            }
        },
    }
}


@router.post(
    "/batch",
    operation_id="createTracklets",
    responses=problems(400, 401, 403, 413, 415, 422, 503, InvalidArchive, GalleryDeleting, Unavailable),
    openapi_extra=_BODY,
)
@acts_early
async def create_tracklets(
    parameters: Annotated[BatchParameters, Query()], request: Request, caller: WriteKey, service: ServiceDep
) -> BatchReport:
    """Store the tracklets of a tar archive, each as soon as its frames have come. Each succeeds or fails alone.

    Sent again, an archive goes on where it ended: what is there with the same frames is `existing`, and is not
    described again. Under the same `Idempotency-Key` the first report comes again, once there is one.
    """
    settings = service.settings
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-tar":
        raise UnsupportedMediaType("Send a plain tar archive as application/x-tar.")
    async with service.batches:
        archive = TarReader(request.stream())
        lines, digest = await read_manifest(archive, settings, parameters.gallery, caller, owner_of(request, service))
        # The manifest is what tells one archive from another before anything is stored.
        await claim_early(hashlib.sha256(parameters.gallery.encode() + b"\0" + digest).digest())
        batch = Batch(service.uploads, lines, settings.max_body_bytes, settings.max_frame_bytes)
        broken = await batch.store(archive)

    def said(error: ServiceError | None) -> Problem | None:
        return None if error is None else problem_document(error, request.scope)

    counts = Counter(line.outcome.status for line in lines if line.outcome is not None)
    return BatchReport(
        created=counts["created"],
        existing=counts["existing"],
        failed=counts["failed"],
        complete=broken is None,
        problem=said(broken),
        items=[
            BatchReportItem(
                line=line.number,
                external_id=line.external_id,
                status=line.outcome.status,
                tracklet_id=line.outcome.tracklet_id,
                problem=said(line.outcome.error),
            )
            for line in lines
            if line.outcome is not None
        ],
        unlisted=batch.unlisted,
        unlisted_examples=batch.unlisted_names,
    )
