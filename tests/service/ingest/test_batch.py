"""Archives of tracklets: each is stored alone, what is broken is told, and nothing is left behind."""

import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from model.data.scene import write_scene
from service.client import Descriptor, PackedTracklet, TfclipClient
from service.embedding.batcher import EmbeddingBatcher
from service.ingest.arriving import Upload
from tests.commands import tfclip
from tests.contract.outsider import connect, head, problem
from tests.service.ingest.archives import archive_of, fates, manifest, post, report, tar_of
from tests.service.ingest.descriptors import field, vector
from tests.support import (
    ADMIN_KEY,
    RunningService,
    empty_database,
    make_settings,
    picture,
    pictures,
    reachable_folder,
    run_service,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("silent_service")


@pytest.fixture(scope="module")
def limited(postgres) -> Iterator[RunningService]:
    """A service that takes little, and embeds one tracklet at a time."""
    limits = {
        "max_batch_bytes": 300_000,
        "max_body_bytes": 12_000,
        "max_frame_bytes": 5000,
        "max_batch_tracklets": 40,
        "max_manifest_bytes": 8000,
        "queue_clips": 8,
    }
    with (
        reachable_folder() as folder,
        empty_database(postgres) as url,
        run_service(make_settings(folder / "data", url, **limits)) as running,
    ):
        yield running


def test_an_archive_sent_again_goes_on_where_it_ended_and_describes_nothing_twice(
    running_service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = []
    embed = EmbeddingBatcher.embed_frames

    async def counted(batcher: EmbeddingBatcher, clips):
        described.append(len(clips))
        return await embed(batcher, clips)

    monkeypatch.setattr(EmbeddingBatcher, "embed_frames", counted)
    model = running_service.service.model.id
    with TfclipClient(running_service.url, ADMIN_KEY) as client:
        packed = [PackedTracklet("c1", f"t{n}", pictures(n, 2), identity="Ann") for n in range(5)]
        packed.append(PackedTracklet("c2", "vector", descriptor=Descriptor(model, vector(running_service, 1).tolist())))
        first = client.create_tracklets(packed[:3], gallery="again")
        assert (first.created, first.existing, first.failed, first.complete) == (3, 0, 0, True)
        second = client.create_tracklets(packed, gallery="again")
        assert (second.created, second.existing, second.failed, second.unlisted) == (3, 3, 0, 0)
        assert [one.tracklet_id for one in second.items[:3]] == [one.tracklet_id for one in first.items]
        stored = client.get_tracklet(second.items[4].tracklet_id)
        assert (stored.identity, stored.external_id, stored.frame_count) == ("Ann", "t4", 2)
        assert client.get_tracklet(second.items[5].tracklet_id).frame_count == 0
    assert len(described) == 5
    with running_service.client() as client:
        assert client.get(stored.frame_urls[1]).content == pictures(4, 2)[1]
        assert client.get("/admin/integrity", params={"gallery": "again"}).json()["ok"]


def test_each_tracklet_fails_alone_and_says_why(running_service: RunningService) -> None:
    post(running_service, archive_of({"taken": pictures(90, 1)}), "alone")
    good = pictures(1, 1)[0]
    lines = [
        {"external_id": "good", "frames": ["./good.jpg"]},
        {"external_id": "not an image", "frames": ["text.jpg"]},
        {"external_id": "missing", "frames": ["a.jpg", "none.jpg", "no.jpg"]},
        {"external_id": "good", "frames": ["other.jpg"]},
        {"external_id": "shares a member", "frames": ["good.jpg"]},
        {"external_id": "names one twice", "frames": ["b.jpg", "b.jpg"]},
        {"external_id": "climbs", "frames": ["../c.jpg"]},
        {"external_id": "absolute", "frames": ["/etc/passwd"]},
        {"external_id": "no frames", "frames": []},
        {"external_id": "link", "frames": ["link.jpg"]},
        {"external_id": "taken", "frames": ["d.jpg"]},
        {"external_id": "backwards", "frames": ["e.jpg"], "ended_at": "2026-01-01T00:00:00Z"},
        {"external_id": "in the future", "frames": ["f.jpg"], "started_at": "2999-01-01T00:00:00Z"},
        {"frames": ["g.jpg"]},
        {"external_id": "misspelt", "frame": ["h.jpg"]},
        {"external_id": "model", "descriptor": field(running_service, vector(running_service, 1), "0" * 64)},
        {"external_id": "number", "frames": ["i.jpg"], "descriptor": 5},
        {"external_id": "last", "frames": ["last.jpg"]},
    ]
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in [manifest(lines), ("good.jpg", good), ("text.jpg", b"text"), ("a.jpg", good)]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for name in ("d.jpg", "good.jpg", "../c.jpg", "/etc/passwd", "\udcff.jpg", "last.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(good)
            archive.addfile(member, BytesIO(good))
    found = report(running_service, buffer.getvalue(), "alone")
    assert fates(found) == [
        (1, "created", None),
        (2, "failed", "invalid_frame"),
        (3, "failed", "invalid_archive"),
        (4, "failed", "invalid_request"),
        (5, "failed", "invalid_request"),
        (6, "failed", "invalid_request"),
        (7, "failed", "invalid_request"),
        (8, "failed", "invalid_request"),
        (9, "failed", "invalid_frame"),
        (10, "failed", "invalid_archive"),
        (11, "failed", "external_id_conflict"),
        (12, "failed", "invalid_request"),
        (13, "failed", "invalid_request"),
        (14, "failed", "invalid_request"),
        (15, "failed", "invalid_request"),
        (16, "failed", "model_conflict"),
        (17, "failed", "invalid_request"),
        (18, "created", None),
    ]
    assert (found["created"], found["existing"], found["failed"], found["complete"]) == (2, 0, 16, True)
    assert "'none.jpg' and 1 more" in found["items"][2]["problem"]["detail"]
    assert (found["items"][13]["external_id"], found["items"][14]["external_id"]) == (None, "misspelt")
    assert found["unlisted"] == 4
    assert found["unlisted_examples"] == ["good.jpg", "../c.jpg", "/etc/passwd", "?.jpg"]
    with running_service.client() as client:
        listed = client.get("/tracklets", params={"gallery": "alone"}).json()["items"]
    assert {one["external_id"] for one in listed} == {"taken", "good", "last"}


UNREADABLE = {
    "nothing": b"",
    "text": b"hello",
    "zeros": bytes(2048),
    "no manifest": tar_of([("a.jpg", b"x")]),
    "manifest second": tar_of([("a.jpg", b"x"), manifest([])]),
    "line without JSON": tar_of([("manifest.jsonl", b"{}\nhello\n")]),
    "line of a list": tar_of([("manifest.jsonl", b"[]\n")]),
    "line of 10,000 brackets": tar_of([("manifest.jsonl", b"[" * 10_000)]),
    "line not UTF-8": tar_of([("manifest.jsonl", b'{"camera_id": "\xff"}\n')]),
    "cut off in the manifest": tar_of([manifest([{"external_id": "a"}] * 100)])[:2000],
    "long line": tar_of([("manifest.jsonl", b" " * 1_200_000)]),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_archive_with_a_manifest_is_refused(running_service: RunningService, name: str) -> None:
    before = running_service.footprint()
    assert problem(post(running_service, UNREADABLE[name], "none"), 422)["code"] == "invalid_archive"
    assert running_service.footprint() == before


def test_another_type_of_body_is_refused(running_service: RunningService) -> None:
    for kind in ("application/octet-stream", "application/x-tar+gzip", "multipart/form-data; boundary=a", ""):
        problem(post(running_service, archive_of({}), "none", kind), 415)
    with running_service.client() as client:
        problem(client.post("/tracklets/batch?gallery=NO", content=b""), 415, 422)


def test_cut_off_anywhere_it_stores_what_was_whole_and_says_so(running_service: RunningService) -> None:
    tracklets = {f"t{n}": pictures(n, 2) for n in range(3)}
    content = archive_of(tracklets)
    assert report(running_service, content, "cut")["created"] == 3
    before = running_service.footprint()
    frames = [frame for some in tracklets.values() for frame in some]
    ends = [content.index(frame) + len(frame) for frame in frames]
    begin = content.index(b"t0/0.jpg", content.index(b"t2/1.jpg"))
    for length in sorted({*random.Random(2).sample(range(begin + 512, ends[-1]), 12), *ends, ends[-1] + 200}):
        found = report(running_service, content[:length], "cut")
        whole = sum(1 for last in ends[1::2] if last <= length)
        assert (found["complete"], found["problem"]["code"]) == (False, "invalid_archive")
        assert [one["status"] for one in found["items"]] == ["existing"] * whole + ["failed"] * (3 - whole), length
    assert running_service.footprint() == before


def test_flipped_bits_never_break_the_service(running_service: RunningService) -> None:
    content, source = archive_of({f"t{n}": [picture(n, 16, 16)] for n in range(3)}), random.Random(5)
    for _ in range(25):
        flipped = bytearray(content)
        for _ in range(3):
            flipped[source.randrange(len(content) - 8000)] ^= 1 << source.randrange(8)
        answer = post(running_service, bytes(flipped), "flipped")
        assert answer.status_code in (200, 422), answer.text
    with running_service.client() as client:
        assert client.get("/admin/integrity", params={"gallery": "flipped"}).json()["ok"]


def test_a_client_that_hangs_up_leaves_what_was_whole_and_nothing_else(running_service: RunningService) -> None:
    content = archive_of({f"t{n}": pictures(n, 2) for n in range(3)})
    cut = content.index(pictures(1, 2)[1]) + 100
    with connect(running_service) as connection:
        length = f"Content-Length: {len(content)}"
        path = "/tracklets/batch?gallery=gone"
        connection.sendall(head(running_service, "POST", path, length, "Content-Type: application/x-tar"))
        connection.sendall(content[:cut])
        wait_until(lambda: running_service.service.batches.inside == 1)
    wait_until(lambda: running_service.service.batches.inside == 0)
    with running_service.client() as client:
        listed = client.get("/tracklets", params={"gallery": "gone"}).json()["items"]
        assert [one["external_id"] for one in listed] == ["t0"]
        assert client.get("/admin/integrity", params={"gallery": "gone"}).json()["ok"]
    folder = running_service.data_directory / "frames"
    assert len(list((folder / "gone").iterdir())) == 2
    assert not any(path.is_file() for path in (folder / ".incoming").rglob("*"))


def test_frames_of_many_unfinished_tracklets_are_refused_with_the_remedy(limited: RunningService) -> None:
    frames = {f"t{n}": [picture(10 * n + m) for m in range(4)] for n in range(4)}
    lines = [{"external_id": name, "frames": [f"{name}{m}" for m in range(4)]} for name in frames]
    size = len(frames["t0"][0])
    assert 4 * size < 12_000 < 12 * size
    mixed = [(f"{name}{m}", frames[name][m]) for m in range(4) for name in frames]
    found = report(limited, tar_of([manifest(lines), *mixed]), "mixed")
    assert (found["created"], found["failed"], found["complete"]) == (0, 4, False)
    assert "together" in found["problem"]["detail"]
    ordered = [(f"{name}{m}", frames[name][m]) for name in frames for m in range(4)]
    assert report(limited, tar_of([manifest(lines), *ordered]), "mixed")["created"] == 4


def test_limits_are_kept(limited: RunningService) -> None:
    many = tar_of([manifest([{"external_id": str(n)} for n in range(41)])])
    assert "TFCLIP_MAX_BATCH_TRACKLETS" in problem(post(limited, many, "limits"), 422)["detail"]
    long = tar_of([manifest([{"external_id": "x" * 400}] * 30)])
    assert "TFCLIP_MAX_MANIFEST_BYTES" in problem(post(limited, long, "limits"), 422)["detail"]
    lines = [
        {"external_id": "large frame", "frames": ["large"]},
        {"external_id": "large together", "frames": ["0", "1", "2", "3"]},
        {"external_id": "good", "frames": ["good"]},
    ]
    noise = [(str(n), b"x" * 4000) for n in range(4)]
    members = [manifest(lines), ("large", b"x" * 6000), *noise, ("good", picture(1))]
    found = report(limited, tar_of(members), "limits")
    assert fates(found) == [
        (1, "failed", "invalid_frame"),
        (2, "failed", "body_too_large"),
        (3, "created", None),
    ]


def test_an_endless_body_ends_at_the_limit_and_what_was_whole_is_stored(limited: RunningService) -> None:
    content = archive_of({"first": [picture(1)]})
    beyond = tarfile.TarInfo("endless")
    beyond.size = 2**50

    def endless() -> Iterator[bytes]:
        yield content[: content.index(picture(1)) + len(picture(1))]
        yield bytes(-len(picture(1)) % 512) + beyond.tobuf(tarfile.GNU_FORMAT)
        for _ in range(100):
            yield bytes(65536)

    assert problem(post(limited, endless(), "endless"), 413)["code"] == "body_too_large"
    problem(post(limited, bytes(300_001), "endless"), 413)
    with limited.client() as client:
        wait_until(lambda: limited.service.batches.inside == 0)
        listed = client.get("/tracklets", params={"gallery": "endless"}).json()["items"]
    assert [one["external_id"] for one in listed] == ["first"]


def test_what_is_full_for_the_moment_is_tried_again(limited: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    add = limited.service.uploads.add

    async def counted(upload: Upload, contents: Sequence[bytes]):
        tried.append(upload.external_id)
        return await add(upload, contents)

    monkeypatch.setattr(limited.service.uploads, "add", counted)
    # Eight clips wait at most; the four tracklets that are stored at a time have more.
    frames = {f"t{n}": [picture(100 * n + m, 16, 16) for m in range(6)] for n in range(4)}
    found = report(limited, archive_of(frames), "full")
    assert (found["created"], found["failed"]) == (4, 0), found
    assert len(tried) > 4


def test_an_archive_is_packed_and_sent_from_the_command_line(running_service: RunningService, tmp_path: Path) -> None:
    def said(*arguments: object, code: int = 0) -> str:
        result = tfclip(running_service, *arguments)
        assert result.exit_code == code, result.output
        return result.stdout

    write_scene(tmp_path / "scene", people=2, cameras=2, frames=3)
    file = tmp_path / "scene.tar"
    packed = json.loads(said("pack", tmp_path / "scene", file, "--json"))
    assert (packed["tracklets"], packed["frames"], packed["bytes"]) == (4, 12, file.stat().st_size)
    with tarfile.open(file) as twin:
        assert len(twin.getnames()) == 13
    sent = json.loads(said("ingest", "archive", file, "--gallery", "packed", "--json"))
    assert (sent["created"], sent["failed"], sent["complete"]) == (4, 0, True)
    assert sent["items"][0]["external_id"] == "person-001/camera-1/001"
    assert "already there" in said("ingest", "archive", file, "--gallery", "packed")
    file.write_bytes(file.read_bytes()[:-5000])
    shown = said("ingest", "archive", file, "--gallery", "packed", code=1)
    assert "the archive: The archive ends before its end mark" in shown
    assert "failed: line 4" in shown
    for arguments in (("pack", tmp_path / "none", file), ("ingest", "archive", tmp_path / "none.tar")):
        said(*arguments, code=2)
    file.write_text('{"frames": []}')
    refused = tfclip(running_service, "ingest", "archive", file)
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"error: {file} is no plain tar archive; `tfclip pack` writes one\n",
    )
    assert not list(tmp_path.glob("*.incoming"))
