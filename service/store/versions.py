"""Versions of rows: a change by somebody who saw another one than the row has is refused."""

from service.errors import PreconditionFailed


def check_version(version: int, versions: frozenset[int] | None) -> None:
    """See whether a row has a version that the caller expects.

    Args:
        versions: those that the caller expects it to have; None: any.

    Raises:
        PreconditionFailed: it has another one.
    """
    if versions is not None and version not in versions:
        raise PreconditionFailed(f"It has version {version} by now: read it again, and change or delete that.")
