"""The embedded PostgreSQL after the service, the server, or both were killed at a bad moment."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from service.store.embedded import EmbeddedPostgres, PostgresError
from tests.support import wait_until

SERVICE = """
import sys
from pathlib import Path
import structlog
from service.store.embedded import EmbeddedPostgres
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
server = EmbeddedPostgres(Path(sys.argv[1]), start_timeout_seconds=60)
server.start()
print("up", flush=True)
sys.stdin.read()
server.stop()
"""
REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@contextmanager
def service_process(data_directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the server as a service does: until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, data_directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.data_directory / "cluster" / "postmaster.pid").read_text().split()[0]))


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def kill_server(server: EmbeddedPostgres) -> None:
    """SIGKILL for the main process; its children end by themselves."""
    process = postmaster(server)
    process.kill()
    wait_until(lambda: is_gone(process))


def write_row(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")


def assert_row_is_there(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


@pytest.fixture
def make_server(data_folder: Path) -> Iterator[Callable[..., EmbeddedPostgres]]:
    """Makes users of one data folder; all are stopped at the end."""
    made: list[EmbeddedPostgres] = []

    def make(timeout: float = 60.0) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(data_folder / "postgres", start_timeout_seconds=timeout))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(make_server: Callable[..., EmbeddedPostgres]) -> EmbeddedPostgres:
    return make_server()


def test_a_killed_service_leaves_a_server_that_the_next_one_adopts_and_stops(server: EmbeddedPostgres) -> None:
    with service_process(server.data_directory) as service:
        assert service.stdout.readline() == "up\n"
        write_row(server)
        service.send_signal(signal.SIGKILL)
        service.wait()
    left_behind = postmaster(server)
    assert not is_gone(left_behind)
    server.start()
    assert postmaster(server) == left_behind
    assert_row_is_there(server)
    server.stop()
    assert is_gone(left_behind)


def test_a_server_that_another_live_service_uses_outlives_us(server: EmbeddedPostgres) -> None:
    with service_process(server.data_directory) as service:
        assert service.stdout.readline() == "up\n"
        server.start()
        shared = postmaster(server)
        server.stop()
        assert not is_gone(shared)
        service.stdin.close()
        assert service.wait() == 0
        assert is_gone(shared)


def test_a_killed_server_comes_back_with_every_committed_row(
    server: EmbeddedPostgres, make_server: Callable[..., EmbeddedPostgres]
) -> None:
    server.start()
    other = make_server()
    other.start()
    write_row(server)
    kill_server(server)
    assert server.ensure_running() is True
    assert_row_is_there(server)
    assert server.ensure_running() is False
    restarted = postmaster(server)
    assert other.ensure_running() is True
    assert postmaster(other) == restarted


def test_service_and_server_killed_together_lose_nothing(server: EmbeddedPostgres) -> None:
    with service_process(server.data_directory) as service:
        assert service.stdout.readline() == "up\n"
        write_row(server)
        service.send_signal(signal.SIGKILL)
        service.wait()
    kill_server(server)
    server.start()
    assert_row_is_there(server)


@contextmanager
def orphaned_initdb(server: EmbeddedPostgres) -> Iterator[list[psutil.Process]]:
    """An initdb in the middle of its work, suspended, whose service was killed; what is left of it is killed after."""
    with service_process(server.data_directory) as service:
        wait_until(lambda: (server.data_directory / "cluster.new" / "PG_VERSION").exists())
        family = psutil.Process(service.pid).children(recursive=True)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        service.send_signal(signal.SIGKILL)
        service.wait()
    assert family
    assert not (server.data_directory / "cluster").exists()
    try:
        yield family
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def test_an_initdb_that_was_cut_short_is_done_again(server: EmbeddedPostgres) -> None:
    with orphaned_initdb(server):
        pass
    assert (server.data_directory / "cluster.new").exists()
    server.start()
    write_row(server)
    assert_row_is_there(server)
    assert not (server.data_directory / "cluster.new").exists()


def test_an_initdb_that_outlived_its_service_is_not_disturbed(
    server: EmbeddedPostgres, make_server: Callable[..., EmbeddedPostgres]
) -> None:
    with orphaned_initdb(server) as initdb:
        with pytest.raises(PostgresError, match="another service has been starting or stopping"):
            make_server(timeout=0.2).start()
        assert (server.data_directory / "cluster.new" / "PG_VERSION").exists()
        for process in initdb:
            # One that initdb had just started, and that had done its work, may be gone.
            with suppress(psutil.NoSuchProcess):
                process.resume()
        server.start()
    write_row(server)
    assert_row_is_there(server)


def test_processes_of_a_killed_server_are_waited_for_and_never_joined_by_a_second_server(
    server: EmbeddedPostgres, make_server: Callable[..., EmbeddedPostgres]
) -> None:
    server.start()
    with psycopg.connect(server.conninfo()) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        backend.suspend()
        try:
            kill_server(server)
            with pytest.raises(PostgresError, match="earlier PostgreSQL hold the data"):
                make_server(timeout=2).start()
            assert not is_gone(backend)
        finally:
            backend.resume()
    assert server.ensure_running() is True


@pytest.mark.parametrize("content", ["{number}\n{cluster}\n", "", "garbage"])
def test_lock_files_that_name_an_unrelated_process_do_not_keep_the_server_down(
    server: EmbeddedPostgres, content: str
) -> None:
    server.start()
    write_row(server)
    kill_server(server)
    cluster = server.data_directory / "cluster"
    owner = cluster.stat().st_uid
    # PostgreSQL disregards processes of other accounts; a process of its own account is what deceives it.
    unrelated = subprocess.Popen(["sleep", "600"], user=owner if os.geteuid() == 0 else None)
    with unrelated:
        try:
            for lock_file in (cluster / "postmaster.pid", server.socket_directory / ".s.PGSQL.5432.lock"):
                lock_file.write_text(content.format(number=unrelated.pid, cluster=cluster))
            assert server.ensure_running() is True
            assert_row_is_there(server)
            assert unrelated.poll() is None
        finally:
            unrelated.kill()


def test_a_long_recovery_is_waited_out_by_this_start_or_the_next(
    server: EmbeddedPostgres, make_server: Callable[..., EmbeddedPostgres]
) -> None:
    server.start()
    write_row(server)
    kill_server(server)
    cluster = server.data_directory / "cluster"
    gate = server.data_directory / "gate"
    # An archive that makes the server wait until the gate is there, and then has nothing to offer.
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'until test -e {gate}; do sleep 0.05; done; false'\n")
    (cluster / "recovery.signal").touch()
    os.chown(cluster / "recovery.signal", cluster.stat().st_uid, cluster.stat().st_gid)

    # Long enough for the server to open its socket, and too short for a recovery that waits for the gate.
    impatient = make_server(timeout=5)
    with pytest.raises(PostgresError, match=r"is in recovery, or starting after 5 s.*start the service again"):
        impatient.start()
    recovering = postmaster(server)
    gate.touch()
    assert server.ensure_running() is True
    assert postmaster(server) == recovering
    assert_row_is_there(server)


def test_damaged_data_are_reported_at_once_in_the_words_of_postgresql(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    os.truncate(server.data_directory / "cluster" / "global" / "pg_control", 100)
    with pytest.raises(PostgresError, match=r"does not start.*pg_control") as refusal:
        server.start()
    assert "\n" not in str(refusal.value)


def test_a_service_that_holds_the_lock_for_too_long_is_reported(
    server: EmbeddedPostgres, make_server: Callable[..., EmbeddedPostgres]
) -> None:
    server.start()
    with (server.data_directory / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PostgresError, match="another service has been starting or stopping"):
            make_server(timeout=0.2).start()
