"""What tests of given descriptors share."""

import base64
import json
from collections.abc import Sequence

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.support import RunningService, frame_files


def vector(running: RunningService, seed: int) -> NDArray[np.float32]:
    """A descriptor of the length of the default model's."""
    return np.random.default_rng(seed).standard_normal(running.service.model.dimension).astype(np.float32)


def field(running: RunningService, values: NDArray[np.float32], model_id: str | None = None) -> dict[str, str]:
    """The metadata field `descriptor`."""
    content = base64.b64encode(values.astype("<f4").tobytes()).decode()
    return {"model_id": running.service.model.id if model_id is None else model_id, "values": content}


def send(
    running: RunningService, descriptor: object, frames: Sequence[bytes] = (), **metadata: object
) -> httpx.Response:
    """POST /tracklets with a descriptor."""
    text = json.dumps({"camera_id": "c1", "descriptor": descriptor, **metadata})
    with running.client() as client:
        parts = [("metadata", (None, text.encode())), *frame_files(list(frames))]
        return client.post("/tracklets", files=parts)
