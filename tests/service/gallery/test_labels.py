"""Filters by label are PostgreSQL's containment."""

import json
import uuid
from typing import Any

import numpy as np
import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.store.changes import IndexRow
from service.store.embedded import EmbeddedPostgres

VALUES = st.one_of(
    st.sampled_from(
        [0, 1, -1, 1.0, 0.0, -0.0, 1.5, 1e30, 10**15, True, False, None, "", "1", "true", "null", "in", "ä"]
    ),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
LABELS = st.dictionaries(st.sampled_from(["a", "b", "c d"]), VALUES, max_size=3)


def test_a_row_passes_when_postgresql_says_that_its_labels_contain_the_asked_ones(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:

        @given(rows=st.lists(LABELS, min_size=1, max_size=6), asked=LABELS)
        @settings(max_examples=150, deadline=None)
        def check(rows: list[dict[str, Any]], asked: dict[str, Any]) -> None:
            index = GalleryIndex(2)
            ids = [uuid.UUID(int=n) for n in range(len(rows))]
            # As they come from PostgreSQL, which is not always as they went there.
            stored = [connection.execute("SELECT %s::jsonb", (json.dumps(labels),)).fetchone()[0] for labels in rows]
            index.add(
                [IndexRow(i, "c", None, None, b"\0\0\x80?" * 2, None, s) for i, s in zip(ids, stored, strict=True)]
            )
            hits = index.search(np.ones(2, np.float32), len(rows), Filters(labels=asked))
            expected = {
                identifier
                for identifier, labels in zip(ids, rows, strict=True)
                if connection.execute(
                    "SELECT %s::jsonb @> %s::jsonb", (json.dumps(labels), json.dumps(asked))
                ).fetchone()[0]
            }
            assert {hit.tracklet_id for hit in hits} == expected

        check()
