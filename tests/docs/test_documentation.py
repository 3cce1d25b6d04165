"""What the documentation says exists, has these defaults, and parses."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.main import get_command

from model.cli import build_app
from service.errors import ServiceError
from service.settings import Settings, default_data_directory
from tests.docs.pages import PAGES, ROOT, anchors, blocks, command_lines, links, name_of, prose, table_rows

CLIENT_VARIABLES = {"TFCLIP_SECRETS_DIR", "TFCLIP_URL", "TFCLIP_API_KEY"}
"""Variables that are no fields of `Settings`."""

SETTINGS = {f"TFCLIP_{name.upper()}": name for name in Settings.model_fields}

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@every_page
def test_every_link_resolves(page: Path) -> None:
    broken = []
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


@every_page
def test_every_variable_exists(page: Path) -> None:
    named = set(re.findall(r"\bTFCLIP_[A-Z][A-Z_]*", page.read_text()))
    assert named <= SETTINGS.keys() | CLIENT_VARIABLES


def test_every_setting_is_documented_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    documented = {row[0].strip("`"): row[1] for row in table_rows(ROOT / "docs/settings.md") if "TFCLIP_" in row[0]}
    settings = Settings()
    # These two depend on the machine; they have tests of their own below.
    computed = {"TFCLIP_DATA_DIR", "TFCLIP_DECODE_THREADS"}
    expected = {
        variable: _as_documented(getattr(settings, field))
        for variable, field in SETTINGS.items()
        if variable not in computed
    }
    assert {name: documented[name] for name in expected if name in documented} == expected
    assert documented.keys() == SETTINGS.keys() | CLIENT_VARIABLES - {"TFCLIP_SECRETS_DIR"}


@pytest.mark.parametrize(("account", "folder"), [(0, "/var/lib/tfclip"), (1000, "~/.local/share/tfclip")])
def test_the_documented_data_directories_are_the_real_ones(
    account: int, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: account)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_directory() == Path(folder).expanduser()
    assert f"`{folder}`" in _documented_default("TFCLIP_DATA_DIR")


@pytest.mark.parametrize(("processors", "threads"), [(1, 2), (12, 12)])
def test_the_documented_number_of_decoding_threads_is_the_real_one(
    processors: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.settings.allowed_cores", lambda: processors)
    monkeypatch.delenv("TFCLIP_DECODE_THREADS", raising=False)
    assert Settings().decode_threads == threads
    assert _documented_default("TFCLIP_DECODE_THREADS") == "the number of cores that it may use, at least 2"


def test_every_error_code_is_documented_with_its_status() -> None:
    rows = table_rows(ROOT / "docs/http-api.md")
    documented = [(row[0].strip("`"), row[1]) for row in rows if len(row) == 3 and row[1].isdecimal()]
    assert sorted(documented) == sorted({(error.code, str(error.status)) for error in _tree(ServiceError)})


def test_every_endpoint_is_documented_and_no_other() -> None:
    from service.app import create_app

    paths = create_app(Settings()).openapi()["paths"]
    real = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    text = prose(ROOT / "docs/http-api.md")
    table = re.findall(
        r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", text[text.index("| endpoint") : text.index("A key has")]
    )
    assert {re.sub(r"\{[a-z_]+\}", "{}", name) for name in table} == {
        re.sub(r"\{[a-z_]+\}", "{}", name) for name in real
    }


@every_page
def test_every_command_line_parses(page: Path) -> None:
    app = get_command(build_app())
    for line in command_lines(blocks(page)):
        with app.make_context("tfclip", line) as root:
            group, context, rest = app, root, line
            while hasattr(group, "commands"):
                _, group, rest = group.resolve_command(context, rest)  # type: ignore[attr-defined]
                assert group is not None
                context = group.make_context(group.name, list(rest), parent=context)


@every_page
def test_every_command_named_in_prose_exists(page: Path) -> None:
    for words in re.findall(r"`tfclip ([a-z][^`]*)`", prose(page)):
        command = get_command(build_app())
        rest = words.split()
        while hasattr(command, "commands") and rest and re.fullmatch(r"[a-z-]+", rest[0]):
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z0-9-]+", " ".join(rest))) <= options | {"--help"}, words


@every_page
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [line for block in blocks(page) for line in block.text.splitlines()]
    named = {line.split()[1] for line in lines if line.startswith("make ")}
    named |= set(re.findall(r"`make ([a-z-]+)`", prose(page)))
    assert named <= targets


def test_every_section_of_the_method_that_the_code_cites_exists() -> None:
    cited = set()
    for room in ("model", "service", "training", "tests/model"):
        for file in (ROOT / room).rglob("*.py"):
            for numbers in re.findall(r"method\.md ((?:\d\.\d(?:, )?)+)", file.read_text()):
                cited |= set(re.findall(r"\d\.\d", numbers))
    assert cited
    assert cited <= set(re.findall(r"^### (\d\.\d) ", (ROOT / "docs/method.md").read_text(), re.MULTILINE))


def test_the_changelog_names_the_present_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def _documented_default(variable: str) -> str:
    return next(row[1] for row in table_rows(ROOT / "docs/settings.md") if row[0] == f"`{variable}`")


def _as_documented(value: object) -> str:
    assert not isinstance(value, SecretStr)
    if value is None:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _tree(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)
