"""A bound on the uploads that are read at one time, so that memory stays bounded too."""

from types import TracebackType

from service.errors import Unavailable


class Admission:
    """Lets `limit` requests in at a time; the next one is told to come back rather than kept waiting.

    Args:
        what: are let in.
        setting: the limit's name.
    """

    def __init__(self, limit: int, what: str = "requests with frames", setting: str = "TFCLIP_MAX_UPLOADS") -> None:
        self._limit = limit
        self._refusal = f"{limit} {what} are being worked on already ({setting}); try again."
        self._inside = 0

    @property
    def inside(self) -> int:
        """Requests that are inside now."""
        return self._inside

    async def __aenter__(self) -> None:
        if self._inside >= self._limit:
            raise Unavailable(self._refusal)
        self._inside += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
