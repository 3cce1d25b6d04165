"""Bytes to an image, or a clear reason why not."""

import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from service.errors import InvalidFrame

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""The formats that are accepted: other decoders of Pillow are never reached."""


@dataclass(frozen=True)
class ImageLimits:
    """Sizes that frames may have, in pixels.

    Attributes:
        min_side, max_side: of one frame.
        max_pixels: of all frames of a tracklet together, which bounds the time that decoding takes.
    """

    min_side: int
    max_side: int
    max_pixels: int


def decode_frame(content: bytes, limits: ImageLimits, name: str) -> tuple[Image.Image, str]:
    """Decode one frame completely.

    Args:
        content: the file.
        name: how to call the frame in an error, such as `frames[3]`.

    Returns:
        The image, RGB and upright, and its media type.

    Raises:
        InvalidFrame: not an image of an accepted format, damaged, animated, or of a size that is not allowed. Sizes
            are judged by the header, before any pixel is decoded.
    """
    if not content:
        raise InvalidFrame(f"{name} is empty.")
    try:
        with warnings.catch_warnings():
            # Our own limits decide about size, below, before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(content), formats=list(MEDIA_TYPES))
    except UnidentifiedImageError:
        raise InvalidFrame(f"{name} is not a JPEG, PNG or WebP image.") from None
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise InvalidFrame(f"{name} cannot be read as an image: {error}.") from error
    with image:
        media_type = MEDIA_TYPES[image.format or ""] if image.format in MEDIA_TYPES else "image/jpeg"
        width, height = image.size
        if max(width, height) > limits.max_side:
            raise InvalidFrame(f"{name} is {width}x{height} pixels; the longest side allowed is {limits.max_side}.")
        if min(width, height) < limits.min_side:
            raise InvalidFrame(f"{name} is {width}x{height} pixels; the shortest side allowed is {limits.min_side}.")
        if getattr(image, "n_frames", 1) > 1:
            raise InvalidFrame(f"{name} is animated; send each picture as a frame of its own.")
        try:
            upright = ImageOps.exif_transpose(image)
            return upright.convert("RGB"), media_type
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InvalidFrame(f"{name} is damaged or truncated: {error}.") from error
