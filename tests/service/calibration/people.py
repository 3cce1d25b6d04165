"""Made-up people: clusters of unit vectors, and galleries of them in a running service."""

import json
import uuid
from dataclasses import dataclass

import numpy as np

from tests.jobs import run
from tests.support import RunningService, wait_until

CAMERAS = 3


@dataclass(frozen=True)
class World:
    """A population: people are drawn from it, and seen, as often as asked."""

    dimension: int = 16
    spread: float = 0.5
    crowding: float = 0.0
    """How much people differ in how many others they look like."""

    def people(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, D) centres."""
        centres = rng.normal(size=(count, self.dimension))
        centres += self.crowding * rng.gamma(1.0, 1.0, size=(count, 1))
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)

    def seen(self, people: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
        """(count, times, D) unit vectors, each from another camera."""
        noise = self.spread * rng.normal(size=(len(people), times, self.dimension)) / self.dimension**0.5
        vectors = people[:, None] + noise
        return (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)


def store(running: RunningService, gallery: str, vectors: np.ndarray, identities: list[str | None]) -> list[str]:
    """Put (N, D) descriptors into a gallery as uploads do, row n from camera n modulo `CAMERAS`; returns their ids.

    The descriptors are made up, so there are no frames behind them.
    """
    with running.database() as connection, connection.transaction():
        model, width = connection.execute("SELECT id, dimension FROM models ORDER BY created_at LIMIT 1").fetchone()
        connection.execute("INSERT INTO galleries (name) VALUES (%s) ON CONFLICT DO NOTHING", (gallery,))
        (number,) = connection.execute("SELECT id FROM galleries WHERE name = %s", (gallery,)).fetchone()
        connection.execute(
            "INSERT INTO generations (gallery_id, number, model_id, status) VALUES (%s, 1, %s, 'ready')"
            " ON CONFLICT DO NOTHING",
            (number, model),
        )
        for camera in range(CAMERAS):
            connection.execute(
                "INSERT INTO cameras (gallery_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING", (number, f"c{camera}")
            )
        cameras = dict(connection.execute("SELECT name, id FROM cameras WHERE gallery_id = %s", (number,)).fetchall())
        ids = [uuid.uuid4() for _ in vectors]
        wide = np.zeros((len(vectors), width), "<f4")
        wide[:, : vectors.shape[1]] = vectors
        (change,) = connection.execute(
            "UPDATE galleries SET change = change + %s WHERE id = %s RETURNING change", (len(ids), number)
        ).fetchone()
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO identities (id, gallery_id, name) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [(uuid.uuid4(), number, who) for who in sorted({who for who in identities if who is not None})],
            )
            cursor.executemany(
                "INSERT INTO tracklets (id, gallery_id, camera_id, frames_digest, identity, labels, frame_count)"
                " VALUES (%s, %s, %s, '', %s, %s, 1)",
                [
                    (one, number, cameras[f"c{n % CAMERAS}"], who, json.dumps({"n": n % 2}))
                    for n, (one, who) in enumerate(zip(ids, identities, strict=True))
                ],
            )
            cursor.executemany(
                "INSERT INTO descriptors (tracklet_id, model_id, vector) VALUES (%s, %s, %s)",
                [(one, model, row.tobytes()) for one, row in zip(ids, wide, strict=True)],
            )
            cursor.executemany(
                "INSERT INTO changes (gallery_id, number, kind, tracklet_id) VALUES (%s, %s, 'added', %s)",
                [(number, change - len(ids) + n + 1, one) for n, one in enumerate(ids)],
            )

    def followed() -> bool:
        served = running.service.galleries.find(gallery)
        return served is not None and served.index.applied >= change

    wait_until(followed)
    return [str(one) for one in ids]


def switch(running: RunningService, gallery: str, generation: int, model: str | None = None) -> None:
    """Serve the gallery by another generation, as a re-index does; with `model`, a new one under this model.

    The model is new, and says of every tracklet what the first one does.
    """
    with running.database() as connection, connection.transaction():
        (number,) = connection.execute("SELECT id FROM galleries WHERE name = %s", (gallery,)).fetchone()
        if model is not None:
            connection.execute(
                "INSERT INTO models (id, dimension, architecture, image, provenance)"
                " SELECT %s, dimension, architecture, image, provenance FROM models ORDER BY created_at LIMIT 1",
                (model,),
            )
            connection.execute(
                "INSERT INTO descriptors (tracklet_id, model_id, vector)"
                " SELECT tracklet_id, %s, vector FROM descriptors JOIN tracklets ON tracklets.id = tracklet_id"
                " WHERE gallery_id = %s",
                (model, number),
            )
            connection.execute(
                "INSERT INTO generations (gallery_id, number, model_id, status) VALUES (%s, %s, %s, 'ready')",
                (number, generation, model),
            )
        connection.execute("UPDATE galleries SET generation = %s WHERE id = %s", (generation, number))

    def followed() -> bool:
        served = running.service.galleries.find(gallery)
        return served is not None and served.loaded.generation == generation

    wait_until(followed)


def calibrate(running: RunningService, **body: object) -> dict:
    """Calibrate, and return the job when it has ended."""
    return run(running, "POST", "/admin/calibrations", **body)
