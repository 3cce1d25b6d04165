"""Reading a multipart upload: bounded in every direction, and refusing what it does not know."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.disk import full_disk_told
from service.errors import (
    FieldError,
    InvalidFrame,
    InvalidMultipart,
    InvalidRequest,
    TooManyFrames,
    UnsupportedMediaType,
)
from service.settings import Settings

FRAMES = "frames"
OTHER_FRAMES = "other_frames"
"""A second tracklet, for the one endpoint that compares two."""

_MAX_FIELDS = 500
_MAX_FIELD_BYTES = 1024 * 1024


@dataclass
class Form:
    """A multipart body: the frames' bytes in order, those of a second tracklet, and every other field's values."""

    frames: list[bytes] = field(default_factory=list)
    other_frames: list[bytes] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)


async def read_form(
    request: Request,
    settings: Settings,
    allowed: Sequence[str],
    *,
    other_frames: bool = False,
    frames_needed: bool = True,
) -> Form:
    """Read the body.

    Args:
        allowed: names of the fields that may come besides `frames`.
        other_frames: whether frames of a second tracklet may come as well.
        frames_needed: whether a body without frames is refused.

    Raises:
        UnsupportedMediaType, InvalidMultipart: the body is something else, or broken.
        TooManyFrames, InvalidFrame: there are too many frames, none, or one is too large.
        InvalidRequest: a field has a name that is not known.
        InsufficientStorage: the temporary folder is full.
    """
    parser = MultiPartParser(
        _byte_preserving(request.headers.get("content-type", "")),
        request.stream(),
        max_files=(settings.max_frames + 1) * (1 + other_frames),
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        # Large frames are spooled to the disk.
        with full_disk_told("the temporary folder"):
            parsed = await parser.parse()
    except MultiPartException as error:
        if "too many files" in error.message.lower():
            raise TooManyFrames(_too_many(settings)) from error
        raise InvalidMultipart(f"The multipart body cannot be read: {error.message}") from error
    try:
        form = await _sort(parsed, settings, [FRAMES, OTHER_FRAMES] if other_frames else [FRAMES], allowed)
    finally:
        await parsed.close()
    if frames_needed and not form.frames:
        raise InvalidFrame("There is no frame: send one or more image files as `frames`.")
    return form


def _byte_preserving(content_type: str) -> Headers:
    """Headers that make the parser read text as Latin-1, one character a byte.

    Left to itself it reads UTF-8, and falls back to Latin-1 where that fails without saying so.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with one or more files `frames`.")
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidMultipart("The Content-Type multipart/form-data names no boundary.")
    return Headers(raw=[(b"content-type", b'multipart/form-data; charset=latin-1; boundary="' + boundary + b'"')])


def _utf8(text: str, what: str) -> str:
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InvalidMultipart(f"{what} is not UTF-8.") from None


async def _sort(parsed: FormData, settings: Settings, images: Sequence[str], allowed: Sequence[str]) -> Form:
    form = Form()
    sets = {FRAMES: form.frames, OTHER_FRAMES: form.other_frames}
    items = [(_utf8(name, "The name of a field"), value) for name, value in parsed.multi_items()]
    unknown = sorted({name for name, _ in items if name not in images and name not in allowed})
    if unknown:
        expected = ", ".join([*images, *allowed])
        raise InvalidRequest(
            f"Unknown field {unknown[0][:100]!r}; expected {expected}.",
            [FieldError(name[:100], "unknown field") for name in unknown[:20]],
        )
    for name, value in items:
        if name in images:
            if not isinstance(value, UploadFile):
                raise InvalidFrame(f"`{name}` must be files: each part needs a filename.")
            sets[name].append(await _read_frame(value, f"{name}[{len(sets[name])}]", settings))
        else:
            form.fields.setdefault(name, []).append(_utf8(await _read_text(name, value), f"The field {name!r}"))
    if max(len(form.frames), len(form.other_frames)) > settings.max_frames:
        raise TooManyFrames(_too_many(settings))
    return form


async def _read_text(name: str, value: UploadFile | str) -> str:
    """A field's text, one character a byte; `curl -F 'metadata=@file.json'` sends a field as a file."""
    if isinstance(value, str):
        return value
    content = await value.read(_MAX_FIELD_BYTES + 1)
    if len(content) > _MAX_FIELD_BYTES:
        raise InvalidRequest(f"Field {name!r} is larger than {_MAX_FIELD_BYTES} bytes.")
    return content.decode("latin-1")


async def _read_frame(file: UploadFile, name: str, settings: Settings) -> bytes:
    content = await file.read(settings.max_frame_bytes + 1)
    if len(content) > settings.max_frame_bytes:
        raise InvalidFrame(f"{name} is larger than {settings.max_frame_bytes} bytes (TFCLIP_MAX_FRAME_BYTES).")
    return content


def _too_many(settings: Settings) -> str:
    return (
        f"A tracklet has at most {settings.max_frames} frames (TFCLIP_MAX_FRAMES); spread yours evenly and send fewer."
    )
