"""Evidence as it goes over the wire."""

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model.purity import LEAST_FRAMES
from service.api.examples.common import MODEL_ID, OTHER_ID, SCORE, TRACKLET_ID
from service.api.examples.evidence import FRAME_PAIR, SPLIT
from service.api.values import Schema
from service.evidence.evidence import Attention, Comparison, Judged
from service.evidence.purity import is_switch, rounded_purity

_DECIMALS = 6


class EvidenceParameters(Schema):
    """Which tracklet to compare with."""

    against: uuid.UUID = Field(description="Id of another tracklet in the same gallery.")


class AttentionParameters(Schema):
    """How to show attention."""

    format: Literal["png", "json"] = Field(
        default="png", description="`png`: the frame with the weights over it; `json`: the weights."
    )


class FramePair(BaseModel):
    """Two frames and how alike they are."""

    position: int
    other_position: int
    similarity: float


class Evidence(BaseModel):
    """Two tracklets, frame by frame."""

    tracklet_id: uuid.UUID
    other_id: uuid.UUID
    model_id: str
    score: float = Field(description="Cosine of the two descriptors, as a search answers it.")
    frames: list[int] = Field(description="Positions of the frames that the tracklet is described by.")
    other_frames: list[int]
    similarities: list[list[float]] = Field(
        description="Cosines of frame descriptors: a row for each of `frames`, a column for each of `other_frames`."
    )
    best_pair: FramePair
    attention_urls: list[str] = Field(description="One for each of `frames`.")
    other_attention_urls: list[str]

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "tracklet_id": TRACKLET_ID,
                    "other_id": OTHER_ID,
                    "model_id": MODEL_ID,
                    "score": SCORE,
                    "frames": [0, 1, 2, 3],
                    "other_frames": [0, 1],
                    "similarities": [
                        [0.891204, 0.862718],
                        [0.883377, 0.858025],
                        [0.870641, 0.849113],
                        [0.866902, 0.853816],
                    ],
                    "best_pair": FRAME_PAIR,
                    "attention_urls": [f"/tracklets/{TRACKLET_ID}/frames/{number}/attention" for number in range(4)],
                    "other_attention_urls": [f"/tracklets/{OTHER_ID}/frames/{number}/attention" for number in range(2)],
                }
            ]
        },
    )

    @classmethod
    def of(cls, tracklet_id: uuid.UUID, other_id: uuid.UUID, found: Comparison) -> "Evidence":
        """As the evidence room compared."""
        row, column = found.best_pair()
        similarities = found.similarities.round(_DECIMALS).tolist()
        return cls(
            tracklet_id=tracklet_id,
            other_id=other_id,
            model_id=found.model_id,
            score=found.score,
            frames=found.frames,
            other_frames=found.other_frames,
            similarities=similarities,
            best_pair=FramePair(
                position=found.frames[row],
                other_position=found.other_frames[column],
                similarity=similarities[row][column],
            ),
            attention_urls=[attention_url(tracklet_id, position) for position in found.frames],
            other_attention_urls=[attention_url(other_id, position) for position in found.other_frames],
        )


class AttentionMap(BaseModel):
    """Where the network looks in a frame."""

    tracklet_id: uuid.UUID
    position: int
    model_id: str
    weights: list[list[float]] = Field(
        description="A row for each row of patches, top to bottom and left to right; all together sum to 1."
    )

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "tracklet_id": TRACKLET_ID,
                    "position": 0,
                    "model_id": MODEL_ID,
                    "weights": [[0.2, 0.1], [0.4, 0.3]],
                }
            ]
        },
    )

    @classmethod
    def of(cls, tracklet_id: uuid.UUID, position: int, found: Attention) -> "AttentionMap":
        """As the evidence room found it."""
        weights = found.weights.tolist()
        return cls(tracklet_id=tracklet_id, position=position, model_id=found.model_id, weights=weights)


class Split(BaseModel):
    """A place in time between two frames, and how much it tells those before from those after."""

    after_position: int = Field(description="Position of the last frame before the split.")
    before_position: int = Field(description="Position of the first frame after it.")
    separation: float = Field(description="Mean cosine of frames on one side, less that of frames on different sides.")


class Purity(BaseModel):
    """Whether the frames of a tracklet are of one person."""

    tracklet_id: uuid.UUID
    model_id: str
    frames: list[int] = Field(description="Positions of the frames that were judged.")
    purity: float | None = Field(description="1 less the largest separation, 0 to 1; null for fewer than four frames.")
    possible_identity_switch: bool | None = Field(description="`purity` is below `min_purity`.")
    min_purity: float = Field(description="TFCLIP_MIN_PURITY.")
    split: Split | None = Field(description="The split of the largest separation.")
    curve: list[Split] = Field(description="Every split that has two frames or more on both sides, in order.")

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "tracklet_id": TRACKLET_ID,
                    "model_id": MODEL_ID,
                    "frames": [0, 1, 2, 3],
                    "purity": 0.9312,
                    "possible_identity_switch": False,
                    "min_purity": 0.65,
                    "split": SPLIT,
                    "curve": [SPLIT],
                }
            ]
        },
    )

    @classmethod
    def of(cls, tracklet_id: uuid.UUID, judged: Judged, min_purity: float) -> "Purity":
        """As the evidence room judged."""
        found = judged.found
        curve = []
        if found is not None:
            curve = [
                Split(
                    after_position=judged.frames[count - 1],
                    before_position=judged.frames[count],
                    separation=round(float(separation), _DECIMALS),
                )
                for count, separation in enumerate(found.separations, start=LEAST_FRAMES)
            ]
        purity = None if found is None else rounded_purity(found)
        return cls(
            tracklet_id=tracklet_id,
            model_id=judged.model_id,
            frames=judged.frames,
            purity=purity,
            possible_identity_switch=is_switch(purity, min_purity),
            min_purity=min_purity,
            split=None if found is None else curve[found.split - LEAST_FRAMES],
            curve=curve,
        )


def attention_url(tracklet_id: uuid.UUID, position: int) -> str:
    """Where a frame's attention is."""
    return f"/tracklets/{tracklet_id}/frames/{position}/attention"
