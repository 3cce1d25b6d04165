"""What docker-compose.yml names exists in the project, and the containers may do no more than they need."""

import re
from pathlib import PurePosixPath
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from service.settings import Settings
from service.store.postgres_binaries import MAJOR_VERSION, find_binaries
from tests.docker.files import (
    ENTRYPOINT,
    REPOSITORY,
    SETTINGS,
    compose,
    default_profile,
    dockerfile,
    image_environment,
    interpolated,
    last_of,
    services_of_this_project,
    started_with,
)

VARIABLES_OF_THE_USER = {"PUBLISHED_ADDRESS": "of the machine; the service itself always listens on one port"}
VARIABLES_OF_THE_POSTGRES_IMAGE = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"}
DOCUMENTATION = (REPOSITORY / "docs" / "docker.md").read_text()

each_service = pytest.mark.parametrize("service", compose()["services"].values(), ids=compose()["services"])
each_of_ours = pytest.mark.parametrize("name", services_of_this_project())


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Path in the container -> named volume."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}


def tmpfs_bytes(service: dict[str, Any], path: str) -> int:
    """How much the memory file system at `path` holds."""
    (options,) = [found.split(":")[1] for found in service["tmpfs"] if found.split(":")[0] == path]
    number, unit = re.search(r"size=(\d+)([mg])", options).groups()
    return int(number) * {"m": 2**20, "g": 2**30}[unit]


@each_service
def test_a_container_may_do_no_more_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert not service.get("user", last_of("USER").value).startswith(("0", "root"))
    assert set(service["deploy"]["resources"]["limits"]) == {"memory", "pids"}
    assert service["restart"] == "unless-stopped"


@each_service
def test_volumes_and_secrets_are_declared(service: dict[str, Any]) -> None:
    assert set(mounts(service).values()) <= set(compose()["volumes"])
    assert set(service["secrets"]) <= set(compose()["secrets"])


def test_every_volume_and_secret_is_used() -> None:
    services = compose()["services"].values()
    assert {volume for service in services for volume in mounts(service).values()} == set(compose()["volumes"])
    assert {secret for service in services for secret in service["secrets"]} == set(compose()["secrets"])


def test_secret_files_are_those_that_the_service_and_the_entrypoint_read() -> None:
    secrets = compose()["secrets"]
    assert all(secret["file"] == f"docker/secrets/{name}" for name, secret in secrets.items())
    read_by_entrypoint = set(re.findall(r"TFCLIP_SECRETS_DIR/(\w+)", ENTRYPOINT.read_text()))
    read_by_settings = {name for name in secrets if name.upper() in SETTINGS}
    assert read_by_entrypoint | read_by_settings == set(secrets)


def test_only_known_variables_are_taken_from_the_user() -> None:
    asked = set(re.findall(r"\$\{?(\w+)", (REPOSITORY / "docker-compose.yml").read_text()))
    assert asked <= SETTINGS | set(VARIABLES_OF_THE_USER)
    assert all(name in DOCUMENTATION for name in asked)


@each_of_ours
def test_the_environment_is_valid_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = image_environment() | compose()["services"][name]["environment"]
    assert {variable for variable in environment if variable.startswith("TFCLIP_")} <= SETTINGS
    for variable, value in environment.items():
        if variable in SETTINGS:
            monkeypatch.setenv(variable, interpolated(value))
    settings = Settings()
    assert settings.weights is None
    assert settings.device == ("cuda" if name == "service-gpu" else "cpu")


