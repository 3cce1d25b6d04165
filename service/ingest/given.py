"""Descriptors that come with a tracklet, made elsewhere by the model that serves its gallery."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.errors import FieldError, InvalidRequest, ModelConflict
from service.store.galleries import Gallery


@dataclass(frozen=True)
class GivenDescriptor:
    """A descriptor, float32 little endian, not necessarily normalised, and the model that made it."""

    model_id: str
    values: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What names a tracklet without frames: equal for equal descriptors of one model only."""
        return hashlib.sha256(b"descriptor " + self.model_id.encode() + b" " + self.values).digest()

    def vector_for(self, gallery: Gallery) -> NDArray[np.float32]:
        """The descriptor (D,), if the gallery is searched under its model.

        Raises:
            ModelConflict: another model serves the gallery.
            InvalidRequest: it is not of the length of that model's descriptors.
        """
        if self.model_id != gallery.model_id:
            raise ModelConflict(
                f"The descriptor is of model {self.model_id[:64]}, and gallery {gallery.name} is searched under model "
                f"{gallery.model_id}. Describe the tracklet by that model, or send its frames alone."
            )
        vector = np.frombuffer(self.values, "<f4").astype(np.float32)
        if len(vector) != gallery.dimension:
            message = f"has {len(vector)} numbers; descriptors of this model have {gallery.dimension}"
            raise InvalidRequest(
                f"metadata.descriptor.values {message}.", [FieldError("metadata.descriptor.values", message)]
            )
        return vector
