"""What is trained is what is served: the same descriptors from the run's weights, on either side."""

import json
from pathlib import Path

import numpy as np

from model import load_model
from service.store.embedded import EmbeddedPostgres
from tests.support import empty_database, frame_files, make_settings, reachable_folder, run_service
from tests.training.small_run import coloured_people, make_run, small_config
from training.datasets.registry import read_data_set
from training.evaluation import describe_tracklets


def test_the_service_describes_tracklets_as_the_training_code_does(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """Five frames in clips of two, so that the last clip is filled up."""
    run = make_run(small_config(), coloured_people(tmp_path / "people", frames=5), tmp_path / "run")
    run.fit()
    data = read_data_set("folder", tmp_path / "people")
    some = data.gallery[:6]
    expected = describe_tracklets(load_model(run.folder.weights), some).numpy()
    stored = []
    with (
        reachable_folder() as folder,
        empty_database(postgres) as url,
        run_service(make_settings(folder / "data", url, weights=run.folder.weights)) as service,
        service.client() as client,
    ):
        for one in some:
            contents = [frame.read_bytes() for frame in one.frames]
            answer = client.post(
                "/tracklets", data={"metadata": json.dumps({"camera_id": "gate"})}, files=frame_files(contents)
            )
            assert answer.status_code == 201, answer.text
            with service.database() as connection:
                row = connection.execute(
                    "SELECT vector FROM descriptors WHERE tracklet_id = %s", (answer.json()["id"],)
                ).fetchone()
            stored.append(np.frombuffer(row[0], "<f4"))
    np.testing.assert_allclose(np.stack(stored), expected, rtol=1e-5, atol=1e-5)