@each_of_ours
def test_the_service_reaches_the_database_that_compose_makes(name: str) -> None:
    postgres = compose()["services"]["postgres"]
    assert set(postgres["environment"]) == VARIABLES_OF_THE_POSTGRES_IMAGE
    url = make_url(compose()["services"][name]["environment"]["TFCLIP_DATABASE_URL"])
    assert (url.host, url.port, url.password) == ("postgres", 5432, None)
    assert (url.username, url.database) == (
        postgres["environment"]["POSTGRES_USER"],
        postgres["environment"]["POSTGRES_DB"],
    )
    assert postgres["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"
    assert compose()["services"][name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_postgres_is_a_pinned_official_image_of_the_embedded_major_version() -> None:
    postgres = compose()["services"]["postgres"]
    major, minor = re.fullmatch(r"postgres:(\d+)\.(\d+)", postgres["image"]).groups()
    assert int(major) == MAJOR_VERSION >= 17
    assert int(minor) > 0
    # From 18 on the image keeps its data in a folder of this one; mounted any deeper, they would be lost.
    assert mounts(postgres) == {"/var/lib/postgresql": "postgres"}
    assert "ports" not in postgres


def test_the_health_check_of_postgres_names_a_program_and_the_database_that_exist() -> None:
    postgres = compose()["services"]["postgres"]
    kind, program, *options = postgres["healthcheck"]["test"]
    assert kind == "CMD"
    assert (find_binaries() / program).is_file()
    assert f"--username={postgres['environment']['POSTGRES_USER']}" in options
    assert f"--dbname={postgres['environment']['POSTGRES_DB']}" in options


@each_of_ours
def test_data_are_writable_and_weights_are_not(name: str) -> None:
    service = compose()["services"][name]
    assert service["volumes"] == ["data:/var/lib/tfclip", "weights:/weights:ro"]
    assert mounts(service)[image_environment()["TFCLIP_DATA_DIR"]] == "data"


@each_of_ours
def test_uploads_that_are_read_at_once_fit_into_the_memory_that_holds_them(name: str) -> None:
    fields = Settings.model_fields
    needed = fields["max_uploads"].default * fields["max_body_bytes"].default
    assert needed <= tmpfs_bytes(compose()["services"][name], "/tmp")


@each_of_ours
def test_the_image_is_built_from_this_repository(name: str) -> None:
    build = compose()["services"][name]["build"]
    assert (REPOSITORY / build["context"] / build["dockerfile"]).is_file()
    arguments = {found.value.split("=")[0]: found.value.split("=")[1] for found in dockerfile() if found.name == "ARG"}
    assert set(build["args"]) == set(arguments)
    assert (build["args"]["TORCH_INDEX"] == arguments["TORCH_INDEX"]) == (name == "service")


def test_each_profile_starts_one_service_and_the_default_is_the_cpu() -> None:
    assert started_with(default_profile()) == {"postgres", "service"}
    assert started_with("gpu") == {"postgres", "service-gpu"}


def test_only_the_gpu_service_reserves_a_gpu() -> None:
    reservations = {
        name: service["deploy"]["resources"].get("reservations") for name, service in compose()["services"].items()
    }
    (device,) = reservations.pop("service-gpu")["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert set(reservations.values()) == {None}


@each_of_ours
def test_the_port_is_published_to_this_machine_alone(name: str) -> None:
    (published,) = compose()["services"][name]["ports"]
    assert interpolated(published) == f"127.0.0.1:8000:{image_environment()['TFCLIP_PORT']}"


def test_what_the_documentation_names_exists() -> None:
    profiles = {profile for service in compose()["services"].values() for profile in service.get("profiles", [])}
    assert set(re.findall(r"--profile (\w+)", DOCUMENTATION)) <= profiles
    assert set(re.findall(r"TFCLIP_[A-Z_]+", DOCUMENTATION)) <= SETTINGS | {"TFCLIP_API_KEY", "TFCLIP_URL"}
    volumes = {f"{compose()['name']}_{name}" for name in compose()["volumes"]}
    assert set(re.findall(r"tfclip_(?:data|postgres|weights)\b", DOCUMENTATION)) == volumes
    for path in re.findall(r"\bdocker/[\w./-]+\w", DOCUMENTATION):
        assert (REPOSITORY / path).exists() or PurePosixPath(path).parts[1] == "secrets", path
