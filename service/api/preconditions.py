"""Versions as they go over the wire: `ETag` in an answer, `If-Match` in a request that changes something."""

import re
from typing import Annotated

from fastapi import Header

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description="Change it only if it has this version: the `ETag` of an answer. Otherwise 412.",
        examples=['"3"'],
    ),
]

_STRONG = re.compile(r'"([0-9]{1,18})"')


def entity_tag(version: int) -> str:
    """The `ETag` of something that has versions."""
    return f'"{version}"'


def versions_in(header: str | None) -> frozenset[int] | None:
    """The versions that `If-Match` allows; None: any. What is no tag of ours matches nothing."""
    if header is None or header.strip() == "*":
        return None
    tags = (_STRONG.fullmatch(tag.strip()) for tag in header.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag)
