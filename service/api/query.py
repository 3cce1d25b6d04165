"""The options of a request, from its query string or a form, as one model.

FastAPI's own `Annotated[Model, Query()]` looks every field up anew in every request, which took a quarter of the time
that a search spends outside the index. An endpoint that is asked often takes `Request`, says what it takes by
`openapi_extra=query_options(Model)`, and calls `read_query`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from service.api.problems import field_errors
from service.api.values import REPEATABLE, Schema
from service.errors import FieldError, InvalidRequest

Options = TypeVar("Options", bound=Schema)

_SHOWN = 100


def query_options(schema: type[Schema]) -> dict[str, Any]:
    """The `openapi_extra=` of an endpoint that calls `read_query`."""
    described = schema.model_json_schema()
    required = described.get("required", ())
    return {
        "parameters": [
            {"name": name, "in": "query", "required": name in required, "schema": value}
            | ({"description": value["description"]} if "description" in value else {})
            for name, value in described["properties"].items()
        ]
    }


def read_query(request: Request, schema: type[Options]) -> Options:
    """The options in the query string.

    Raises:
        InvalidRequest: an option is unknown, breaks a rule, or is given twice.
    """
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        given.setdefault(name, []).append(value)
    return parse_options(schema, given, prefix="query")


def parse_options(schema: type[Options], given: Mapping[str, Sequence[str]], prefix: str = "") -> Options:
    """Check options.

    Args:
        given: the values of each.
        prefix: where they stood, for the error.

    Raises:
        InvalidRequest: as `read_query`.
    """
    for name, values in given.items():
        if len(values) > 1 and name not in REPEATABLE:
            raise InvalidRequest(
                f"{name[:_SHOWN]!r} is given more than once.", [FieldError(name[:_SHOWN], "given twice")]
            )
    try:
        return schema.model_validate(
            {name: values if name in REPEATABLE else values[0] for name, values in given.items()}
        )
    except ValidationError as error:
        errors = field_errors(error, prefix)
        raise InvalidRequest("; ".join(f"{one.location}: {one.message}" for one in errors[:3]), errors) from None
