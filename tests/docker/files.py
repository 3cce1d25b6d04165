"""Dockerfile, compose file and what they say, as the tests of this folder read them."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {f"TFCLIP_{name.upper()}" for name in Settings.model_fields}
ENTRYPOINT = REPOSITORY / "docker" / "entrypoint.sh"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile.

    Attributes:
        stage: how many `FROM` came before it, itself included.
        name: in capitals.
        value: the rest, continued lines joined.
    """

    stage: int
    name: str
    value: str

    def words(self) -> list[str]:
        """The value as a shell splits it; of the exec form, its items."""
        return json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)

    def operands(self) -> list[str]:
        """The words that are no `--option=value`."""
        return [word for word in self.words() if not word.startswith("--")]


def dockerfile() -> list[Instruction]:
    """Every instruction of docker/Dockerfile, in order."""
    text = (REPOSITORY / "docker" / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    instructions: list[Instruction] = []
    stage = 0
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, value = line.split(maxsplit=1)
        stage += name == "FROM"
        instructions.append(Instruction(stage, name, value))
    return instructions


def last_of(name: str) -> Instruction:
    """The instruction of this name that holds in the image."""
    return [found for found in final_stage() if found.name == name][-1]


def final_stage() -> list[Instruction]:
    """The instructions that make the image itself."""
    instructions = dockerfile()
    return [found for found in instructions if found.stage == instructions[-1].stage]


def copied_from_repository() -> list[str]:
    """Every path that a `COPY` takes out of the build context."""
    copies = [found for found in dockerfile() if found.name == "COPY" and "--from=" not in found.value]
    return [source for copy in copies for source in copy.operands()[:-1]]


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(word.split("=", 1) for found in final_stage() if found.name == "ENV" for word in found.words())


def compose() -> dict[str, Any]:
    """docker-compose.yml, merged keys resolved, variables as they are."""
    return yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())


def interpolated(text: str) -> str:
    """`text` with every `${NAME:-default}` replaced as Compose does when the variable is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def services_of_this_project() -> list[str]:
    """The names of the compose services that run our image."""
    return [name for name, service in compose()["services"].items() if "build" in service]


def default_profile() -> str:
    """The profile that `docker compose up` activates: a --profile on the command line replaces it."""
    variables = dict(line.split("=", 1) for line in (REPOSITORY / ".env").read_text().splitlines() if line[:1] != "#")
    return variables["COMPOSE_PROFILES"]


def started_with(profile: str) -> set[str]:
    """The names of the services that Compose starts with this profile."""
    return {name for name, service in compose()["services"].items() if profile in service.get("profiles", [profile])}
