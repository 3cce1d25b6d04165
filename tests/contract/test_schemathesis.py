"""The service does what its description says, also for requests that nobody thought of, one after the other."""

import os
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis import Case, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.generation.stateful import APIStateMachine
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contract import archive_bodies
from tests.docs.pages import ROOT
from tests.support import RunningService, frame_files, pictures, upload

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


TRACKLET_FIELDS = {"tracklet_id", "other_tracklet_id", "query_id", "against", "tracklet_ids", "positive"}
IDENTITY_FIELDS = {"identity_id", "from_id"}


def store_people(running: RunningService) -> tuple[list[str], list[str]]:
    """Store tracklets of two identities and two of nobody; ids of the tracklets and of the identities."""
    tracklets = [upload(running, seed, frames=4, camera_id=f"c{seed % 2}")["id"] for seed in range(100, 104)]
    identities = []
    with running.client() as client:
        for tracklet in tracklets[:2]:
            made = client.post("/identities", json={"name": f"of {tracklet}", "tracklet_ids": [tracklet]})
            identities.append(made.json()["id"])
    return tracklets, identities


def name_stored(values: object, people: tuple[list[str], list[str]], number: int) -> None:
    """Put ids of what is stored in the place of made-up ones in a body or options, in place."""
    if not isinstance(values, dict):
        return
    if "other_tracklet_id" in values:
        # A match is with one of the two.
        values.pop("identity_id", None)
    for name, value in values.items():
        if name == "queries" and isinstance(value, list):
            for query in value:
                name_stored(query, people, number + 1)
        elif value and name in TRACKLET_FIELDS | IDENTITY_FIELDS:
            ids = people[name in IDENTITY_FIELDS]
            chosen = ids[(number + len(name)) % len(ids)]
            values[name] = [chosen] if isinstance(value, list) else chosen


def machine(running: RunningService, seen: Counter[tuple[str, int]], wrong: list[Exception]) -> type[APIStateMachine]:
    """Requests that follow from one another by the description's links, each answer compared with the description.

    Answers are counted in `seen`, and what is wrong about one is added to `wrong`.
    """
    description = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    with running.client() as client:
        own = {key["id"] for key in client.get("/admin/keys").json()["items"]}
    people = store_people(running)
    uploads, requests = count(), count()

    class Machine(description.as_state_machine()):  # type: ignore[misc]
        fresh = True

        def before_call(self, case: Case) -> None:
            # The simplest sequence comes first, and is the same every time.
            first, Machine.fresh = Machine.fresh, False
            assume(not first)
            # In place of the made-up ones that a stranger would send.
            case.headers["Authorization"] = f"Bearer {running.admin_key}"
            # Links lead to what a path names; two of three requests name what is there in bodies and options too.
            number = next(requests)
            if number % 3:
                name_stored(case.body, people, number)
                name_stored(case.query, people, number)
            # It may do everything but saw off the branch that it sits on.
            if case.path_parameters and case.path_parameters.get("key_id") in own:
                case.path_parameters["key_id"] = str(uuid.uuid4())

        def get_call_kwargs(self, case: Case) -> dict[str, object]:
            # It cannot make up images: of uploads, the first of every three is one that is stored.
            if case.operation.label != "POST /tracklets" or (number := next(uploads)) % 3:
                return {}
            case.body = NotSet()
            return {"data": {"metadata": '{"camera_id": "c1"}'}, "files": frame_files(pictures(number, 1))}

        def validate_response(self, response: Response, case: Case, **_: object) -> None:
            seen[case.operation.label, response.status_code] += 1
            try:
                case.validate_response(response, checks=CHECKS)
            except Exception as error:
                wrong.append(error)
                raise

    return Machine


def play(running: RunningService, examples: int, steps: int) -> Counter[tuple[str, int]]:
    """Play `examples` sequences of requests; how often each operation answered each status."""
    seen: Counter[tuple[str, int]] = Counter()
    wrong: list[Exception] = []
    played = machine(running, seen, wrong)
    for number in range(examples):
        # Each on its own: to Hypothesis the same choices have the same consequences, but a service that keeps what it
        # is sent, and has jobs, answers otherwise the second time.
        played.fresh = True
        # Hypothesis ends a sequence in which the same choices had other consequences than before.
        with suppress(FlakyStrategyDefinition):
            seed(number)(played).run(
                settings=settings(
                    max_examples=1,
                    stateful_step_count=steps,
                    deadline=None,
                    database=None,
                    phases=(Phase.generate,),
                    suppress_health_check=list(HealthCheck),
                )
            )
        # Whatever Hypothesis made of it.
        assert wrong == []
    with running.client() as client:
        assert client.get("/readyz").status_code == 200
    return seen


def test_sequences_of_requests_are_answered_as_described(running_service: RunningService) -> None:
    upload(running_service, seed=1)
    seen = play(running_service, examples=8, steps=8)
    # It leaves the key out now and then, on purpose; the key itself must outlive the play.
    assert 2 * sum(times for (_, status), times in seen.items() if status == 401) < seen.total()
    # Links reach what is there, instead of ids that nobody has.
    assert any("{" in operation and status in (200, 202, 204) for operation, status in seen), seen
    assert len({operation for operation, _ in seen}) > 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_sequences_of_requests_are_answered_as_described(running_service: RunningService) -> None:
    upload(running_service, seed=1)
    seen = play(running_service, examples=100, steps=12)
    assert seen["GET /jobs/{job_id}", 200]
    assert seen["GET /admin/keys/{key_id}", 200]
    assert seen["POST /identities", 201]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_single_requests_are_answered_as_described(running_service: RunningService, tmp_path: Path) -> None:
    upload(running_service, seed=1, external_id="one")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{running_service.url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {running_service.admin_key}"]
    command += ["--checks", ",".join(check.__name__ for check in CHECKS)]
    command += ["--phases", "examples,coverage,fuzzing", "--mode", "all"]
    command += ["--max-examples", "15", "--seed", "1", "--generation-deterministic"]
    command += ["--suppress-health-check", "all", "--request-timeout", "20", "--no-color"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": archive_bodies.__name__}
    finished = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800, check=False
    )
    assert finished.returncode == 0, finished.stdout[-8000:] + finished.stderr[-2000:]
    with running_service.client() as client:
        assert client.get("/readyz").status_code == 200
