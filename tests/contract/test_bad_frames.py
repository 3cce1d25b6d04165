"""Files that are not usable frames are refused clearly; unusual but good ones work."""

import json
from concurrent.futures import ThreadPoolExecutor, wait
from io import BytesIO

import psutil
import pytest
from PIL import Image

from tests.contract import crafted
from tests.contract.outsider import LONG, multipart, post_multipart, problem, refused, upload
from tests.support import RunningService, frame_files, picture

JPEG, PNG, WEBP = (picture(1, format=format) for format in ("JPEG", "PNG", "WEBP"))

UNUSABLE = {
    "empty file": b"",
    "one byte": b"\xff",
    "text": b"this is not an image",
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="128"><rect width="64" height="128"/></svg>',
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 128\n(%pipe%id) (w) file\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "zeros": bytes(5000),
    "bmp": picture(1, format="BMP"),
    "tiff": picture(1, format="TIFF"),
    "still gif": picture(1, format="GIF"),
    "ico": picture(1, format="ICO"),
    "ppm": picture(1, format="PPM"),
    "jpeg 2000": picture(1, format="JPEG2000"),
    "animated gif": crafted.animated("GIF"),
    "animated png": crafted.animated("PNG"),
    "animated webp": crafted.animated("WEBP"),
    "truncated jpeg": JPEG[: len(JPEG) // 2],
    "truncated png": PNG[: len(PNG) // 2],
    "truncated webp": WEBP[: len(WEBP) // 2],
    "jpeg without its last bytes": JPEG[:-40],
    "jpeg header alone": JPEG[:20],
    "png header alone": PNG[:33],
    "png signature alone": PNG[:8],
    "webp header alone": WEBP[:16],
    "png with a wrong checksum": PNG.replace(b"IDAT", b"IDAT", 1)[:29] + b"\0\0\0\0" + PNG[33:],
    "png with rubbish for pixels": crafted.png(64, 128, data=b"not zlib at all"),
    "png with too few pixels": crafted.png_that_claims(64, 128),
    "png of no width": crafted.png_that_claims(0, 128),
    "png that claims 30,000 x 30,000": crafted.png_that_claims(30_000, 30_000),
    "png that claims 2**31 - 1 pixels a side": crafted.png_that_claims(2**31 - 1, 2**31 - 1),
    "jpeg that claims 65,500 x 65,500": crafted.jpeg_that_claims(65_500, 65_500),
    "jpeg that claims no size": crafted.jpeg_that_claims(0, 0),
    "webp that claims 16,000 x 16,000": crafted.webp_that_claims(16_000, 16_000),
    "20,000 pixels wide jpeg": crafted.encoded(Image.new("L", (20_000, 16)), "JPEG"),
    "20,000 pixels high png": crafted.png(16, 20_000),
    "20,000 pixels square png": crafted.png(20_000, 20_000, depth=1),
    "one pixel": picture(1, 1, 1),
    "one pixel wide": picture(1, 1, 128),
    "png with a comment of 80 MiB in 80 kB": crafted.png_with_text_bomb(),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_frame_is_refused(running_service: RunningService, name: str) -> None:
    body = refused(running_service, lambda client: upload(client, frames=[JPEG, UNUSABLE[name]]), 413, 415, 422)
    # Two hundred frames may come: say which one is wrong.
    assert "1" in body["detail"] + json.dumps(body["errors"])


@pytest.mark.parametrize("name", ["text", "truncated jpeg", "animated webp", "png that claims 30,000 x 30,000"])
def test_a_search_by_an_unusable_frame_is_refused(running_service: RunningService, name: str) -> None:
    files = frame_files([UNUSABLE[name]])
    refused(running_service, lambda client: client.post("/search", files=files), 413, 415, 422)


UNUSUAL = {
    "cmyk jpeg": crafted.encoded(crafted.noise(mode="CMYK"), "JPEG"),
    "grey jpeg": crafted.encoded(crafted.noise(mode="L"), "JPEG"),
    "progressive jpeg": crafted.encoded(crafted.noise(), "JPEG", progressive=True),
    "jpeg on its side": crafted.rotated_jpeg(),
    "jpeg with bytes after its end": JPEG + b"and a text nobody asked for",
    "16-bit png": crafted.encoded(Image.new("I;16", (64, 128), 40_000), "PNG"),
    "16-bit colour png": crafted.png(64, 128, depth=16, color=2),
    "1-bit png": crafted.encoded(crafted.noise(mode="1"), "PNG"),
    "palette png": crafted.encoded(crafted.noise(mode="P"), "PNG"),
    "palette png with transparency": crafted.encoded(crafted.noise(mode="P"), "PNG", transparency=0),
    "alpha png": crafted.encoded(crafted.noise(mode="RGBA"), "PNG"),
    "grey alpha png": crafted.encoded(crafted.noise(mode="LA"), "PNG"),
    "alpha webp": crafted.encoded(crafted.noise(mode="RGBA"), "WEBP"),
    "lossless webp": crafted.encoded(crafted.noise(), "WEBP", lossless=True),
    "4,000 x 4,000 black png": crafted.png(4_000, 4_000),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_frame_works_and_comes_back_unchanged(running_service: RunningService, name: str) -> None:
    with running_service.client() as client:
        answer = upload(client, frames=[UNUSUAL[name]])
        assert answer.status_code == 201, answer.text
        frame = client.get(answer.json()["frame_urls"][0])
        assert frame.content == UNUSUAL[name]
        assert frame.headers["content-type"] in ("image/jpeg", "image/png", "image/webp")
        # What users send is never run by a browser as anything else.
        assert frame.headers["x-content-type-options"] == "nosniff"


STRANGE = {
    "png with a comment of 2 MB": crafted.png_with_long_text(),
    "png with a colour profile of 80 MiB in 80 kB": crafted.png_with_profile_bomb(),
    "several pictures in one jpeg": crafted.encoded(
        crafted.noise(), "MPO", save_all=True, append_images=[crafted.noise(seed=1)]
    ),
    "jpeg with broken exif": JPEG[:2] + b"\xff\xe1\x00\x10Exif\0\0MM\0*\xff\xff\xff\xff" + JPEG[2:],
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_frame_works_or_is_refused_clearly(running_service: RunningService, name: str) -> None:
    with running_service.client() as client:
        answer = upload(client, frames=[STRANGE[name]])
        if answer.status_code == 201:
            assert client.get(answer.json()["thumbnail_url"]).content == STRANGE[name]
        else:
            problem(answer, 413, 415, 422)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_files_work_or_are_refused_clearly(running_service: RunningService, format: str) -> None:
    good = picture(3, format=format)
    with running_service.client() as client:
        for seed in range(50):
            answer = upload(client, frames=[crafted.mutated(good, seed)])
            if answer.status_code == 201:
                assert client.delete(answer.headers["location"]).status_code == 204
            else:
                problem(answer, 413, 415, 422)
    with running_service.client() as client:
        assert client.get("/readyz").status_code == 200


def test_many_compressible_frames_do_not_fill_the_memory(running_service: RunningService) -> None:
    bomb = crafted.png(4_096, 4_096, color=2)
    with ThreadPoolExecutor(1) as pool, running_service.client() as client:
        process = psutil.Process()
        before = peak = process.memory_info().rss
        answer = pool.submit(upload, client, frames=[bomb] * 16)
        while not wait([answer], timeout=0.005).done:
            peak = max(peak, process.memory_info().rss)
        assert answer.result().status_code == 201, answer.result().text
    # All sixteen decoded at once would be 805 MB.
    assert peak - before < 400e6


@pytest.mark.parametrize("count", [0, 257, 10_000])
def test_a_wrong_number_of_frames_is_refused(running_service: RunningService, count: int) -> None:
    parts = [('name="metadata"', b'{"camera_id": "c1"}')]
    parts += [(f'name="frames"; filename="{number}.jpg"', JPEG) for number in range(count)]
    body = multipart(*parts)
    refused(running_service, lambda client: post_multipart(client, body), 413, 422)
    refused(running_service, lambda client: post_multipart(client, multipart(*parts[1:]), "/search"), 400, 413, 422)


def test_as_many_frames_as_the_limit_says_are_stored(running_service: RunningService) -> None:
    with running_service.client() as client:
        answer = upload(client, frames=[JPEG] * 256)
        assert answer.status_code == 201, answer.text
        assert answer.json()["frame_count"] == 256
        assert client.get(answer.json()["frame_urls"][255]).content == JPEG


def test_a_frame_over_the_byte_limit_is_refused(running_service: RunningService) -> None:
    large = JPEG + bytes(8 * 1024 * 1024 + 1 - len(JPEG))
    refused(running_service, lambda client: upload(client, frames=[large]), 413, 422)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "",
        " ",
        "a\\b",
        "név.jpg",
        "名.jpg",
        "a%00b.jpg",
        LONG[:4000],
        "CON",
        "a;b=c",
    ],
    ids=["climbing", "absolute", "none", "blank", "backslash", "latin", "cjk", "nul", "long", "device", "semicolon"],
)
def test_a_file_name_means_nothing(running_service: RunningService, name: str) -> None:
    files = [("frames", (name or None, JPEG, "image/jpeg")), ("frames", ("good.jpg", picture(2), "text/html"))]
    with running_service.client() as client:
        answer = client.post("/tracklets", data={"metadata": '{"camera_id": "c1"}'}, files=files)
        if answer.status_code != 201:
            problem(answer, 400, 422)
            return
        first, second = (client.get(url) for url in answer.json()["frame_urls"])
    assert first.content == JPEG
    assert second.headers["content-type"] == "image/jpeg"


def test_a_stored_frame_is_what_was_sent_also_when_it_was_sent_twice(running_service: RunningService) -> None:
    with running_service.client() as client:
        answer = upload(client, frames=[JPEG, JPEG, JPEG])
        assert answer.json()["frame_count"] == 3
        assert [client.get(url).content for url in answer.json()["frame_urls"]] == [JPEG] * 3
        assert Image.open(BytesIO(client.get(answer.json()["thumbnail_url"]).content)).size == (64, 128)
