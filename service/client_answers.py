"""Reading the service's answers, for the client."""

from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from service.client_errors import UnexpectedAnswerError

Answer = TypeVar("Answer", bound=BaseModel)


def parse(kind: type[Answer], response: httpx.Response) -> Answer:
    """Read the answer's body.

    Raises:
        UnexpectedAnswerError: it is something else.
    """
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise UnexpectedAnswerError(
            f"{response.request.method} {response.url} answered {response.status_code} with something that is not a "
            f"{kind.__name__} ({where}: {fault['msg']}); is this the service's address?"
        ) from error


def segment(identifier: object) -> str:
    """An identifier as one segment of a path."""
    return quote(str(identifier), safe="")
