"""Write the asynchronous client from the synchronous one: `python -m tools.asynchronous_client`; `--check` compares."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.translation import UntranslatableError, names_of, translate

_ROOT = Path(__file__).parents[1]
_SOURCES = _ROOT / "service/client/synchronous"
_TWINS = _ROOT / "service/client/asynchronous"
_HEADER = (
    "# Generated from service/client/synchronous/{name} by `python -m tools.asynchronous_client`: change that file.\n"
)


def generated() -> dict[str, str]:
    """Return the asynchronous modules by file name, as they are to be committed.

    Raises:
        UntranslatableError: a source does what has no asynchronous twin.
    """
    sources = _modules(_SOURCES)
    names = names_of(sources)
    return _tidied({name: _HEADER.format(name=name) + translate(name, text, names) for name, text in sources.items()})


def committed() -> dict[str, str]:
    """Return the asynchronous modules that are there, by file name."""
    return _modules(_TWINS)


def _modules(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("[!_]*.py"))}


def _tidied(modules: Mapping[str, str]) -> dict[str, str]:
    """Import what is used, in order, and break lines as everywhere else."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for module, text in modules.items():
            (folder / module).write_text(text)
        # Outside the repository nothing tells which packages are its own.
        own = 'lint.isort.known-first-party = ["service"]'
        _ruff("check", "--fix", "--select", "F401,I", "--config", own, str(folder))
        _ruff("format", str(folder))
        return _modules(folder)


def _ruff(command: str, *arguments: str) -> None:
    ruff = [sys.executable, "-m", "ruff", command, "--quiet", "--no-cache", "--config", str(_ROOT / "pyproject.toml")]
    run = subprocess.run([*ruff, *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise UntranslatableError(f"ruff refuses the result: {run.stdout}{run.stderr}")


def main(arguments: list[str]) -> None:
    """Write the modules, or with `--check` exit with 1 and say which differ."""
    try:
        wanted, there = generated(), committed()
    except (UntranslatableError, SyntaxError) as error:
        sys.exit(str(error))
    different = sorted(name for name in wanted | there if wanted.get(name) != there.get(name))
    if "--check" in arguments:
        if different:
            sys.exit(
                f"service/client/asynchronous is not what its sources say: {', '.join(different)}; run: make client"
            )
        return
    for name in different:
        if name in wanted:
            (_TWINS / name).write_text(wanted[name])
        else:
            (_TWINS / name).unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
