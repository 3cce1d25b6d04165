"""A descriptor that a client made itself, as it goes over the wire."""

import base64
import binascii
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from service.api.values import Schema
from service.ingest.given import GivenDescriptor

_MOST_CHARACTERS = 262_144
"""Base64 of 49,152 numbers: many times what any model here describes by."""


def _floats(value: str) -> str:
    """Refuse what is no direction: every descriptor is compared by the cosine."""
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64 (RFC 4648, section 4)") from None
    if len(content) % 4:
        raise ValueError("must be base64 of float32 numbers, four bytes each")
    numbers = np.frombuffer(content, "<f4")
    if not np.isfinite(numbers).all():
        raise ValueError("must hold finite numbers only")
    if not numbers.any():
        raise ValueError("must not be zero throughout")
    return value


class DescriptorField(Schema):
    """A descriptor made elsewhere, by the model that serves the gallery."""

    model_id: str = Field(
        min_length=1, max_length=64, pattern=r"^[0-9a-f]+$", description="The model that made it: the gallery's."
    )
    values: Annotated[
        str,
        Field(min_length=1, max_length=_MOST_CHARACTERS, description="Base64 of its numbers, float32 little endian."),
        AfterValidator(_floats),
    ]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model_id": "2c92e79eee536cb2" * 4, "values": "AACAPwAAAEAAAEBA"}]}
    )

    def given(self) -> GivenDescriptor:
        """As uploads take it."""
        return GivenDescriptor(self.model_id, base64.b64decode(self.values))
