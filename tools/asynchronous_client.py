"""Write the asynchronous client from the synchronous one: `python -m tools.asynchronous_client`; `--check` compares."""

import subprocess
import sys
from pathlib import Path

from tools.translation import UntranslatableError, names_of, translate

_ROOT = Path(__file__).parents[1]
_SOURCES = _ROOT / "service/client/synchronous"
_TWINS = _ROOT / "service/client/asynchronous"
# Otherwise the order of imports would depend on which modules are there already.
_SORTED = ["--select", "F401,I", "--config", 'lint.isort.known-first-party = ["service"]']
_HEADER = (
    "# Generated from service/client/synchronous/{name} by `python -m tools.asynchronous_client`: change that file.\n"
)


def generated() -> dict[str, str]:
    """Return the asynchronous modules by file name, formatted.

    Raises:
        UntranslatableError: a source does what has no asynchronous twin.
    """
    sources = {path.name: path.read_text() for path in sorted(_SOURCES.glob("[!_]*.py"))}
    names = names_of(sources)
    return {
        name: _tidy(name, _HEADER.format(name=name) + translate(name, text, names)) for name, text in sources.items()
    }


def committed() -> dict[str, str]:
    """Return the modules that are there."""
    return {path.name: path.read_text() for path in sorted(_TWINS.glob("[!_]*.py"))}


def _tidy(name: str, text: str) -> str:
    """Import what is used, in order, and break lines as everywhere else."""
    for command in (["check", "--fix", *_SORTED], ["format"]):
        arguments = [*command, "--quiet", "--stdin-filename", str(_TWINS / name), "-"]
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments],
            input=text,
            capture_output=True,
            text=True,
            cwd=_ROOT,
            check=False,
        )
        if run.returncode:
            raise UntranslatableError(f"{name}: ruff {command[0]} refuses the result: {run.stdout}{run.stderr}")
        text = run.stdout
    return text


def main(arguments: list[str]) -> None:
    """Write the modules, or with `--check` exit with 1 and say what differs."""
    try:
        wanted, there = generated(), committed()
    except UntranslatableError as error:
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
