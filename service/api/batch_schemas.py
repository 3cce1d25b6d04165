"""A manifest's line, and the report on an archive, as they go over the wire."""

import uuid
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.api.problems import Problem
from service.api.schemas import TrackletFields
from service.api.values import ExternalId, GalleryName, Schema

_LONGEST_NAME = 1000


def _member_name(value: str) -> str:
    """Names are labels and nothing is extracted; those that a tool would refuse to extract are refused all the same."""
    name = value.removeprefix("./")
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError("must not begin with / and not have .. in it")
    return name


MemberName = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_member_name)]


class ManifestLine(TrackletFields):
    """One line of `manifest.jsonl`: a tracklet, and the members that are its frames."""

    external_id: ExternalId = Field(description="Your own name for it: by it an archive that is sent again goes on.")
    frames: list[MemberName] = Field(
        default=[], description="Names of its members, in their order in time; none only with a descriptor."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "camera_id": "gate-2",
                    "external_id": "2026-11-23/gate-2/track-17",
                    "started_at": "2026-11-23T08:15:00+01:00",
                    "frames": ["17/0001.jpg", "17/0002.jpg"],
                }
            ]
        }
    )


class BatchParameters(Schema):
    """Where the tracklets go."""

    gallery: GalleryName = "default"


class BatchReportItem(BaseModel):
    """What became of one tracklet of an archive."""

    line: int = Field(description="Of the manifest, counted from 1.")
    external_id: str | None = Field(description="Null where the line has none that can be used.")
    status: Literal["created", "existing", "failed"]
    tracklet_id: uuid.UUID | None
    problem: Problem | None = Field(description="Why it failed.")


class BatchReport(BaseModel):
    """What became of an archive: one item for each line of its manifest, in their order."""

    created: int
    existing: int
    failed: int
    complete: bool = Field(description="The archive could be read to its end.")
    problem: Problem | None = Field(description="What was wrong with the archive; what was whole before is stored.")
    items: list[BatchReportItem]
    unlisted: int = Field(description="Members that no line names, or that came a second time; they are passed over.")
    unlisted_examples: list[str]
