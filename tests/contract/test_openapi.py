"""The service describes the interface that others build on."""

import httpx
import pytest

from tests.support import RunningService

# What others build on: method, path with its parameters unnamed, and the errors that its callers must expect.
INTERFACE = {
    ("post", "/tracklets"): {"401", "403", "409", "413", "415", "422", "503", "507"},
    ("get", "/tracklets"): {"401", "403", "404", "422"},
    ("get", "/tracklets/{}"): {"401", "403", "404", "422"},
    ("delete", "/tracklets/{}"): {"401", "403", "404", "412", "422"},
    ("get", "/tracklets/{}/frames/{}"): {"401", "403", "404", "422"},
    ("get", "/tracklets/{}/frames/{}/attention"): {"401", "403", "404", "409", "422", "503"},
    ("get", "/tracklets/{}/evidence"): {"401", "403", "404", "409", "422", "503"},
    ("get", "/tracklets/{}/purity"): {"401", "403", "404", "409", "422", "503"},
    ("patch", "/tracklets/{}"): {"401", "403", "404", "409", "412", "422"},
    ("post", "/identities"): {"401", "403", "404", "409", "422"},
    ("patch", "/identities/{}"): {"401", "403", "404", "409", "412", "422"},
    ("post", "/identities/{}/tracklets"): {"401", "403", "404", "409", "412", "422"},
    ("get", "/identities/proposals"): {"401", "403", "404", "422", "503"},
    ("get", "/identities"): {"401", "403", "404", "422"},
    ("get", "/matches"): {"401", "403", "404", "422"},
    ("get", "/admin/generations"): {"401", "403", "404", "422"},
    ("post", "/matches"): {"401", "403", "404", "409", "422"},
    ("get", "/search"): {"401", "403", "404", "422", "503"},
    ("post", "/search"): {"401", "403", "404", "413", "415", "422", "503"},
    ("post", "/galleries"): {"401", "403", "409", "422"},
    ("get", "/galleries"): {"401", "403", "422"},
    ("get", "/galleries/{}"): {"401", "403", "404", "422"},
    ("patch", "/galleries/{}"): {"401", "403", "404", "412", "422"},
    ("delete", "/galleries/{}"): {"401", "403", "404", "422"},
    ("get", "/galleries/{}/transits"): {"401", "403", "404", "422"},
    ("put", "/galleries/{}/transits"): {"401", "403", "404", "412", "413", "422"},
    ("get", "/cameras"): {"401", "403", "404", "422"},
    ("get", "/cameras/{}/{}"): {"401", "403", "404", "422"},
    ("put", "/cameras/{}/{}"): {"401", "403", "404", "412", "422"},
    ("delete", "/cameras/{}/{}"): {"401", "403", "404", "409", "412", "422"},
    ("post", "/search/examples"): {"401", "403", "404", "409", "413", "415", "422", "503"},
    ("post", "/search/batch"): {"401", "403", "413", "415", "422", "503"},
    ("get", "/search/export"): {"401", "403", "404", "409", "422", "503"},
    ("post", "/search/export"): {"400", "401", "403", "404", "409", "413", "415", "422", "503", "507"},
    ("post", "/search/examples/export"): {"401", "403", "404", "409", "413", "415", "422", "503"},
    ("post", "/verify"): {"400", "401", "403", "404", "413", "415", "422", "503"},
    ("post", "/admin/reindex"): {"401", "403", "404", "422"},
    ("post", "/admin/models"): {"401", "403", "404", "413", "415", "422", "507"},
    ("get", "/admin/models"): {"401", "403", "422"},
    ("get", "/admin/models/{}"): {"401", "403", "404", "422"},
    ("delete", "/admin/models/{}"): {"401", "403", "404", "409", "422"},
    ("post", "/admin/calibrations"): {"401", "403", "404", "409", "413", "415", "422"},
    ("get", "/calibrations"): {"401", "403", "404", "422", "503"},
    ("get", "/calibrations/{}"): {"401", "403", "404", "422", "503"},
    ("delete", "/admin/calibrations/{}"): {"401", "403", "404", "422"},
    ("get", "/admin/keys"): {"401", "403"},
    ("post", "/admin/keys"): {"401", "403", "422"},
    ("get", "/admin/keys/{}"): {"401", "403", "404", "422"},
    ("patch", "/admin/keys/{}"): {"401", "403", "404", "412", "413", "415", "422"},
    ("delete", "/admin/keys/{}"): {"401", "403", "404", "412", "422"},
    ("get", "/jobs/{}"): {"401", "403", "404", "422"},
    ("get", "/livez"): set(),
    ("get", "/readyz"): {"503"},
    ("get", "/metrics"): set(),
}


@pytest.fixture(scope="module")
def description(running_service: RunningService) -> dict:
    """The service's OpenAPI document."""
    return httpx.get(f"{running_service.url}/openapi.json").json()


def operations(description: dict) -> dict[tuple[str, str], dict]:
    """Operations by method and path, path parameters unnamed."""
    found = {}
    for path, methods in description["paths"].items():
        unnamed = "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
        found |= {(method, unnamed): operation for method, operation in methods.items()}
    return found


@pytest.mark.parametrize("operation", INTERFACE, ids=" ".join)
def test_the_interface_is_described_with_its_errors(description: dict, operation: tuple[str, str]) -> None:
    responses = operations(description)[operation]["responses"]
    assert INTERFACE[operation] <= set(responses)
    for status, response in responses.items():
        if int(status) >= 400 and operation != ("get", "/readyz"):
            assert set(response["content"]) == {"application/problem+json"}, status


def test_every_operation_has_a_name_of_its_own_and_a_summary(description: dict) -> None:
    named = [operation["operationId"] for operation in operations(description).values()]
    assert len(set(named)) == len(named)
    for operation in operations(description).values():
        assert operation.get("summary") or operation.get("description")


def test_every_operation_but_health_asks_for_a_key(description: dict) -> None:
    for (_, path), operation in operations(description).items():
        assert bool(operation.get("security")) == (path not in ("/livez", "/readyz", "/metrics")), path
