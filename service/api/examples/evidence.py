"""Examples of parts of evidence; the whole is in the models."""

from typing import Any

FRAME_PAIR: dict[str, Any] = {"position": 0, "other_position": 0, "similarity": 0.891204}
SPLIT: dict[str, Any] = {"after_position": 1, "before_position": 2, "separation": 0.068812}

EXAMPLES: dict[str, dict[str, Any]] = {"FramePair": FRAME_PAIR, "Split": SPLIT}
