"""Metadata that says nothing, too much, or nonsense is refused clearly and leaves nothing behind."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.contract.outsider import LONG, multipart, post_multipart, problem, refused, upload
from tests.support import RunningService, picture

FRAME = ('name="frames"; filename="0.jpg"', picture(1))

NOT_METADATA = {
    "empty": "",
    "blank": " ",
    "cut off": '{"camera_id": "c1"',
    "python": "{'camera_id': 'c1'}",
    "two values": '{"camera_id": "c1"} {"camera_id": "c2"}',
    "comment": '{"camera_id": "c1"} // here',
    "byte order mark in the middle": '{"camera_id": \ufeff "c1"}',
    "null": "null",
    "true": "true",
    "number": "1",
    "string": '"c1"',
    "list": '[{"camera_id": "c1"}]',
    "empty object": "{}",
    "10,000 brackets": "[" * 10_000,
    "10,000 closed brackets": "[" * 10_000 + "]" * 10_000,
    "10,000 braces": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "10,000 brackets in labels": '{"camera_id": "c1", "labels": {"a": ' + "[" * 10_000 + "]" * 10_000 + "}}",
    "300 brackets in labels": '{"camera_id": "c1", "labels": {"a": ' + "[" * 300 + "]" * 300 + "}}",
    "nan": '{"camera_id": "c1", "labels": {"a": NaN}}',
    "infinity": '{"camera_id": "c1", "labels": {"a": Infinity}}',
    "number beyond a double": '{"camera_id": "c1", "labels": {"a": 1e999}}',
    "number of 10,000 digits": '{"camera_id": "c1", "labels": {"a": ' + "9" * 10_000 + "}}",
    "camera number of 10,000 digits": '{"camera_id": ' + "9" * 10_000 + "}",
    "bytes that are not utf-8": b'{"camera_id": "\xff\xfe"}',
    "utf-16": '{"camera_id": "c1"}'.encode("utf-16"),
    "raw nul": b'{"camera_id": "c\0001"}',
    "raw nul after the value": b'{"camera_id": "c1"}\0',
    "raw surrogate": b'{"camera_id": "\xed\xa0\x80"}',
    "unknown fields": '{"camera_id": "c1", "colour": "red"}',
    "a thousand unknown fields": json.dumps({"camera_id": "c1"} | {f"f{n}": n for n in range(1000)}),
    "id chosen by the user": '{"camera_id": "c1", "id": "00000000-0000-0000-0000-000000000000"}',
    "prototype": '{"camera_id": "c1", "__proto__": {"a": 1}}',
}


@pytest.mark.parametrize("name", NOT_METADATA)
def test_what_is_not_metadata_is_refused(running_service: RunningService, name: str) -> None:
    body = multipart(('name="metadata"', _bytes(NOT_METADATA[name])), FRAME)
    refused(running_service, lambda client: post_multipart(client, body), 400, 422)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


STRINGS = ("camera_id", "gallery", "external_id", "identity")
NOT_A_STRING_VALUE = {
    "number": 1,
    "true": True,
    "list": ["c1"],
    "object": {"a": "b"},
    "empty": "",
    "nul": "a\0b",
    "lone surrogate": "a\ud800b",
    "100,000 characters": LONG,
    "50,000 emoji": "\U0001f600" * 50_000,
}


@pytest.mark.parametrize("value", NOT_A_STRING_VALUE)
@pytest.mark.parametrize("field", STRINGS)
def test_a_bad_value_of_a_text_field_is_refused(running_service: RunningService, field: str, value: str) -> None:
    metadata = {"camera_id": "c1", field: NOT_A_STRING_VALUE[value]}
    body = refused(running_service, lambda client: upload(client, metadata), 422)
    # A lone surrogate is no JSON text, so that no field is known yet.
    assert (field if value != "lone surrogate" else "metadata") in body["detail"] + json.dumps(body["errors"])


def test_the_camera_is_not_optional(running_service: RunningService) -> None:
    refused(running_service, lambda client: upload(client, {"camera_id": None}), 422)
    refused(running_service, lambda client: upload(client, {"gallery": "default"}), 422)


@pytest.mark.parametrize(
    "name", ["..", ".", "../default", "a/b", "A", "a b", "é", "-a", "a\n", "a" * 64, "%2e%2e", "a\\b", "con:", "{}"]
)
def test_a_gallery_that_is_no_safe_folder_name_is_refused(running_service: RunningService, name: str) -> None:
    refused(running_service, lambda client: upload(client, gallery=name), 422)
    refused(running_service, lambda client: client.get("/tracklets", params={"gallery": name}), 422)


LABELS = {
    "null": None,
    "string": "a",
    "list": [],
    "list inside": {"a": [1]},
    "object inside": {"a": {"b": 1}},
    "empty key": {"": 1},
    "nul in a key": {"a\0": 1},
    "nul in a value": {"a": "\0"},
    "control character": {"a": "\x1b[2J"},
    "nul deep inside": {"a": [{"b": ["\0"]}]},
    "lone surrogate in a key": {"\ud800": 1},
    "lone surrogate in a value": {"a": "\udfff"},
    "lone surrogate deep inside": {"a": [{"b": ["\ud800"]}]},
    "100,000 characters in a key": {LONG: 1},
    "100,000 characters in a value": {"a": LONG},
    "10,000 keys": {f"k{number}": number for number in range(10_000)},
}


@pytest.mark.parametrize("name", LABELS)
def test_bad_labels_are_refused(running_service: RunningService, name: str) -> None:
    refused(running_service, lambda client: upload(client, labels=LABELS[name]), 413, 422)


def test_odd_but_good_text_comes_back_as_it_was_sent(running_service: RunningService) -> None:
    metadata = {
        "camera_id": "'; DROP TABLE tracklets; --",
        "external_id": "名前/é/\U0001f600/%00/\u202e/\\",
        "identity": "<script>alert(1)</script>",
        "labels": {"é": 1.5, "quote'\"": "\"'", "$where": True, "zero": -0.0, "large": 2**53, "nothing": None},
    }
    with running_service.client() as client:
        answer = upload(client, metadata)
        assert answer.status_code == 201, answer.text
        read = client.get(answer.headers["location"]).json()
    assert {name: read[name] for name in metadata} == metadata


# (started_at, ended_at); the clock may be a few minutes off, not an hour.
def _from_now(**distance: float) -> str:
    return (datetime.now(UTC) + timedelta(**distance)).isoformat()


BAD_TIMES = {
    "reversed": ("2026-01-02T00:00:01Z", "2026-01-02T00:00:00Z"),
    "reversed across zones": ("2026-01-02T01:00:00Z", "2026-01-02T01:30:00+01:00"),
    "starts in an hour": (_from_now(hours=1), None),
    "ends in an hour": ("2026-01-02T00:00:00Z", _from_now(hours=1)),
    "year 9999": ("9999-12-31T23:59:59Z", None),
    "year 9999 beyond the calendar in utc": ("9999-12-31T23:59:59-23:59", None),
    "year 1 before the calendar in utc": ("0001-01-01T00:00:00+23:59", None),
    "year 0": ("0000-01-01T00:00:00Z", None),
    "year 10000": ("10000-01-01T00:00:00Z", None),
    "naive": ("2026-01-02T00:00:00", None),
    "date": ("2026-01-02", None),
    "30 February": ("2026-02-30T00:00:00Z", None),
    "25 o'clock": ("2026-01-02T25:00:00Z", None),
    "offset of 99 hours": ("2026-01-02T00:00:00+99:00", None),
    "words": ("yesterday", None),
    "empty": ("", None),
    "list": ([], None),
    "true": (True, None),
    "nul": ("2026-01-02T00:00:00Z\0", None),
    "100,000 characters": (LONG, None),
    "100,000 digits of a second": ("2026-01-02T00:00:00." + "0" * 100_000 + "Z", None),
    "number beyond a double": (10**400, None),
    "negative number beyond the calendar": (-(10**15), None),
}


@pytest.mark.parametrize("name", BAD_TIMES)
def test_bad_times_are_refused(running_service: RunningService, name: str) -> None:
    started, ended = BAD_TIMES[name]
    refused(running_service, lambda client: upload(client, started_at=started, ended_at=ended), 422)


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [
        ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("2026-01-02T03:30:00+05:30", None, "2026-01-01T22:00:00Z"),
        ("1900-01-01T00:00:00Z", None, "1900-01-01T00:00:00Z"),
        ("2024-02-29T12:00:00-00:00", None, "2024-02-29T12:00:00Z"),
    ],
    ids=["an instant", "half an hour of offset", "long ago", "leap day"],
)
def test_good_times_come_back_in_utc(
    running_service: RunningService, started: str, ended: str | None, expected: str
) -> None:
    with running_service.client() as client:
        answer = upload(client, started_at=started, ended_at=ended)
        assert answer.status_code == 201, answer.text
        assert answer.json()["started_at"] == expected


def test_the_first_year_of_the_calendar_can_be_stored_read_listed_and_searched(running_service: RunningService) -> None:
    with running_service.client() as client:
        answer = upload(client, started_at="0001-01-01T00:00:00Z", gallery="antique")
        if answer.status_code != 201:
            problem(answer, 422)
            return
        assert client.get(answer.headers["location"]).json()["started_at"] == "0001-01-01T00:00:00Z"
        assert client.get("/tracklets", params={"gallery": "antique"}).status_code == 200
        search = client.get("/search", params={"query_id": answer.json()["id"], "gallery": "antique"})
        assert search.status_code == 200


def test_a_camera_is_made_on_its_first_use(running_service: RunningService) -> None:
    before = running_service.footprint()["cameras"]
    with running_service.client() as client:
        for _ in range(2):
            assert upload(client, camera_id="never seen before").json()["camera_id"] == "never seen before"
    assert running_service.footprint()["cameras"] == before + 1


WRONG_FIELDS = {
    "no metadata": [FRAME],
    "metadata twice": [('name="metadata"', b'{"camera_id": "c1"}'), ('name="metadata"', b'{"camera_id": "c2"}'), FRAME],
    "metadata twice, with frames between": [
        ('name="metadata"', b'{"camera_id": "c1"}'),
        FRAME,
        ('name="metadata"', b'{"camera_id": "c1"}'),
    ],
    "metadata in capitals": [('name="Metadata"', b'{"camera_id": "c1"}'), FRAME],
    "fields of the metadata on their own": [('name="camera_id"', b"c1"), FRAME],
    "an unknown field too": [('name="metadata"', b'{"camera_id": "c1"}'), ('name="camera"', b"c2"), FRAME],
    "an unknown file too": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, ('name="mask"; filename="m"', b"x")],
    "frame instead of frames": [
        ('name="metadata"', b'{"camera_id": "c1"}'),
        ('name="frame"; filename="0.jpg"', FRAME[1]),
    ],
    "frames[] instead of frames": [
        ('name="metadata"', b'{"camera_id": "c1"}'),
        ('name="frames[]"; filename="0.jpg"', FRAME[1]),
    ],
    "frames as text": [('name="metadata"', b'{"camera_id": "c1"}'), ('name="frames"', b"0.jpg")],
    "one frame as text": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, ('name="frames"', b"1.jpg")],
    "a field of no name": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, ('name=""', b"x")],
    "a part without a name": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, ('filename="x.jpg"', FRAME[1])],
    "a name with nul": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, ('name="a\0b"', b"x")],
    "a name that is not utf-8": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, ('name="\udcff"', b"x")],
    "a name of 100,000 characters": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, (f'name="{LONG}"', b"x")],
    "2,000 unknown fields": [('name="metadata"', b'{"camera_id": "c1"}'), FRAME, *[('name="x"', b"")] * 2_000],
    "metadata of 2 MB": [('name="metadata"', b'{"camera_id": "c1"}' + b" " * 2_000_000), FRAME],
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_wrong_fields_are_refused(running_service: RunningService, name: str) -> None:
    body = multipart(*WRONG_FIELDS[name])
    refused(running_service, lambda client: post_multipart(client, body), 400, 413, 422)


def test_the_order_of_fields_does_not_matter(running_service: RunningService) -> None:
    body = multipart(FRAME, ('name="metadata"', b'{"camera_id": "c1"}'))
    with running_service.client() as client:
        assert post_multipart(client, body).status_code == 201


def test_the_problem_of_one_field_does_not_repeat_the_whole_input(running_service: RunningService) -> None:
    def send(client: httpx.Client) -> httpx.Response:
        return upload(client, camera_id=LONG, identity=LONG, external_id=LONG)

    body = refused(running_service, send, 422)
    assert LONG[:1000] not in json.dumps(body)
