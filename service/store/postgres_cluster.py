"""The data of a PostgreSQL server: made once, complete or not at all, and only opened by the version that made them."""

import shutil
from pathlib import Path

import structlog

from service.disk import sync
from service.store.postgres_binaries import MAJOR_VERSION, PostgresError, ServerAccount, one_line

log = structlog.get_logger(__name__)


def create_cluster(cluster: Path, binaries: Path, account: ServerAccount, *, role: str, lock: int) -> None:
    """Make a cluster, or check the one that is there.

    Args:
        cluster: absolute; its parent exists and belongs to `account`.
        binaries: folder of `initdb`.
        account: who owns the data.
        role: the database's first role, a superuser.
        lock: file whose exclusive lock the caller holds. initdb inherits it and keeps it if the caller is killed, so
            that nobody removes its folder, or starts another, while it still writes.

    Raises:
        PostgresError: initdb failed, or what is there is no cluster of this version.
    """
    if cluster.exists():
        _check_version(cluster)
        return
    unfinished = cluster.with_name("cluster.new")
    if unfinished.exists():
        log.warning("postgres_unfinished_initdb_removed", folder=str(unfinished))
        shutil.rmtree(unfinished)
    options = ["--username", role, "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    options += ["--builtin-locale=C.UTF-8", "--data-checksums", "--auth-local=peer", "--auth-host=reject"]
    made = account.run([binaries / "initdb", "--pgdata", unfinished, *options], pass_fds=[lock])
    if made.returncode != 0:
        raise PostgresError(f"initdb failed in {cluster.parent}: {one_line(made.stderr)}")
    unfinished.rename(cluster)
    sync(cluster.parent)
    log.info("postgres_created", cluster=str(cluster), account=account.name)


def _check_version(cluster: Path) -> None:
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise PostgresError(
            f"{cluster} is not a PostgreSQL data directory (no PG_VERSION in it): restore it from a backup, "
            "or move it away to begin with an empty one"
        ) from None
    if found != str(MAJOR_VERSION):
        raise PostgresError(
            f"{cluster} holds data of PostgreSQL {found}, this release brings PostgreSQL {MAJOR_VERSION}: "
            f"dump them with pg_dumpall of version {found}, move the folder away, start, and load the dump; "
            f"or run version {found} yourself and set TFCLIP_DATABASE_URL"
        )
