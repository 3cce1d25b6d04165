"""The documentation as tests read it: pages, fenced blocks, links, headings, tables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, and what is in it."""

    info: str
    text: str


def name_of(page: Path) -> str:
    """A page's path from the root, for test ids."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    return [Block(found["info"].strip(), found["text"]) for found in _FENCE.finditer(page.read_text())]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Path and anchor of every link that does not leave the repository; a path may be empty."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """What a link may name after `#`, as GitHub makes it from headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(page: Path) -> list[list[str]]:
    """The cells of every table row of a page, heads included."""
    lines = [line for line in prose(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def command_lines(marked: list[Block]) -> list[list[str]]:
    """The arguments of every `tfclip` in a fenced block, wherever a command may stand."""
    found = []
    for block in marked:
        if block.info.startswith(("python", "json", "yaml")):
            continue
        text = block.text.replace("\\\n", " ")
        for arguments in re.findall(r"(?:^|\$\(|[|;&] )(?:[A-Z_]+=\S+ )*tfclip (.*)$", text, re.MULTILINE):
            lexer = shlex.shlex(arguments, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(lexer)
            end = next((index for index, word in enumerate(words) if set(word) <= set("();<>|&")), len(words))
            found.append(words[:end])
    return found
