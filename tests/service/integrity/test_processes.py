"""Comparing and mending beside other processes on the same database."""

import uuid
from pathlib import Path

import pytest

from tests.service.integrity.comparing import GALLERY, found, kinds, repair, same
from tests.support import (
    empty_database,
    make_settings,
    run_service,
    search,
    upload,
    wait_until,
)


def test_another_process_hears_of_what_was_mended(postgres, data_folder: Path) -> None:
    with empty_database(postgres) as url:
        settings = make_settings(data_folder / "data", url)
        with run_service(settings) as one, run_service(settings) as other:
            ids = [upload(one, seed, frames=2, gallery=GALLERY)["id"] for seed in range(3)]
            before = search(one, ids[0], gallery=GALLERY)["results"]
            with one.database() as connection:
                connection.execute("UPDATE descriptors SET vector = 'short' WHERE tracklet_id = %s", (ids[1],))
            repair(one)
            wait_until(lambda: same(search(other, ids[0], gallery=GALLERY)["results"], before))
            wait_until(lambda: found(other) == {})


@pytest.mark.parametrize("poll_seconds", [0.2, 600])
def test_repair_reaches_the_index_of_every_process(postgres, data_folder: Path, poll_seconds: float) -> None:
    # With so long between two looks, the others hear of it or do not know.
    values = {"poll_seconds": poll_seconds, "max_lag_seconds": 2 * poll_seconds}
    with empty_database(postgres) as url:
        settings = make_settings(data_folder / "data", url, **values)
        with run_service(settings) as one, run_service(settings) as other:
            ids = [upload(one, seed, frames=2, gallery=GALLERY)["id"] for seed in range(4)]
            expected = search(one, ids[0], gallery=GALLERY)["results"]
            for process, lost in ((one, ids[1]), (other, ids[2])):
                wait_until(lambda process=process: len(search(process, ids[0], gallery=GALLERY)["results"]) == 3)
                process.service.galleries.find(GALLERY).index.remove(uuid.UUID(lost))
            # Nobody sees more than its own; and whoever is free does the job.
            assert (found(one), found(other)) == ({"index_missing": {ids[1]}}, {"index_missing": {ids[2]}})
            assert kinds(repair(one)["mended"]) == {"index_missing": 1}
            for process in (one, other):
                wait_until(lambda process=process: search(process, ids[0], gallery=GALLERY)["results"] == expected)
                assert found(process) == {}
        # What the wrong ones saved before is not believed.
        with run_service(settings) as one:
            assert search(one, ids[0], gallery=GALLERY)["results"] == expected
