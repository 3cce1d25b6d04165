"""Requests that share a connection share nothing else."""

import json
from io import BytesIO

import numpy as np
from PIL import Image

from tests.contract.keyed_requests import new_key
from tests.contract.outsider import connect, head, multipart, read_answer
from tests.support import RunningService


def noise() -> bytes:
    """A frame that no format makes small."""
    content = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 128, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_a_key_is_not_that_of_the_next_request_on_the_connection(running_service: RunningService) -> None:
    # Large, and sent as one piece: the server stops reading the connection, and begins again within this request.
    frames = [(f'name="frames"; filename="{number}.png"\r\nContent-Type: image/png', noise()) for number in range(4)]
    large = multipart(('name="metadata"', b'{"camera_id": "c1"}'), *frames)
    keyed = head(
        running_service,
        "POST",
        "/tracklets",
        f"Content-Length: {len(large)}",
        "Content-Type: multipart/form-data; boundary=frontier",
        f"Idempotency-Key: {new_key()}",
    )
    with connect(running_service) as connection:
        connection.sendall(keyed + large)
        assert read_answer(connection).status_code == 201
        for _ in range(2):
            body = json.dumps({"name": f"gallery-{new_key()}"}).encode()
            length = f"Content-Length: {len(body)}"
            plain = head(running_service, "POST", "/galleries", length, "Content-Type: application/json")
            connection.sendall(plain + body)
            answer = read_answer(connection)
            assert answer.status_code == 201, answer.text
