"""A cursor is read as it was written, and nothing else is taken for one."""

import uuid
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import CursorExpired, InvalidRequest
from service.gallery.continuing import decode, encode, mark_of
from service.gallery.options import SearchOptions
from service.gallery.questions import Hit, Question
from service.gallery.reranking import RerankOptions

MARK = bytes(range(16))
HIT = Hit(uuid.UUID(int=2**100 + 7), 0.1234567890123456)


@given(
    score=st.floats(-1, 1),
    identifier=st.uuids(),
    rank=st.integers(0, 2**32 - 1),
    best=st.floats(-1, 1),
    generation=st.integers(0, 2**63 - 1),
    mark=st.binary(min_size=16, max_size=16),
)
def test_a_cursor_comes_back_as_it_went(
    score: float, identifier: uuid.UUID, rank: int, best: float, generation: int, mark: bytes
) -> None:
    cursor = encode(Hit(identifier, score), rank, best, generation, mark)
    assert decode(cursor, generation, mark) == (Hit(identifier, score), rank, best)
    assert len(cursor) <= 200


@given(text=st.text(max_size=100) | st.binary(max_size=60).map(lambda raw: raw.hex()))
@settings(max_examples=200)
def test_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode(text, 1, MARK)


def test_a_cursor_that_was_altered_anywhere_is_none() -> None:
    cursor = encode(HIT, 20, 0.5, 1, MARK)
    for place, character in enumerate(cursor):
        if character != "=":
            altered = cursor[:place] + ("A" if character != "A" else "B") + cursor[place + 1 :]
            with pytest.raises(InvalidRequest):
                decode(altered, 1, MARK)


def test_a_cursor_of_another_ranking_has_expired() -> None:
    cursor = encode(HIT, 20, 0.5, 1, MARK)
    for generation, mark in ((2, MARK), (1, MARK[::-1])):
        with pytest.raises(CursorExpired):
            decode(cursor, generation, mark)


def test_every_option_but_the_size_of_a_page_makes_another_ranking() -> None:
    options = SearchOptions("g", 20, cameras=frozenset("abcdefgh"), labels={"a": 1, "b": 2})
    question = Question(np.ones(4, np.float32), 20)
    mark = mark_of(question, options)
    same = replace(options, k=3, cursor="x", cameras=frozenset("hgfedcba"), labels={"b": 2, "a": 1})
    assert mark_of(replace(question, k=3), same) == mark
    others = [
        replace(options, cameras=frozenset("abcdefg")),
        replace(options, cameras=frozenset(), excluded_cameras=options.cameras),
        replace(options, labels={"a": 1}),
        replace(options, labels={"a": True, "b": 2}),
        replace(options, min_score=0.0),
        replace(options, best_of_identity=True),
        replace(options, rerank=RerankOptions(expand=1)),
        replace(options, gallery="h"),
    ]
    marks = [mark_of(question, other) for other in others]
    marks += [
        mark_of(replace(question, exclude=HIT.tracklet_id), options),
        mark_of(replace(question, without=frozenset({HIT.tracklet_id, uuid.UUID(int=1)})), options),
        mark_of(replace(question, query=np.nextafter(question.query, 2)), options),
    ]
    assert len({mark, *marks}) == 1 + len(marks)
