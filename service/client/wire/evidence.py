"""Evidence as the client sees it."""

from service.client.wire.base import Answer


class FramePair(Answer):
    """A frame of one tracklet, a frame of another, and the cosine of their descriptors."""

    position: int
    other_position: int
    similarity: float


class Evidence(Answer):
    """Two tracklets: `similarities` has a row for each of `frames` and a column for each of `other_frames`."""

    tracklet_id: str
    other_id: str
    model_id: str
    score: float
    frames: list[int]
    other_frames: list[int]
    similarities: list[list[float]]
    best_pair: FramePair
    attention_urls: list[str] = []
    other_attention_urls: list[str] = []


class AttentionMap(Answer):
    """Where the network looks in a frame: a row of `weights` for each row of patches; all together sum to 1."""

    tracklet_id: str
    position: int
    model_id: str
    weights: list[list[float]]


class Split(Answer):
    """A place in time between two frames, and how much it tells those before from those after."""

    after_position: int
    before_position: int
    separation: float


class Purity(Answer):
    """Whether the frames of a tracklet are of one person; None where they are too few to say."""

    tracklet_id: str
    model_id: str
    frames: list[int]
    purity: float | None = None
    possible_identity_switch: bool | None = None
    min_purity: float
    split: Split | None = None
    curve: list[Split] = []
