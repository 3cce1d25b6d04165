"""Image files that no camera makes."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    """The file that Pillow writes for an image."""
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 128, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """An image that does not compress well."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values).convert(mode)


def chunk(name: bytes, content: bytes) -> bytes:
    """A PNG chunk with the right checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *extra: bytes, depth: int = 8, color: int = 0, data: bytes | None = None) -> bytes:
    """A PNG of these dimensions; black and grey unless told otherwise, written without holding its pixels."""
    if data is None:
        deflate = zlib.compressobj(9)
        row = bytes(1 + (width * depth * {0: 1, 2: 3}[color] + 7) // 8)
        data = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes whose header promises this many pixels."""
    return png(width, height, data=zlib.compress(b"\0" * 64))


def jpeg_that_claims(width: int, height: int) -> bytes:
    """A small JPEG whose frame header was changed to promise this many pixels."""
    good = encoded(noise(), "JPEG")
    start = good.index(b"\xff\xc0") + 5
    return good[:start] + struct.pack(">HH", height, width) + good[start + 4 :]


def webp_that_claims(width: int, height: int) -> bytes:
    """A lossless WebP whose header was changed to promise this many pixels (at most 16,384 a side)."""
    good = encoded(noise(), "WEBP", lossless=True)
    start = good.index(b"VP8L") + 9
    return good[:start] + struct.pack("<I", (width - 1) | (height - 1) << 14) + good[start + 4 :]


def animated(format: str) -> bytes:
    """Three different pictures in one file."""
    first, *others = (noise(seed=seed) for seed in range(3))
    return encoded(first, format, save_all=True, append_images=others, duration=40)


def png_with_text_bomb(mebibytes: int = 80) -> bytes:
    """A good small PNG with a comment that inflates to this many MiB."""
    text = b"Comment\0\0" + zlib.compress(bytes(mebibytes << 20), 9)
    return png(64, 128, chunk(b"zTXt", text))


def png_with_profile_bomb(mebibytes: int = 80) -> bytes:
    """A good small PNG with a colour profile that inflates to this many MiB."""
    profile = b"profile\0\0" + zlib.compress(bytes(mebibytes << 20), 9)
    return png(64, 128, chunk(b"iCCP", profile))


def png_with_long_text() -> bytes:
    """A PNG that any program may write: a comment of 2 MB."""
    info = PngInfo()
    info.add_text("Comment", "x" * 2_000_000, zip=True)
    return encoded(noise(), "PNG", pnginfo=info)


def rotated_jpeg() -> bytes:
    """A picture that lies on its side, with an EXIF note that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(128, 64), "JPEG", exif=exif)


def mutated(good: bytes, seed: int) -> bytes:
    """The file with a handful of bytes changed, cut out, or repeated anywhere."""
    rng = np.random.default_rng(seed)
    content = bytearray(good)
    for _ in range(int(rng.integers(1, 6))):
        # Half of the damage goes into the headers, where it does the most.
        end = len(content) if rng.random() < 0.5 else min(64, len(content))
        place, length = int(rng.integers(0, end)), int(rng.integers(1, 5))
        kind = rng.integers(0, 3)
        if kind == 0:
            content[place : place + length] = rng.bytes(length)
        elif kind == 1:
            del content[place : place + length]
        else:
            content[place:place] = content[place : place + length] * 2
    return bytes(content)
