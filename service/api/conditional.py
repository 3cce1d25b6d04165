"""Conditional requests (RFC 9110, 13): whether a reader's copy is still good, and a writer saw what it changes."""

import re
from typing import Annotated, Any

from fastapi import Header

from service.errors import PreconditionFailed

_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')

_VERSION = re.compile(r'"([1-9][0-9]{0,17})"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1000,
        description="The `ETag` of what is changed: refused with 412 if it was changed since.",
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="The `ETag` of a copy: 304 without a body if it is still good.")
]
IfNew = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        max_length=1000,
        description="`*`: only make it. Refused with 412 if it is there.",
    ),
]

TAGGED: dict[str, Any] = {"headers": {"ETag": {"$ref": "#/components/headers/ETag"}}}
"""Of an answer in the OpenAPI document: it says which version it is."""


def etag(version: object) -> str:
    """The strong entity tag of this version: a counter that every change raises, or a digest of the content."""
    return f'"{version}"'


def check_unchanged(if_match: str | None, current: str | None) -> None:
    """Refuse to change what is not as the caller saw it. Call it in the transaction that locked the row.

    Args:
        if_match: the request's `If-Match`; without one, nothing is refused.
        current: the `etag` of what is there; None where there is nothing. That there is something is `*`.

    Raises:
        PreconditionFailed: it is another one.
    """
    if if_match is None:
        return
    if current is None:
        raise PreconditionFailed("There is nothing yet that could be changed. Send it without If-Match to make it.")
    if if_match.strip() == "*":
        return
    # Weak tags never match here (RFC 9110, 13.1.1): they do not promise equal content.
    if current not in [found[0] for found in _TAG.finditer(if_match)]:
        raise PreconditionFailed("It was changed since you read it. Read it again, and send the ETag of that answer.")


def check_new(if_none_match: str | None, current: str | None) -> None:
    """Refuse to change what the caller only wants to make. Call it in the transaction that locked the row.

    Args:
        if_none_match: the request's `If-None-Match`; without one, nothing is refused.
        current: the `etag` of what is there; None where there is nothing.

    Raises:
        PreconditionFailed: it is there.
    """
    if current is not None and still_good(if_none_match, current):
        raise PreconditionFailed("It is there already. Read it, and send the ETag of that answer as If-Match.")


def versions_in(if_match: str | None) -> frozenset[int] | None:
    """The versions of a row that `If-Match` allows to be changed; None: any. What is no tag of ours allows none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [found[0] for found in _TAG.finditer(if_match)]
    return frozenset(int(number[1]) for tag in tags if (number := _VERSION.fullmatch(tag)))


def still_good(if_none_match: str | None, current: str) -> bool:
    """Whether the caller's copy is the present one, so that 304 says everything."""
    if if_none_match is None:
        return False
    tags = [found[0].removeprefix("W/") for found in _TAG.finditer(if_none_match)]
    # `*` is to stand alone; who sends it with others, in a line of its own, still means what is there.
    return "*" in (one.strip() for one in _TAG.sub("", if_none_match).split(",")) or current in tags
