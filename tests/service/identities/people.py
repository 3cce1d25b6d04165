"""What the tests of identities share: requests, and histories read as they are meant."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import RunningService


def call(
    running: RunningService, method: str, path: str, body: object = None, status: int = 200, **headers: str
) -> Any:
    """Send a request that must be answered with this status; return the answer's body."""
    content = {} if body is None else {"json": body}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = running.client().request(method, path, headers=named, **content)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def conflict(running: RunningService, method: str, path: str, body: object = None) -> tuple[str, str]:
    """Code and detail of a request that must be refused as a conflict."""
    problem = call(running, method, path, body, 409)
    return problem["code"], problem["detail"]


def new_identity(running: RunningService, name: str, *tracklets: str, gallery: str = "default") -> str:
    """Make an identity; its id."""
    body = {"gallery": gallery, "name": name, "tracklet_ids": list(tracklets)}
    return call(running, "POST", "/identities", body, 201)["id"]


def identity_of(running: RunningService, tracklet_id: str) -> str | None:
    """The name of a tracklet's identity."""
    return call(running, "GET", f"/tracklets/{tracklet_id}")["identity"]


def replay(events: list[dict[str, Any]]) -> dict[str, str]:
    """Which identity every tracklet has after these events, oldest first: what a reader of the history concludes."""
    owner: dict[str, str] = {}
    for event in events:
        if event["kind"] in ("confirmed", "rejected", "withdrawn"):
            continue
        for tracklet in event["tracklet_ids"]:
            if event["kind"] in ("created", "assigned", "merged"):
                owner[tracklet] = event["identity_id"]
            elif event["kind"] == "unmerged":
                owner[tracklet] = event["other_id"]
            else:
                del owner[tracklet]
    return owner


def assignment(running: RunningService, gallery: str) -> dict[str, str]:
    """Which identity every tracklet of a gallery has, as the database says."""
    with running.database() as connection:
        rows = connection.execute(
            "SELECT tracklets.id::text, identities.id::text FROM tracklets"
            " JOIN identities ON identities.gallery_id = tracklets.gallery_id AND identity = identities.name"
            " JOIN galleries ON galleries.id = tracklets.gallery_id WHERE galleries.name = %s",
            (gallery,),
        ).fetchall()
    return dict(rows)


def history(running: RunningService, gallery: str) -> list[dict[str, Any]]:
    """Every event of a gallery, oldest first."""
    with running.database() as connection:
        rows = connection.execute(
            "SELECT kind, identity_id::text, other_id::text, tracklet_ids::text[] FROM identity_events"
            " JOIN galleries ON galleries.id = gallery_id WHERE name = %s ORDER BY identity_events.id",
            (gallery,),
        ).fetchall()
    return [dict(zip(("kind", "identity_id", "other_id", "tracklet_ids"), row, strict=True)) for row in rows]


def assert_explained(running: RunningService, gallery: str = "default") -> None:
    """The history explains who has what, merged identities have nothing, and the index has what the database does."""
    assert replay(history(running, gallery)) == assignment(running, gallery)
    with running.database() as connection:
        left = connection.execute(
            "SELECT count(*) FROM tracklets JOIN identities ON identities.gallery_id = tracklets.gallery_id"
            " AND identity = identities.name WHERE merged_into IS NOT NULL"
        ).fetchone()
    assert left == (0,)
    with running.database() as connection:
        rows = connection.execute(
            "SELECT tracklets.id, identity FROM tracklets JOIN galleries ON galleries.id = gallery_id WHERE name = %s",
            (gallery,),
        ).fetchall()
    frozen = running.service.galleries.find(gallery).index.freeze()
    ids = [uuid.UUID(bytes=identifier.tobytes()) for identifier in frozen.ids]
    assert {one: frozen.columns.describe(row)[3] for row, one in enumerate(ids)} == dict(rows)


@contextmanager
def unchanged(running: RunningService, gallery: str = "default") -> Iterator[None]:
    """What happens in the block changes no assignment and writes no history."""
    before = assignment(running, gallery), history(running, gallery)
    yield
    assert (assignment(running, gallery), history(running, gallery)) == before
