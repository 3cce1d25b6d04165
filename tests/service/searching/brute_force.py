"""What searches must answer, worked out the obvious way."""

import uuid

import httpx
import numpy as np

from service.gallery.scoring import cosine_scores, unit_rows

TRACKLETS = 24


def ranking(stored: list[dict], units: dict[str, np.ndarray], query: np.ndarray, *hidden: str) -> list[tuple]:
    """All others by (-score, id): score, id, identity."""
    vector = unit_rows(query[None])[0]
    scored = [
        (-float(cosine_scores(units[one["id"]][None], vector)[0]), uuid.UUID(one["id"]), one["identity"])
        for one in stored
        if one["id"] not in hidden
    ]
    return [
        (-negative, str(identifier), identity) for negative, identifier, identity in sorted(scored, key=lambda s: s[:2])
    ]


def grouped(places: list[tuple]) -> list[tuple]:
    seen: set[str] = set()
    return [p for p in places if p[2] is None or (p[2] not in seen and not seen.add(p[2]))]


def ids(answer: dict) -> list[str]:
    return [result["tracklet_id"] for result in answer["results"]]


def get(client: httpx.Client, path: str = "/search", **parameters: object) -> dict:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()
