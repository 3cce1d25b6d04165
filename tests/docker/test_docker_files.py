"""What docker/Dockerfile and docker/*.sh name exists in the project."""

import os
import re
import shutil
import stat
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from model.cli import build_app
from service.settings import Settings
from tests.docker.files import (
    ENTRYPOINT,
    REPOSITORY,
    SETTINGS,
    compose,
    copied_from_repository,
    dockerfile,
    final_stage,
    image_environment,
    last_of,
)

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
NOT_SETTINGS = {
    "PATH": "where the commands are",
    "PYTHONDONTWRITEBYTECODE": "Python's own; the root filesystem is read-only",
}
SCRIPTS = ("entrypoint.sh", "make-secrets.sh")


def run_lines(program: str) -> list[str]:
    """Every call of a program in a `RUN` of the Dockerfile, options included."""
    runs = [found.value for found in dockerfile() if found.name == "RUN"]
    commands = [command.strip() for run in runs for command in re.split(r"&&|\|\|", run)]
    return [command[command.index(f"{program} ") :] for command in commands if re.search(rf"(^| ){program} ", command)]


def named_packages() -> set[str]:
    """The packages that a pip of the Dockerfile is given by name."""
    with_value = r"--(constraint|requirement|index-url|python|only-binary|wheel-dir) \S+"
    words = [word for line in run_lines("pip") for word in re.sub(with_value, "", line).split()]
    return {word for word in words if re.fullmatch(r"[A-Za-z][\w-]*", word)} - {"pip", "install", "wheel"}


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build context: the last pattern that matches decides."""
    parts = [Path(path), *Path(path).parents]
    verdict = False
    for pattern in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if not pattern or pattern.startswith("#"):
            continue
        keeps = pattern.startswith("!")
        if any(fnmatch(str(part), pattern.removeprefix("!").removeprefix("**/")) for part in parts):
            verdict = not keeps
    return verdict


def test_every_copied_path_exists_and_reaches_the_builder() -> None:
    for source in copied_from_repository():
        assert (REPOSITORY / source).exists(), source
        assert not ignored(source), source


@pytest.mark.parametrize("path", ["docker/secrets/tfclip_admin_key", ".env", ".git/config", ".venv/bin/python", "data"])
def test_secrets_and_data_do_not_reach_the_builder(path: str) -> None:
    assert ignored(path)


def test_every_package_of_the_wheel_is_copied_with_what_its_metadata_needs() -> None:
    rooms = {name.split(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    files = {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert rooms | files <= set(copied_from_repository())


def test_every_package_that_pip_is_told_by_name_is_pinned() -> None:
    pins = {canonicalize_name(line.split("==")[0]) for line in (REPOSITORY / "constraints.txt").read_text().split()}
    named = named_packages()
    assert named == {"torch", "torchvision", "setuptools"}
    assert named <= pins
    assert {canonicalize_name(Requirement(text).name) for text in PROJECT["build-system"]["requires"]} <= named


def test_every_pip_that_downloads_is_held_by_the_constraints() -> None:
    downloads = [line for line in run_lines("pip") if " install " in line and "--no-index" not in line]
    assert len(downloads) == 3
    assert all("--constraint constraints.txt" in line for line in downloads)


def test_every_stage_has_one_python_and_the_project_supports_it() -> None:
    bases = {found.operands()[0] for found in dockerfile() if found.name == "FROM"}
    assert len(bases) == 1
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", bases.pop())
    assert version
    assert version[1] in SpecifierSet(PROJECT["project"]["requires-python"])


def test_the_image_sets_only_variables_that_the_service_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = image_environment()
    assert set(environment) <= SETTINGS | set(NOT_SETTINGS)
    for name in set(environment) - {"PATH"}:
        monkeypatch.setenv(name, environment[name])
    settings = Settings()
    assert (settings.host, settings.port) == ("0.0.0.0", int(last_of("EXPOSE").value))
    assert settings.data_dir == Path("/var/lib/tfclip")


def test_the_image_runs_a_command_of_this_project() -> None:
    assert PROJECT["project"]["scripts"] == {"tfclip": "model.cli:main"}
    assert ENTRYPOINT.read_text().rstrip().endswith('exec tfclip "$@"')
    name, *arguments = last_of("CMD").words()
    group = typer.main.get_command(build_app())
    command = group.commands[name]
    with command.make_context(name, list(arguments)) as context:
        assert context.params.keys() >= {"host", "port", "weights"}


def test_the_entrypoint_of_the_image_is_the_one_in_the_repository() -> None:
    (entrypoint,) = last_of("ENTRYPOINT").words()
    assert f"docker/entrypoint.sh /usr/local/bin/{entrypoint}" in [
        " ".join(found.operands()) for found in final_stage() if found.name == "COPY"
    ]


def test_the_image_belongs_to_a_user_without_rights_who_owns_what_it_writes() -> None:
    user = last_of("USER").value
    uid, gid = user.split(":")
    assert int(uid) > 0
    assert [found.name for found in final_stage()].index("USER") > max(
        number for number, found in enumerate(final_stage()) if found.name in ("RUN", "COPY")
    )
    made = " ".join(run_lines("install"))
    for folder in ("/var/lib/tfclip", "/weights"):
        assert re.search(rf"install --directory --owner={uid} --group={gid} --mode=07\d\d {folder}\b", made)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_posix_and_stop_at_the_first_failure(script: str) -> None:
    path = REPOSITORY / "docker" / script
    first, *lines = path.read_text().splitlines()
    assert first == "#!/bin/sh"
    assert next(line for line in lines if line and not line.startswith("#")) == "set -eu"
    assert path.stat().st_mode & stat.S_IXUSR
    subprocess.run(["/bin/sh", "-n", path], check=True)


def test_secrets_are_made_once_and_closed_to_other_users_of_the_machine(tmp_path: Path) -> None:
    script = shutil.copy(REPOSITORY / "docker" / "make-secrets.sh", tmp_path)
    subprocess.run(["/bin/sh", script], check=True, capture_output=True)
    folder = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == set(compose()["secrets"])
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    assert Settings(_secrets_dir=folder).admin_key.get_secret_value() == made["tfclip_admin_key"].strip()
    subprocess.run(["/bin/sh", script], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_git_ignores_the_secrets(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    (tmp_path / "docker").mkdir()
    shutil.copy(REPOSITORY / "docker" / ".gitignore", tmp_path / "docker")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run(["git", "init", "--quiet", tmp_path], env=environment, check=True)
    for name in compose()["secrets"].values():
        subprocess.run(["git", "-C", tmp_path, "check-ignore", "--quiet", name["file"]], env=environment, check=True)
