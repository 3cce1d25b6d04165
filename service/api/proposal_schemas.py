"""Proposals as they go over the wire."""

import uuid

from pydantic import BaseModel, Field

from service.api.schemas import thumbnail_url
from service.api.values import GalleryName, Moment, Schema, StoredName
from service.identities.proposals import Cluster, Proposed


class ProposalParameters(Schema):
    """Options of proposals."""

    gallery: GalleryName = "default"
    threshold: float = Field(
        default=0.6,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="Least average cosine similarity, within a cluster and to a known identity.",
    )
    limit: int = Field(default=50, ge=1, le=500, description="Clusters in the answer at most.")
    camera_id: list[StoredName] = Field(default=[], max_length=100, description="Only these cameras; repeatable.")
    started_after: Moment | None = Field(default=None, description="Only tracklets that started then or later.")
    ended_before: Moment | None = Field(default=None, description="Only tracklets that ended then or earlier.")


class LikelyIdentity(BaseModel):
    """A known identity, and the average cosine similarity between its tracklets and those of a cluster."""

    identity_id: uuid.UUID
    name: str
    similarity: float


class ProposedIdentity(BaseModel):
    """Tracklets that may be one person, the most typical one first."""

    tracklet_ids: list[uuid.UUID]
    similarity: float | None = Field(description="Average over its pairs; null for a single tracklet.")
    like: LikelyIdentity | None = Field(description="The known identity that it is most like, if any is enough so.")
    thumbnail_url: str | None

    @classmethod
    def of(cls, cluster: Cluster) -> "ProposedIdentity":
        """As it was found."""
        like = cluster.like
        return cls(
            tracklet_ids=cluster.tracklet_ids,
            similarity=cluster.similarity,
            like=None
            if like is None
            else LikelyIdentity(identity_id=like.identity_id, name=like.name, similarity=like.similarity),
            thumbnail_url=thumbnail_url(cluster.tracklet_ids[0], cluster.frame_count),
        )


class ProposalsAnswer(BaseModel):
    """Proposals, the largest first, and what they were made of."""

    gallery: str
    model_id: str
    generation: int
    threshold: float
    tracklets: int = Field(description="Tracklets without an identity that were considered.")
    found: int = Field(description="Clusters in all; `items` has at most `limit` of them.")
    items: list[ProposedIdentity]

    @classmethod
    def of(cls, proposed: Proposed, gallery: str, threshold: float) -> "ProposalsAnswer":
        """As they were found."""
        return cls(
            gallery=gallery,
            model_id=proposed.model_id,
            generation=proposed.generation,
            threshold=threshold,
            tracklets=proposed.tracklets,
            found=proposed.found,
            items=[ProposedIdentity.of(cluster) for cluster in proposed.clusters],
        )
