"""The rules that a value must keep before anything sees it, as annotated types."""

import json
import math
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.config import JsonDict

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LONGEST_SECONDS = 100 * 366 * 86400.0
"""A hundred years: no time between two people and no clock is off by more."""

_LONGEST_LABEL = 1000
_LONGEST_TIME = 64
_INVISIBLE = ("Zs", "Zl", "Zp", "Cf")
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols by category that are drawn as nothing: the Hangul fillers, and Braille without a dot."""
_NAME_PATTERN: JsonDict = {"pattern": r"^\S(.*\S)?$"}
VISIBLE_PATTERN: JsonDict = {"pattern": r"\S"}
"""Of the description only: the checks know more of Unicode than a pattern, and say what is wrong."""


def message_of(found: Mapping[str, Any]) -> str:
    """What one of pydantic's findings says, without its word for an error that a rule here raised."""
    return str(found["msg"]).removeprefix("Value error, ")


def plain_text(value: str) -> str:
    """Refuse what PostgreSQL cannot store (NUL, lone surrogates) and what no name contains.

    U+FFFD is what a decoder puts in the place of bytes that are not UTF-8.
    """
    if any(character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must be UTF-8 without control characters, NUL or lone surrogates")
    return value


def visible_text(value: str) -> str:
    """Refuse what nobody could see, too: white space, and characters that only direct, join or mark others."""
    if all(_is_invisible(character) or unicodedata.category(character) == "Mn" for character in plain_text(value)):
        raise ValueError("must have a visible character")
    return value


def name_text(value: str) -> str:
    """Refuse what has something around it that nobody could see, too.

    Nothing is stripped: a name is kept as it was sent, or not at all.
    """
    if any(_is_invisible(character) for character in (visible_text(value)[0], value[-1])):
        raise ValueError("must not begin or end with white space or an invisible character")
    return value


def is_name(value: str) -> bool:
    """Whether something new may have this name."""
    try:
        name_text(value)
    except ValueError:
        return False
    return True


def _name(value: str, info: ValidationInfo) -> str:
    return plain_text(value) if info.context == OLD_NAMES else name_text(value)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE or character in _BLANK


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_TIME:
        raise ValueError(f"must not be longer than {_LONGEST_TIME} characters")
    return value


def _sensible_time(value: datetime) -> datetime:
    if value < EARLIEST:
        raise ValueError("must not be before the year 1900")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must not be after the year 9999") from None


OLD_NAMES = {"names": "old"}
"""Context that takes names from before they were checked; whoever validates in it refuses those that are new."""
Name = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=_NAME_PATTERN), AfterValidator(_name)]
StoredName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(plain_text)]
"""A name of what is there: some were given before names had to be visible."""
KeptName = Annotated[
    str, Field(min_length=1, max_length=200, json_schema_extra=_NAME_PATTERN), AfterValidator(plain_text)
]
"""A name that may be kept, or be new; whoever takes it checks it where it is new."""
ExternalId = Annotated[str, Field(min_length=1, max_length=500, json_schema_extra=_NAME_PATTERN), AfterValidator(_name)]
GALLERY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
GalleryName = Annotated[
    str,
    Field(
        pattern=GALLERY_PATTERN,
        description="lower-case letters, digits, `-` and `_`; at most 63",
        examples=["default"],
    ),
]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_short),
    AfterValidator(_sensible_time),
    Field(description="RFC 3339, with time zone"),
]
Cursor = Annotated[str, Field(max_length=200, description="`next_cursor` of the page before.")]
REPEATABLE = ("camera_id", "exclude_camera_id", "identity")
"""Options that may be given several times."""


def _label(value: object) -> object:
    """One rule and one message, where a union of types would give one for each."""
    if isinstance(value, str) and len(value) <= _LONGEST_LABEL:
        return plain_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(
        f"must be a text of at most {_LONGEST_LABEL} characters, a finite number up to 2^53, true, false or null"
    )


Label = Annotated[
    Any,
    AfterValidator(_label),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": _LONGEST_LABEL},
                {"type": "number", "minimum": -(2**53), "maximum": 2**53},
                {"type": "boolean"},
                {"type": "null"},
            ]
        }
    ),
]

# Keys have a pattern in the description, so that it must be said that there are no others.
Labels = Annotated[dict[Name, Label], Field(json_schema_extra={"additionalProperties": False})]
KeptLabels = Annotated[dict[KeptName, Label], Field(json_schema_extra={"additionalProperties": False})]
_LABELS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[StoredName, Label])


def json_labels(value: str) -> str:
    """Refuse what no tracklet has as its labels."""
    try:
        _LABELS.validate_json(value)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        raise ValueError(
            f"must be a JSON object of labels: {where + ': ' if where else ''}{message_of(found)}"
        ) from None
    return value


def labels_as_text(value: object) -> object:
    """In a JSON body labels may be the object itself; in a query string they are its text."""
    return json.dumps(value) if isinstance(value, dict) else value


class Schema(BaseModel):
    """Common to what clients send: unknown fields are refused, since they are misspelt ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageParameters(Schema):
    """Options of a list."""

    limit: int = Field(default=100, ge=1, le=500)
    cursor: Cursor | None = None
