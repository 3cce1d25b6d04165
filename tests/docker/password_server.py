"""A PostgreSQL as docker-compose.yml has it: reached over TCP, and nobody gets in without the password."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from service.store.postgres_binaries import ServerAccount, clean_environment, find_binaries
from service.store.postgres_copy import reachable_binaries
from tests.support import reachable_folder, wait_until


@dataclass(frozen=True)
class PasswordServer:
    """Where the server listens, and who gets in.

    Attributes:
        port: on 127.0.0.1.
        user: the only role.
        database: an empty database.
        password: of the role.
    """

    port: int
    user: str
    database: str
    password: str

    def accepts(self, password: str, database: str) -> bool:
        """Whether the role gets into the database with this password."""
        try:
            psycopg.connect(
                host="127.0.0.1", port=self.port, user=self.user, password=password, dbname=database
            ).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def run_password_server(user: str, database: str) -> Iterator[PasswordServer]:
    """A server of its own: the embedded one has no TCP and asks the kernel, not for a password, who is calling."""
    server = PasswordServer(free_port(), user, database, "made-up-password")
    with reachable_folder() as folder:
        account = ServerAccount.choose(folder)
        binaries = reachable_binaries(find_binaries(), account)
        home = folder / "postgres"
        home.mkdir(mode=0o700)
        os.chown(home, account.uid, account.gid)
        account.write(home / "password", server.password)
        initdb = [binaries / "initdb", "--pgdata", home / "cluster", "--username", server.user, "--auth=scram-sha-256"]
        made = account.run([*initdb, "--encoding=UTF8", "--no-sync", "--pwfile", home / "password"])
        assert made.returncode == 0, made.stderr
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={server.port}", "-c", "unix_socket_directories="]
        process = subprocess.Popen(
            [binaries / "postgres", "-D", home / "cluster", *settings],
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=account.switch_user,
            group=account.switch_group,
            extra_groups=account.switch_extra_groups,
        )
        try:
            wait_until(lambda: server.accepts(server.password, "postgres"))
            target = f"host=127.0.0.1 port={server.port} user={server.user} password={server.password} dbname=postgres"
            with psycopg.connect(target, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {server.database}")
            yield server
        finally:
            process.terminate()
            process.wait(60)


def free_port() -> int:
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
