"""Models as a resource: registered from a file or an upload, refused when they are not weights, removed when unused."""

import errno
import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from model import load_model
from model.default_weights import DEMO_WEIGHTS
from model.preprocess import to_tensor
from service.embedding.backend import TorchBackend
from service.embedding.models import INCOMING
from tests.service.jobs.weights import make_weights
from tests.support import (
    RunningService,
    empty_database,
    make_settings,
    pictures,
    reachable_folder,
    run_service,
)

BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model's file."""
    path = tmp_path_factory.mktemp("weights") / "three.safetensors"
    make_weights(path, 3)
    return path


def left_over(running: RunningService) -> list[str]:
    """Files in models/ that no model is kept in."""
    return [path.name for path in (running.data_directory / "models").iterdir() if len(path.stem) != 64]


def send(running: RunningService, content: bytes, **parameters: str) -> httpx.Response:
    """Upload weights."""
    with running.client() as client:
        return client.post("/admin/models", content=content, headers=BYTES, params=parameters)


def test_weights_are_uploaded_listed_found_again_and_removed(running_service: RunningService, weights: Path) -> None:
    answer = send(running_service, weights.read_bytes())
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert answer.headers["location"] == f"/admin/models/{model['id']}"
    assert (model["name"], model["trained"], model["default"], model["available"]) == ("seed-3", False, False, True)
    assert (model["generations"], model["galleries"]) == (0, [])
    assert send(running_service, weights.read_bytes()).status_code == 200
    with running_service.client() as client:
        assert client.get(answer.headers["location"]).json() == model
        listed = {item["id"]: item for item in client.get("/admin/models").json()["items"]}
        assert listed[model["id"]] == model
        (default,) = [item for item in listed.values() if item["default"]]
        assert "default" in default["galleries"]
        refused = client.delete(f"/admin/models/{default['id']}")
        assert (refused.status_code, refused.json()["code"]) == (409, "model_in_use")
        assert client.delete(f"/admin/models/{model['id']}").status_code == 204
        assert client.delete(f"/admin/models/{model['id']}").status_code == 404
    assert not (running_service.data_directory / "models" / f"{model['id']}.safetensors").exists()
    assert left_over(running_service) == []


def test_weights_that_lie_in_the_folder_are_registered_by_name(running_service: RunningService, weights: Path) -> None:
    placed = running_service.data_directory / "models" / "placed.safetensors"
    placed.write_bytes(weights.read_bytes())
    link = placed.with_name("link.safetensors")
    link.symlink_to(weights)
    try:
        with running_service.client() as client:
            answer = client.post("/admin/models", json={"path": "placed.safetensors"})
            assert answer.status_code == 201
            for path, status in {
                "none.safetensors": 404,
                "link.safetensors": 404,
                "../placed.safetensors": 422,
                "/etc/passwd": 422,
                "placed.pt": 422,
                ".hidden.safetensors": 422,
            }.items():
                assert client.post("/admin/models", json={"path": path}).status_code == status, path
            assert client.delete(answer.headers["location"]).status_code == 204
    finally:
        placed.unlink()
        link.unlink()


def poisoned(weights: Path, folder: Path) -> bytes:
    """The weights with one number that is none."""
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name] = np.full_like(tensors[name], np.nan)
    header = json.loads(weights.read_bytes()[8 : 8 + int.from_bytes(weights.read_bytes()[:8], "little")])
    save_file(tensors, folder / "nan.safetensors", header["__metadata__"])
    return (folder / "nan.safetensors").read_bytes()


@pytest.mark.parametrize("what", ["empty", "pickle", "zip", "truncated", "other tensors", "not finite", "flipped"])
def test_what_is_not_weights_is_refused_and_leaves_nothing(
    running_service: RunningService, weights: Path, tmp_path: Path, what: str
) -> None:
    whole = weights.read_bytes()
    save_file({"a": np.ones(3, np.float32)}, tmp_path / "other.safetensors")
    content = {
        "empty": b"",
        "pickle": b"\x80\x04K\x01.",
        "zip": b"PK\x03\x04" + bytes(100),
        "truncated": whole[: len(whole) // 2],
        "other tensors": (tmp_path / "other.safetensors").read_bytes(),
        "not finite": poisoned(weights, tmp_path),
        "flipped": whole[:-5] + bytes([whole[-5] ^ 64]) + whole[-4:],
    }[what]
    answer = send(running_service, content)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_weights")
    assert str(running_service.data_directory) not in answer.text
    assert left_over(running_service) == []


def test_another_media_type_is_refused(running_service: RunningService) -> None:
    with running_service.client() as client:
        answer = client.post("/admin/models", content=b"x", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_weights_have_a_limit_of_their_own(postgres, weights: Path) -> None:
    with reachable_folder() as folder, empty_database(postgres) as url:
        size = weights.stat().st_size
        settings = make_settings(folder / "data", url, max_body_bytes=2048, max_model_bytes=size)
        with run_service(settings) as running:
            assert send(running, weights.read_bytes()).status_code == 201
            answer = send(running, weights.read_bytes() + b"x")
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
            assert "TFCLIP_MAX_MODEL_BYTES" in answer.json()["detail"]
            with running.client() as client:
                frames = [("frames", ("1.jpg", bytes(4000), "image/jpeg"))]
                assert client.post("/search", files=frames).status_code == 413
            assert left_over(running) == []


def test_a_full_disk_is_said_and_nothing_is_left(
    running_service: RunningService, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("service.embedding.models.shutil.copyfileobj", full)
    answer = send(running_service, weights.read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
    assert left_over(running_service) == []


def test_half_written_weights_of_a_dead_process_are_removed_at_the_start(postgres) -> None:
    with reachable_folder() as folder, empty_database(postgres) as url:
        models = folder / "data" / "models"
        models.mkdir(parents=True)
        old, new = models / f"{INCOMING}old", models / f"{INCOMING}new"
        old.write_bytes(b"half")
        new.write_bytes(b"half")
        os.utime(old, (1, 1))
        with run_service(make_settings(folder / "data", url)):
            assert not old.exists()
            assert new.exists()


def embedded(device: str, precision: str) -> np.ndarray:
    """Descriptors of a few drawn pictures by the demo weights, of unit length."""
    backend = TorchBackend(load_model(DEMO_WEIGHTS), device, precision)
    images = [Image.open(BytesIO(content)) for seed in range(6) for content in pictures(seed, backend.clip_length)]
    frames = to_tensor(images, backend.image)
    clips = frames.reshape(6, backend.clip_length, *frames.shape[1:])
    found = backend.embed(clips)
    assert found.dtype == torch.float32
    return (found / found.norm(dim=1, keepdim=True)).numpy()


def test_bfloat16_descriptors_are_within_cosine_0_999_of_float32() -> None:
    cosines = (embedded("cpu", "bfloat16") * embedded("cpu", "float32")).sum(axis=1)
    assert cosines.min() >= 0.999
    assert cosines.min() < 1 - 1e-7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize(("precision", "least"), [("float32", 1 - 1e-5), ("bfloat16", 0.999)])
def test_a_gpu_describes_as_the_cpu_does(precision: str, least: float) -> None:
    assert (embedded("cuda", precision) * embedded("cpu", "float32")).sum(axis=1).min() >= least
