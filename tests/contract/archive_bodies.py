"""Bodies for Schemathesis, which knows no archives: whole ones, halves of one and anything else.

A process of its own loads it by `SCHEMATHESIS_HOOKS`.
"""

from io import BytesIO

import schemathesis
from hypothesis import strategies
from PIL import Image

from service.client.archives import CONTENT_TYPE, Archive, PackedTracklet


def archive(external_id: str) -> bytes:
    """An archive of one tracklet."""
    frame = BytesIO()
    Image.new("RGB", (32, 64), "teal").save(frame, "JPEG")
    return b"".join(Archive([PackedTracklet("c1", external_id, [frame.getvalue()])]))


WHOLE = [archive("first of an archive"), archive("second of an archive")]
BODIES = strategies.one_of(
    strategies.sampled_from(WHOLE),
    strategies.integers(0, len(WHOLE[0])).map(lambda size: WHOLE[0][:size]),
    strategies.binary(max_size=2000),
)

schemathesis.openapi.media_type(CONTENT_TYPE, BODIES)
