"""Weights under another model's name are not taken for that model's."""

from pathlib import Path

import pytest

from model import load_model
from service.embedding.models import Models
from service.errors import ModelConflict
from service.store.model_files import ModelFiles
from tests.service.jobs.weights import make_weights


@pytest.mark.anyio
async def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    make_weights(tmp_path / "default.safetensors", 1)
    files = ModelFiles(tmp_path / "models")
    wanted = "0" * 64
    files.path(wanted).parent.mkdir(parents=True, exist_ok=True)
    other = make_weights(files.path(wanted), 2)
    files.path(other).write_bytes(files.path(wanted).read_bytes())
    models = Models(files, load_model(tmp_path / "default.safetensors"), "cpu", 4, 16)
    with pytest.raises(ModelConflict, match="another model"):
        await models.get(wanted)
    assert (await models.get(other)).backend.model_id == other
    await models.close()
