"""An environment that others cannot enter: root runs PostgreSQL from a copy of the binaries."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from service.store import postgres_copy
from service.store.postgres_binaries import ServerAccount, find_binaries
from service.store.postgres_copy import reachable_binaries

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")


@pytest.fixture
def closed_binaries(data_folder: Path) -> Path:
    """The wheel's binaries where nobody but root can enter."""
    package = find_binaries().parents[1]
    closed = data_folder / "closed"
    closed.mkdir(mode=0o700)
    version = find_binaries().parent.name
    shutil.copytree(package / version, closed / package.name / version, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs", symlinks=True)
    return closed / package.name / version / "bin"


@needs_root
def test_binaries_that_the_account_cannot_reach_are_copied_once_and_run(
    closed_binaries: Path, data_folder: Path
) -> None:
    account = ServerAccount.choose(data_folder / "postgres")
    cache = data_folder / "cache"
    copied = reachable_binaries(closed_binaries, account, cache)
    assert copied.is_relative_to(cache)
    ran = account.run([copied / "postgres", "--version"])
    assert ran.stdout.startswith("postgres (PostgreSQL) 18"), ran.stderr
    before = copied.stat().st_mtime_ns
    assert reachable_binaries(closed_binaries, account, cache) == copied
    assert copied.stat().st_mtime_ns == before
    assert len(list(cache.iterdir())) == 1


def test_binaries_that_the_account_can_reach_are_used_in_place(data_folder: Path) -> None:
    everyone = Path("/usr/bin")
    account = ServerAccount.choose(data_folder / "postgres")
    assert reachable_binaries(everyone, account, data_folder / "cache") == everyone
    assert not (data_folder / "cache").exists()


@needs_root
def test_a_cache_that_cannot_be_written_is_a_clear_error(closed_binaries: Path, data_folder: Path) -> None:
    (data_folder / "file").write_text("in the way")
    account = ServerAccount.choose(data_folder / "postgres")
    with pytest.raises(postgres_copy.PostgresError, match=r"no copy could be made.*TFCLIP_DATABASE_URL"):
        reachable_binaries(closed_binaries, account, data_folder / "file" / "cache")


@needs_root
def test_a_half_made_copy_is_never_used(
    closed_binaries: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = ServerAccount.choose(data_folder / "postgres")
    cache = data_folder / "cache"

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(postgres_copy.Path, "rename", fail)
        with pytest.raises(postgres_copy.PostgresError, match="No space left"):
            reachable_binaries(closed_binaries, account, cache)
    assert list(cache.iterdir()) == []
    assert (
        subprocess.run([reachable_binaries(closed_binaries, account, cache) / "postgres", "--version"]).returncode == 0
    )
