"""ETag and If-Match: a change of what its sender has not seen is refused."""

from typing import Annotated

from fastapi import Header, Response

from service.errors import PreconditionFailed

IfMatch = Annotated[
    str | None, Header(max_length=1000, description="Only if its ETag is one of these still; `*`: whatever it is.")
]


def tag(version: int) -> str:
    """The entity tag of this version."""
    return f'"{version}"'


def set_tag(response: Response, version: int) -> None:
    """Say which version an answer shows."""
    response.headers["ETag"] = tag(version)


def check_if_match(given: str | None, version: int) -> None:
    """See whether a request may change this version: it names it, or `*`, or has no If-Match.

    Raises:
        PreconditionFailed: it names others.
    """
    if given is None:
        return
    named = [one.strip() for one in given.split(",")]
    # A weak tag is never equal to a strong one.
    if named != ["*"] and tag(version) not in named:
        raise PreconditionFailed(
            f"It is of version {tag(version)} now, and If-Match names {given[:100]!r}. Read it again, then decide."
        )
