"""The options of requests, as the client sends them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

KEEP = object()
"""Leaves a tracklet's identity as it is; None would take it away."""


@dataclass(frozen=True)
class SearchOptions:
    """Which rows a search may rank, and how many it answers; None leaves the service's default.

    What begins with `query_` says where and when frames were seen that are not stored: for searches by frames only.
    """

    k: int | None = None
    gallery: str | None = None
    camera_id: Sequence[str] = ()
    exclude_camera_id: Sequence[str] = ()
    exclude_query_camera: bool | None = None
    started_after: datetime | None = None
    ended_before: datetime | None = None
    identity: Sequence[str] = ()
    identity_known: bool | None = None
    labels: Mapping[str, Any] | None = None
    min_frames: int | None = None
    min_score: float | None = None
    rerank: Literal["k_reciprocal"] | None = None
    expand: int | None = None
    rerank_top: int | None = None
    rerank_k1: int | None = None
    rerank_k2: int | None = None
    rerank_lambda: float | None = None
    group_by: Literal["identity"] | None = None
    cursor: str | None = None
    min_time_gap_seconds: float | None = None
    feasible_transit: bool | None = None
    query_camera_id: str | None = None
    query_started_at: datetime | None = None
    query_ended_at: datetime | None = None

    def parameters(self) -> list[tuple[str, str]]:
        """Return them as HTTP parameters; cameras and identities repeat."""
        parameters: list[tuple[str, str]] = []
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in ("camera_id", "exclude_camera_id", "identity"):
                parameters += [(option.name, one) for one in value]
            elif value is not None:
                parameters.append((option.name, _as_text(value)))
        return parameters

    def document(self) -> dict[str, Any]:
        """Return those that are given as members of a JSON body."""
        given = {option.name: getattr(self, option.name) for option in fields(self)}
        return {name: _as_json(value) for name, value in given.items() if value is not None and value != ()}


def examples_document(
    positive: Sequence[str],
    negative: Sequence[str],
    options: SearchOptions | None,
    combine: Literal["mean", "max"] | None,
) -> dict[str, Any]:
    """Return the JSON body of a search by examples."""
    given: dict[str, Any] = {"positive": list(positive), "negative": list(negative)}
    if combine is not None:
        given["combine"] = combine
    return given | (options or SearchOptions()).document()


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, list | tuple | set | frozenset) else value
