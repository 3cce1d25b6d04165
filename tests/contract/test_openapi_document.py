"""The OpenAPI document is whole, true to itself, and the one that is committed."""

import json
import re

import jsonschema_rs
import pytest

from service.api.examples import EXAMPLES
from service.openapi import document
from tests.docs.pages import ROOT

DESCRIPTION = json.loads(document())
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
}
SCHEMAS = DESCRIPTION["components"]["schemas"]

every_operation = pytest.mark.parametrize("name", OPERATIONS)


def test_the_committed_document_is_the_services() -> None:
    committed = (ROOT / "docs/openapi.json").read_text()
    assert committed == document(), "docs/openapi.json is out of date; write it again with: make openapi"


@every_operation
def test_a_name_is_chosen_and_not_made_up_by_the_framework(name: str) -> None:
    assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)


@every_operation
def test_every_operation_says_the_errors_that_any_may_answer(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    expected = {"414", "500"} | ({"401", "403", "429", "503"} if operation.get("security") else set())
    assert expected <= set(operation["responses"])
    if any(parameter["in"] in ("path", "query") for parameter in operation.get("parameters", [])):
        assert "422" in operation["responses"]


@every_operation
def test_every_answer_is_described(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    assert operation["description"]
    for status, response in operation["responses"].items():
        assert response["description"], status
        assert "X-Request-ID" in response["headers"], status
        for header in response["headers"].values():
            assert header["$ref"].rpartition("/")[2] in DESCRIPTION["components"]["headers"]


@every_operation
def test_what_is_made_is_linked_to_what_can_be_done_with_it(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    for status in {"201", "202"} & set(operation["responses"]):
        links = operation["responses"][status]["links"]
        assert any(OPERATIONS[link["operationId"]][1] == "get" for link in links.values())
        for link in links.values():
            path, _, target = OPERATIONS[link["operationId"]]
            known = {parameter["name"] for parameter in target["parameters"]}
            assert set(link["parameters"]) <= known, path


def faults(schema: dict, example: object) -> list[str]:
    """What is wrong with an example."""
    whole = schema | {"components": DESCRIPTION["components"]}
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(example)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_has_an_example_that_keeps_to_it(name: str) -> None:
    examples = SCHEMAS[name]["examples"]
    assert examples
    for example in examples:
        assert faults(SCHEMAS[name], example) == []


def test_every_reference_leads_somewhere_in_the_document() -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', document()):
        found = DESCRIPTION
        root, *parts = reference.split("/")
        assert root == "#", reference
        for part in parts:
            assert part in found, reference
            found = found[part]


def test_no_example_is_of_a_schema_that_is_gone() -> None:
    assert set(EXAMPLES) <= set(SCHEMAS)


def json_bodies() -> dict[str, dict]:
    """The schema of every JSON body that a client sends, by operation."""
    bodies = {
        name: operation.get("requestBody", {}).get("content", {}) for name, (_, _, operation) in OPERATIONS.items()
    }
    return {name: body["application/json"]["schema"] for name, body in bodies.items() if "application/json" in body}


@pytest.mark.parametrize("name", json_bodies())
def test_every_json_body_has_an_example_that_keeps_to_it(name: str) -> None:
    schema = json_bodies()[name]
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    assert schema["examples"]
    for example in schema["examples"]:
        assert faults(schema, example) == []


def test_an_example_that_does_not_keep_to_its_schema_is_noticed() -> None:
    assert faults(SCHEMAS["Problem"], EXAMPLES["Problem"] | {"errors": [{"location": 1}]})
