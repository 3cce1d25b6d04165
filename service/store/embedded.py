"""The PostgreSQL server that the service brings along: made, started, found again, stopped.

    DATA_DIR/postgres/    0700, of the account that runs the server
        cluster/          what PostgreSQL calls its data directory; there only when complete
        cluster.new/      an initdb at work, or one that was killed
        run/              the socket
        log/              a week of server logs, one file per weekday
        lock              held while a service starts or stops the server
        users             held, shared, by every service that uses the server

The server is meant to outlive a service that is killed: the next one adopts it. Who uses it is said by kernel locks,
which, unlike pid files, are gone with the process that held them, whatever ended it.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from sqlalchemy.engine import URL

from service.store.postgres_binaries import PostgresError, ServerAccount, find_binaries, one_line
from service.store.postgres_cluster import create_cluster
from service.store.postgres_copy import reachable_binaries
from service.store.postmaster import POLL_SECONDS, PORT, Postmaster, startup_complaint

__all__ = ["EmbeddedPostgres", "PostgresError"]

log = structlog.get_logger(__name__)

ROLE = "tfclip"
DATABASE = "tfclip"

_SOCKET_PATH_BYTES = 103  # sun_path of macOS without its NUL; Linux has 107
_RETRY_SECONDS = 0.2
_LAST_ATTEMPT_SECONDS = 5.0
_PROGRESS_SECONDS = 3.0
_LONGEST_PAUSE_SECONDS = 0.5
_PASSING_COMPLAINTS = ("is still in use", "already exists")


class EmbeddedPostgres:
    """One PostgreSQL server over one folder, shared by all services that use this folder.

    Thread-safe and blocking. Several instances, in one process or in many, may use one folder: the first starts the
    server, the others adopt it, the last to stop shuts it down.

    Args:
        data_directory: the folder of the server, made when absent; DATA_DIR/postgres.
        start_timeout_seconds: how long a start, crash recovery included, may take.
    """

    def __init__(self, data_directory: Path, *, start_timeout_seconds: float = 120.0) -> None:
        self.data_directory = data_directory.resolve()
        self.socket_directory = _socket_directory(self.data_directory)
        self._cluster = self.data_directory / "cluster"
        self._logs = self.data_directory / "log"
        self._timeout = start_timeout_seconds
        self._one_at_a_time = threading.RLock()
        self._server: Postmaster | None = None
        self._users: int | None = None  # the open file whose shared lock says that we use the server

    def start(self) -> None:
        """Have a server that answers: create the data, adopt a live server, wait out a recovery, as it takes.

        Raises:
            PostgresError: it cannot be had; says why and what to do.
        """
        with self._one_at_a_time:
            if self._users is not None:
                self.ensure_running()
                return
            deadline = time.monotonic() + self._timeout
            binaries, account = self._prepare()
            with self._lock(deadline) as lock:
                users = _open_lock_file(self.data_directory / "users")
                try:
                    fcntl.flock(users, fcntl.LOCK_SH)
                    create_cluster(self._cluster, binaries, account, role=ROLE, lock=lock)
                    self._bring_up(binaries, account, deadline)
                    self.create_database(DATABASE)
                except BaseException:
                    _release(users)
                    raise
                self._users = users

    def ensure_running(self) -> bool:
        """Restart the server if its main process is gone. Cheap while it is there.

        Returns:
            True if the server known so far was gone, so that every connection to it is dead; another service may have
            been the one that restarted it.

        Raises:
            PostgresError: `start` was not called, or the server cannot be brought back now; a later call tries again.
        """
        with self._one_at_a_time:
            if self._users is None:
                raise PostgresError("the embedded PostgreSQL is not started")
            if self._server is not None and self._server.is_alive():
                return False
            log.warning("postgres_gone", data_directory=str(self.data_directory))
            deadline = time.monotonic() + self._timeout
            binaries, account = self._prepare()
            with self._lock(deadline):
                self._bring_up(binaries, account, deadline)
            return True

    def stop(self) -> None:
        """Shut the server down, unless another live service uses it. Does nothing when not started.

        Raises:
            PostgresError: the server does not end, or another service is busy starting or stopping it for too long.
        """
        with self._one_at_a_time:
            if self._users is None:
                return
            with self._lock(time.monotonic() + self._timeout):
                try:
                    fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    log.info("postgres_left_to_other_services", data_directory=str(self.data_directory))
                else:
                    self._shut_down()
                finally:
                    _release(self._users)
                    self._users = None

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy URL of a database."""
        # The port is said although it is the default: PGPORT in the environment would change the default.
        query = {"host": str(self.socket_directory), "port": str(PORT)}
        return URL.create("postgresql+psycopg", ROLE, database=database, query=query).render_as_string()

    def conninfo(self, database: str = DATABASE) -> str:
        """The same for libpq and psycopg."""
        return make_conninfo(host=str(self.socket_directory), port=PORT, user=ROLE, dbname=database)

    def create_database(self, name: str) -> None:
        """Create an empty database unless it exists.

        Raises:
            PostgresError: the server does not let us.
        """
        try:
            with psycopg.connect(self.conninfo("postgres"), autocommit=True, connect_timeout=10) as connection:
                if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise PostgresError(f"cannot create the database {name!r}: {one_line(str(error))}") from error

    def _prepare(self) -> tuple[Path, ServerAccount]:
        """Find the binaries and the account, and make the folders, closed to all others."""
        binaries = find_binaries()
        service_folder = self.data_directory.parent
        try:
            service_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            account = ServerAccount.choose(self.data_directory)
            binaries = reachable_binaries(binaries, account)
            account.check_can_enter(
                service_folder,
                "put TFCLIP_DATA_DIR where other accounts can enter (for example /var/lib/tfclip)",
                ours=service_folder,
            )
            self.data_directory.mkdir(mode=0o700, exist_ok=True)
            if self.data_directory.stat().st_uid != account.uid:
                os.chown(self.data_directory, account.uid, account.gid)
            self.data_directory.chmod(0o700)
        except OSError as error:
            raise PostgresError(
                f"cannot prepare {self.data_directory}: {error}; give TFCLIP_DATA_DIR another place"
            ) from error
        account.make_inside(self.data_directory, folders=["run", "log"], files=["lock", "users"])
        if self.socket_directory.parent != self.data_directory:
            account.make_private_folder(self.socket_directory)
        return binaries, account

    @contextlib.contextmanager
    def _lock(self, deadline: float) -> Iterator[int]:
        """Be the only one, of all services on this folder, who starts or stops the server."""
        descriptor = _open_lock_file(self.data_directory / "lock")
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise PostgresError(
                            f"another service has been starting or stopping PostgreSQL in {self.data_directory} for "
                            f"{self._timeout:.0f} s: see its log, or end it"
                        ) from None
                    time.sleep(POLL_SECONDS)
            yield descriptor
        finally:
            _release(descriptor)

    def _bring_up(self, binaries: Path, account: ServerAccount, deadline: float) -> None:
        """Adopt or start, until a server answers. The lock is held."""
        patience = deadline
        while True:
            found = Postmaster.find(self._cluster)
            self._server = found or Postmaster.spawn(
                binaries, self._cluster, account, role=ROLE, sockets=self.socket_directory, logs=self._logs
            )
            if self._answers(self._server, patience):
                log.info("postgres_adopted" if found else "postgres_started", pid=self._server.number)
                return
            # Some reasons pass: the server that we found was shutting down, a backend of a killed server has not
            # noticed yet and holds the shared memory, a service was killed in the moment it started the server.
            complaint = "" if found else startup_complaint(self._logs)
            if not found and not any(reason in complaint for reason in _PASSING_COMPLAINTS):
                raise PostgresError(f"PostgreSQL in {self.data_directory} does not start: {complaint}")
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"processes of an earlier PostgreSQL hold the data in {self._cluster} for more than "
                    f"{self._timeout:.0f} s: end them, then start again ({complaint})"
                )
            log.info("postgres_waits_for_earlier_processes", data_directory=str(self.data_directory))
            time.sleep(_RETRY_SECONDS)
            # An attempt that begins just before the deadline may still say what it lacks, rather than be "silent".
            patience = max(deadline, time.monotonic() + _LAST_ATTEMPT_SECONDS)

    def _answers(self, server: Postmaster, deadline: float) -> bool:
        """Wait until the server takes connections; False if it ends instead.

        Raises:
            PostgresError: it does neither in time. It is left at what it does, for the next start to adopt.
        """
        began = time.monotonic()
        next_report = began + _PROGRESS_SECONDS
        pause = POLL_SECONDS
        target = make_conninfo(self.conninfo("postgres"), connect_timeout=2).encode()
        while server.is_alive():
            answer = PGconn.ping(target)
            if answer == Ping.OK:
                return True
            now = time.monotonic()
            state = "in recovery, or starting" if answer == Ping.REJECT else "silent"
            if now > deadline:
                raise PostgresError(
                    f"PostgreSQL in {self.data_directory} runs (process {server.number}) but is {state} after "
                    f"{self._timeout:.0f} s: see {self._logs}, and start the service again to go on waiting"
                )
            if now > next_report:
                log.info("postgres_not_ready", state=state, waited_seconds=round(now - began, 1), pid=server.number)
                next_report = now + _PROGRESS_SECONDS
            time.sleep(pause)
            # PostgreSQL logs every question that it has to refuse.
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return False

    def _shut_down(self) -> None:
        # Looked up again: another service may have restarted the server since we last saw it.
        server = Postmaster.find(self._cluster)
        if server is not None:
            # Of the two names of one process, the one that knows whether it is our child can see it end.
            if self._server is not None and self._server.number == server.number:
                server = self._server
            server.shut_down()
            log.info("postgres_stopped", pid=server.number)
        if self.socket_directory.parent != self.data_directory:
            with contextlib.suppress(OSError):
                self.socket_directory.rmdir()


def _socket_directory(data_directory: Path) -> Path:
    """Inside the data folder, or, if a socket there could not be named, in a place that follows from its path."""
    inside = data_directory / "run"
    is_short = len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_BYTES
    # libpq reads a comma as the start of another host.
    if is_short and "," not in str(inside):
        return inside
    # Not TMPDIR: the next service must find the same place, whatever its environment.
    return Path("/tmp") / f"tfclip-{hashlib.sha256(os.fsencode(data_directory)).hexdigest()[:32]}"  # noqa: S108


def _open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def _release(lock_file: int) -> None:
    # Said in words, not left to close(): a process forked at this moment by another thread still has a copy open.
    fcntl.flock(lock_file, fcntl.LOCK_UN)
    os.close(lock_file)
