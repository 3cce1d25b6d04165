"""The OpenAPI document is whole, true to itself, and the one that is committed."""

import ast
import csv
import json
import re
from collections.abc import Iterator
from io import StringIO

import httpx
import jsonschema_rs
import pytest

from service.api.batch_schemas import ManifestLine
from service.api.examples import EXAMPLES
from service.api.problems import codes_of, every_error
from service.export import csv_rows
from service.openapi import document
from tests.contract.outsider import assert_declared
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
def test_every_parameter_is_described_and_one_of_a_path_has_an_example(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter["name"]
        if parameter["in"] == "path":
            assert faults(parameter["schema"], parameter["example"]) == [], parameter["name"]


def test_forms_archives_and_tables_have_examples() -> None:
    shown = {}
    for name, (_, _, operation) in OPERATIONS.items():
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if kind == "multipart/form-data":
                (example,) = content["examples"].values()
                assert faults(content["schema"], example["value"]) == [], name
                shown[name] = example
        for response in operation["responses"].values():
            if (table := response.get("content", {}).get("text/csv")) is not None:
                head, row = csv.reader(StringIO(table["example"]))
                assert (tuple(head), len(row)) == (csv_rows.COLUMNS, len(head))
                shown[f"{name} csv"] = table
    assert len(shown) == 7
    # What is JSON within is right, too.
    metadata = json.loads(shown["createTracklet"]["value"]["metadata"])
    assert faults(SCHEMAS["TrackletMetadata"], metadata) == []
    archive = OPERATIONS["createTracklets"][2]["requestBody"]["content"]["application/x-tar"]["schema"]["description"]
    command, line = re.search("`(tar .*?)`.*`({.*})`", archive).groups()
    assert command.split()[-3:] == ["manifest.jsonl", *ManifestLine.model_validate_json(line).frames]


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


@every_operation
def test_every_error_says_its_codes_with_an_example_of_each(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    for status, response in operation["responses"].items():
        # What is not ready says so in a document of its own.
        if int(status) < 400 or (name, status) == ("readyz", "503"):
            continue
        codes = codes_of(response)
        assert codes, status
        assert set(response["content"]["application/problem+json"]["examples"]) == set(codes)
        for code in codes:
            assert DESCRIPTION["components"]["examples"][code]["value"]["status"] == int(status)


def test_every_error_is_one_that_some_operation_names() -> None:
    examples = DESCRIPTION["components"]["examples"]
    assert set(examples) == {error.code for error in every_error()}
    for code, example in examples.items():
        assert example["value"]["code"] == code
        assert faults(SCHEMAS["Problem"], example["value"]) == []


def sayings() -> Iterator[re.Pattern[str]]:
    """What the service's texts can come to, of every text in it that says something."""
    for file in (ROOT / "service").rglob("*.py"):
        if "examples" in file.parts or file.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield re.compile(re.escape(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
                if sum(len(part) for part in parts if part is not None) >= 15:
                    yield re.compile("".join(".*" if part is None else re.escape(part) for part in parts))


def test_what_examples_of_errors_say_is_what_the_service_says() -> None:
    said = list(sayings())
    for code, example in DESCRIPTION["components"]["examples"].items():
        detail = example["value"]["detail"]
        assert any(saying.fullmatch(detail) for saying in said), f"{code}: {detail}"


def test_a_code_that_an_operation_does_not_name_is_noticed() -> None:
    assert_declared(httpx.Request("GET", "http://x/search?query_id=1"), 409, "cursor_expired")
    with pytest.raises(AssertionError, match="GET /search does not name 409 gallery_exists"):
        assert_declared(httpx.Request("GET", "http://x/search?query_id=1"), 409, "gallery_exists")
