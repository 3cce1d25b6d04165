"""The main process of a PostgreSQL server: started, recognised among other processes, asked to end."""

import pwd
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.store.postgres_binaries import PostgresError, ServerAccount, clean_environment, one_line

PORT = 5432  # part of the socket's name, nothing else

POLL_SECONDS = 0.02
_FAST_SHUTDOWN_SECONDS = 60.0
_IMMEDIATE_SHUTDOWN_SECONDS = 15.0

# Given on the command line at every start, so that a new release of the service changes them for old data as well.
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    # Root needs no permission bit, and there is no third account.
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # One file per weekday, emptied when the weekday comes round.
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_file_mode": "0600",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] ",
}

# Peer authentication asks the kernel who is at the other end of the socket. The map lets exactly two accounts be the
# database role: the server's own, and root, who can become it anyway. That covers a service that is root above a
# server that is not, a service that is itself the server's account, and a change from one to the other, with no
# password to keep. A password would add nothing: whoever can read its file can read the data.
_HOST_BASED_AUTHENTICATION = "local all all peer map=service\n"


@dataclass(frozen=True)
class Postmaster:
    """The main process of the server of one cluster.

    Attributes:
        process: its number together with its time of birth, so that a later owner of the number is not taken for it.
        child: the same process when this instance is its parent; a dead child keeps its number until it is polled.
    """

    process: psutil.Process
    child: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def find(cls, cluster: Path) -> "Postmaster | None":
        """The live main process of this cluster, whoever started it."""
        number = _number_in_lock_file(cluster / "postmaster.pid")
        if number is None:
            return None
        try:
            process = psutil.Process(number)
            # The main process works in its cluster. Neither an unrelated owner of a re-used number does, nor a zombie.
            is_ours = process.name() == "postgres" and process.cwd() == str(cluster)
        except psutil.Error:
            return None
        return cls(process) if is_ours else None

    @classmethod
    def spawn(
        cls, binaries: Path, cluster: Path, account: ServerAccount, *, role: str, sockets: Path, logs: Path
    ) -> "Postmaster":
        """Start the server of a cluster that has none; it may end at once, or need long before it answers.

        Args:
            binaries: folder of `postgres`.
            cluster: absolute, a complete PostgreSQL data directory.
            account: who runs it.
            role: the database role that `account` and root may be.
            sockets: folder of the socket.
            logs: folder of the logs.
        """
        _remove_misleading_lock_file(cluster / "postmaster.pid")
        _remove_misleading_lock_file(sockets / f".s.PGSQL.{PORT}.lock")
        account.write(cluster / "pg_hba.conf", _HOST_BASED_AUTHENTICATION)
        people = {account.name, pwd.getpwuid(0).pw_name}
        account.write(cluster / "pg_ident.conf", "".join(f'service "{name}" {role}\n' for name in sorted(people)))
        settings = {**_SETTINGS, "unix_socket_directories": str(sockets), "log_directory": str(logs)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [str(binaries / "postgres"), "-D", str(cluster), *options]
        child = subprocess.Popen(
            # The shell opens the file as the account, then becomes the server.
            ["/bin/sh", "-c", 'exec "$@" > "$0" 2>&1', str(logs / "startup.log"), *server],
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=clean_environment(),
            umask=0o077,
            user=account.switch_user,
            group=account.switch_group,
            extra_groups=account.switch_extra_groups,
            # A Ctrl-C at the service's terminal is not for the server: the service stops it when it is done with it.
            start_new_session=True,
        )
        return cls(psutil.Process(child.pid), child)

    @property
    def number(self) -> int:
        """The process id."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        if self.child is not None:
            self.child.poll()
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def shut_down(self) -> None:
        """End it: open transactions are rolled back, connections closed, everything is written down.

        If that takes longer than a minute it is ended without a last checkpoint, which costs the next start a
        recovery, and no data.

        Raises:
            PostgresError: it does not end.
        """
        for stop_signal, patience in (
            (signal.SIGINT, _FAST_SHUTDOWN_SECONDS),
            (signal.SIGQUIT, _IMMEDIATE_SHUTDOWN_SECONDS),
        ):
            try:
                self.process.send_signal(stop_signal)
            except psutil.NoSuchProcess:
                return
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if not self.is_alive():
                    return
                time.sleep(POLL_SECONDS)
        raise PostgresError(f"PostgreSQL (process {self.number}) does not end: see its log, then end it by hand")


def startup_complaint(logs: Path) -> str:
    """The last lines of a server that did not come up, as one line."""
    said = _last_lines(logs / "startup.log")
    if any("redirecting log output" in line for line in said):
        said = _last_lines(max(logs.glob("postgres-*.log"), key=lambda path: path.stat().st_mtime))
    return one_line("\n".join(said))


def _last_lines(path: Path, count: int = 8, read_bytes: int = 8192) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - read_bytes))
        return file.read().decode(errors="replace").splitlines()[-count:]


def _number_in_lock_file(path: Path) -> int | None:
    try:
        return abs(int(path.read_text().partition("\n")[0]))  # negative in single-user mode
    except (FileNotFoundError, ValueError):
        return None


def _remove_misleading_lock_file(path: Path) -> None:
    """Remove a lock file that PostgreSQL would take for a live server's, when there is none (`Postmaster.find`).

    PostgreSQL itself replaces the file of a dead process, and looks first whether shared memory that the file names
    is still in use. It gives up, however, when the file is damaged, or when its number now belongs to some other
    process of the same account, a zombie for example. Even without the file no two servers can come to share the
    data: the key of the shared memory follows from the cluster's inode, and memory in use is refused.
    """
    number = _number_in_lock_file(path)
    if number is None or psutil.pid_exists(number):
        path.unlink(missing_ok=True)
