"""What FastAPI does not write into the OpenAPI document by itself: errors of every operation, headers, links, examples.

All of it follows from what is there, so that a new endpoint needs nothing but its own `responses`.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from service.api.examples import EXAMPLES
from service.api.examples.errors import example_of
from service.api.examples.requests import BODIES, CAMERA, PAGE_PARAMETERS, PATH_PARAMETERS
from service.api.examples.searches import TABLE
from service.api.problems import Problem, codes_of, every_error, with_problems
from service.api.schemas import TrackletMetadata

Document = dict[str, Any]

_ANYWHERE = (414, 500)
_WITH_KEY = (429,)
_WRITING = (507,)
_JOB_LINKS = {"getJob": {"job_id": "$response.body#/id"}, "cancelJob": {"job_id": "$response.body#/id"}}
# What is created may be a parameter of other operations than those below its own address.
_MORE_LINKS = {
    "createTracklet": {
        "searchByTracklet": {"query_id": "$response.body#/id"},
        "exportSearch": {"query_id": "$response.body#/id"},
    },
    "putCamera": {
        "listCameras": {"gallery": "$response.body#/gallery"},
        "getCamera": {"gallery": "$response.body#/gallery", "name": "$response.body#/name"},
        "deleteCamera": {"gallery": "$response.body#/gallery", "name": "$response.body#/name"},
    },
}
# Of answers that say more than the one thing that was made.
_ID_AT = {"decideMatch": "$response.body#/items/0/id"}
# What no endpoint names to FastAPI.
_UNNAMED: tuple[type[BaseModel], ...] = (Problem, TrackletMetadata)

_HEADERS = {
    "X-Request-ID": ("string", "Names the request in the service's log."),
    "Retry-After": ("integer", "Seconds after which to ask (again)."),
    "ETag": ("string", "The version that this is, for `If-Match` or `If-None-Match`."),
    "Location": ("string", "The address of what was made, or of the job."),
    "RateLimit": (
        "string",
        "What the key may still send, where it has a limit (draft-ietf-httpapi-ratelimit-headers).",
    ),
    "RateLimit-Policy": ("string", "The key's limit."),
    "Idempotent-Replayed": ("string", "`true`: the answer to an earlier request with the same `Idempotency-Key`."),
}


def complete(document: Document) -> Document:
    """Add all of it to FastAPI's document, in place."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _UNNAMED:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for name, schema in schemas.items():
        if "examples" not in schema and (example := _example(name, schema, schemas)) is not None:
            schema["examples"] = [example]
    document["components"]["headers"] = {
        name: {"schema": {"type": kind}, "description": said} for name, (kind, said) in _HEADERS.items()
    }
    for path, method, operation in _operations(document):
        _add_to_parameters(path, operation)
        _add_to_bodies(operation)
        _add_errors(method, operation)
        _add_headers(method, operation)
        _add_links(document, path, operation)
    document["components"]["examples"] = _examples_of_errors(document)
    return document


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _example(name: str, schema: Document, schemas: Document) -> Document | None:
    """The schema's own example, or for a page of a list one with a single item."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    reference = schema.get("properties", {}).get("items", {}).get("items", {}).get("$ref")
    if reference is None:
        return None
    item = reference.rpartition("/")[2]
    example = next(iter(schemas[item].get("examples", [])), None) or _example(item, schemas[item], schemas)
    return None if example is None else {"items": [example], "next_cursor": None}


def _add_to_parameters(path: str, operation: Document) -> None:
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "path":
            said, example = PATH_PARAMETERS[name]
            parameter.setdefault("description", said)
            parameter.setdefault(
                "example", CAMERA if (path, name) == ("/cameras/{gallery}/{name}", "name") else example
            )
        elif name in PAGE_PARAMETERS:
            parameter.setdefault("description", PAGE_PARAMETERS[name])


def _add_to_bodies(operation: Document) -> None:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "multipart/form-data":
            content["examples"] = {"example": BODIES[operation["operationId"]]}
    for response in operation["responses"].values():
        if "text/csv" in response.get("content", {}):
            response["content"]["text/csv"]["example"] = TABLE


def _add_errors(method: str, operation: Document) -> None:
    statuses: tuple[int, ...] = _ANYWHERE
    if operation.get("security"):
        statuses += _WITH_KEY + (() if method == "get" else _WRITING)
    responses = with_problems(operation["responses"], *statuses)
    operation["responses"] = {str(status): responses[status] for status in sorted(responses, key=str)}


def _examples_of_errors(document: Document) -> Document:
    """One example of each error that an operation says it may answer."""
    said = {
        code
        for _, _, operation in _operations(document)
        for response in operation["responses"].values()
        for code in codes_of(response)
    }
    return {
        error.code: {"summary": error.title, "value": example_of(error)}
        for error in every_error()
        if error.code in said
    }


def _add_headers(method: str, operation: Document) -> None:
    # A POST that may make something says where it is, also when it was there already.
    located = ("200", "201", "202") if method == "post" and "201" in operation["responses"] else ("201", "202")
    takes_key = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
    for status, response in operation["responses"].items():
        names = ["X-Request-ID"]
        if takes_key and status.startswith("2"):
            names.append("Idempotent-Replayed")
        if status in ("202", "429", "503"):
            names.append("Retry-After")
        if status in located:
            names.append("Location")
        if operation.get("security") and status not in ("401", "414"):
            names += ["RateLimit", "RateLimit-Policy"]
        headers = response.setdefault("headers", {})
        for name in names:
            headers.setdefault(name, {"$ref": f"#/components/headers/{name}"})


def _add_links(document: Document, path: str, operation: Document) -> None:
    """From the answer that something was made to every operation on it, and to the job that makes it."""
    responses = operation["responses"]
    links: dict[str, dict[str, str]] = {}
    if "202" in responses and _answers_job(responses["202"]):
        links |= {name: parameters for name, parameters in _JOB_LINKS.items() if name != operation["operationId"]}
    elif "201" in responses:
        for below, _, other in _operations(document):
            first = below.removeprefix(f"{path}/").partition("/")[0]
            if below.startswith(f"{path}/{{") and first.endswith("}"):
                named = first.strip("{}")
                at = "$response.body#/name" if named == "name" else "$response.body#/id"
                links[other["operationId"]] = {named: _ID_AT.get(operation["operationId"], at)}
        links |= _MORE_LINKS.get(operation["operationId"], {})
    for status in ("200", "201", "202"):
        if links and status in responses:
            responses[status]["links"] = {
                name: {"operationId": name, "parameters": dict(parameters)} for name, parameters in links.items()
            }


def _answers_job(response: Document) -> bool:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref", "").endswith("/JobAnswer"))
