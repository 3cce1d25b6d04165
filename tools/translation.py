"""How a synchronous module of the client becomes an asynchronous one: edits of its text where its syntax tree says.

A method that waits becomes a coroutine, one that also yields an asynchronous iterator. What waits: `self._send`, the
connection `self._http`, `time.sleep`, and every method that calls one that waits. Comments and docstrings stay.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

SYNCHRONOUS, ASYNCHRONOUS = "service.client.synchronous", "service.client.asynchronous"
_NAMES = {"Pieces": "AsyncPieces"}
_ATTRIBUTES = {
    "time.sleep": "asyncio.sleep",
    "httpx.Client": "httpx.AsyncClient",
    "self._http.close": "self._http.aclose",
}
_METHODS = {"__enter__": "__aenter__", "__exit__": "__aexit__"}
_PHRASES = {
    "`with Async": "`async with Async",
    "as client: client.": "as client: await client.",
    "from several threads": "by the tasks of one event loop",
}


class UntranslatableError(Exception):
    """The source does something that has no asynchronous twin here; the message names file, line and remedy."""


@dataclass(frozen=True)
class Names:
    """What all sources together define: classes, methods that wait, and those of them that are generators."""

    classes: frozenset[str]
    waiting: frozenset[str]
    yielding: frozenset[str]


def names_of(sources: Mapping[str, str]) -> Names:
    """Read which classes and methods the sources, by file name, define."""
    classes = [node for text in sources.values() for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    methods = [node for one in classes for node in one.body if isinstance(node, ast.FunctionDef)]
    waiting: set[str] = {"_send", *_METHODS}
    while more := {method.name for method in methods if _waits(method, waiting)} - waiting:
        waiting |= more
    yielding = {method.name for method in methods if any(isinstance(part, _YIELDS) for part in ast.walk(method))}
    return Names(frozenset(one.name for one in classes), frozenset(waiting), frozenset(yielding & waiting))


def translate(name: str, text: str, names: Names) -> str:
    """Return the asynchronous twin of a source; imports that it does not use are left to a formatter.

    Raises:
        UntranslatableError: it has none.
    """
    twin = _Translation(name, text, names).run()
    try:
        ast.parse(twin)
    except SyntaxError as error:
        raise UntranslatableError(f"{name}: the result is no Python: {error}") from error
    return twin


_YIELDS = (ast.Yield, ast.YieldFrom)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp)


def _waits(method: ast.FunctionDef, waiting: set[str]) -> bool:
    return any(isinstance(part, ast.Call) and _is_waiting(part.func, waiting) for part in ast.walk(method))


def _is_waiting(function: ast.expr, waiting: set[str] | frozenset[str]) -> bool:
    called = ast.unparse(function)
    own = called.removeprefix("self.")
    return called == "time.sleep" or called.startswith("self._http.") or (own != called and own in waiting)


@dataclass
class _Translation:
    """The edits of one source: bytes from a place to another, and what comes there instead."""

    name: str
    text: str
    names: Names
    edits: list[tuple[int, int, str]] = field(default_factory=list)

    def run(self) -> str:
        self.source = self.text.encode()
        self.lines = [0, *(found.end() for found in re.finditer(rb"\n", self.source))]
        tree = ast.parse(self.text)
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        if imports:
            self._insert(self._start(imports[0]), "import asyncio\n")
        for statement in tree.body:
            self._module_level(statement)
        for node in ast.walk(tree):
            self._visit(node)
        twin = self.source
        for start, end, new in sorted(self.edits, key=lambda edit: edit[:2], reverse=True):
            twin = twin[:start] + new.encode() + twin[end:]
        return twin.decode()

    def _module_level(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            try:
                ast.literal_eval(node.value)
            except ValueError:
                self._refuse(node, "it would be made twice; define it in a module that both clients import")
        elif not (isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef) or _is_text(node)):
            self._refuse(
                node, "only imports, plain constants and classes; move it to a module that both clients import"
            )

    def _visit(self, node: ast.AST) -> None:
        match node:
            case ast.ImportFrom():
                self._import(node)
            case ast.ClassDef():
                self._insert(self.source.index(b"class ", self._start(node)) + len("class "), "Async")
            case ast.Name(id=word) if word in self.names.classes:
                self._insert(self._start(node), "Async")
            case ast.Name(id=word) if word in _NAMES:
                self._replace(node, _NAMES[word])
            case ast.FunctionDef() if isinstance(self.parents[node], ast.ClassDef) and node.name in self.names.waiting:
                self._method(node)
            case ast.Call() if _is_waiting(node.func, self.names.waiting):
                self._call(node)
            case ast.YieldFrom():
                self._yield_from(node)
            case ast.Attribute():
                self._attribute(node)
            case ast.Expr() if _is_text(node):
                self._replace(node, self._words(ast.get_source_segment(self.text, node) or ""))

    def _import(self, node: ast.ImportFrom) -> None:
        if (node.module or "").startswith(SYNCHRONOUS):
            start = self.source.index(SYNCHRONOUS.encode(), self._start(node))
            self.edits.append((start, start + len(SYNCHRONOUS), ASYNCHRONOUS))
        for alias in node.names:
            if alias.name in self.names.classes:
                self._insert(self._start(alias), "Async")
            elif alias.name in _NAMES:
                self._replace(alias, _NAMES[alias.name])
            elif alias.name == "Iterator":
                self._replace(alias, "AsyncIterator, Iterator")

    def _method(self, node: ast.FunctionDef) -> None:
        if node.decorator_list:
            self._refuse(node, "a method that waits has no decorators")
        start = self._start(node)
        self._insert(start, "async ")
        if node.name in _METHODS:
            start += len("def ")
            self.edits.append((start, start + len(node.name), _METHODS[node.name]))
        if node.name in self.names.yielding:
            returns = node.returns
            if not (isinstance(returns, ast.Subscript) and ast.unparse(returns.value) == "Iterator"):
                self._refuse(node, "a generator that waits says that it returns an Iterator")
            self._replace(returns.value, "AsyncIterator")

    def _call(self, node: ast.Call) -> None:
        parent = self.parents[node]
        scope = next(above for above in self._above(node) if isinstance(above, _SCOPES))
        if not (isinstance(scope, ast.FunctionDef) and isinstance(self.parents[scope], ast.ClassDef)):
            self._refuse(node, "nothing waits inside a nested function, a lambda or a generator expression")
        if isinstance(parent, ast.withitem):
            self._refuse(node, "nothing that waits is a context manager")
        if ast.unparse(node.func).removeprefix("self.") not in self.names.yielding:
            # `await` binds less than what reads from its result.
            reads = isinstance(parent, ast.Attribute | ast.Subscript | ast.Call) and node not in _arguments(parent)
            self._insert(self._start(node), "(await " if reads else "await ")
            if reads:
                self._insert(self._end(node), ")")
        elif isinstance(parent, ast.For) and parent.iter is node:
            self._insert(self._start(parent), "async ")
        elif isinstance(parent, ast.comprehension) and parent.iter is node:
            self._insert(self.source.rindex(b"for", 0, self._start(parent.target)), "async ")
        elif not isinstance(parent, ast.YieldFrom):
            self._refuse(node, "what a generator that waits yields is read by `for`, or passed on by `yield from`")

    def _yield_from(self, node: ast.YieldFrom) -> None:
        statement = self.parents[node]
        if not isinstance(statement, ast.Expr):
            self._refuse(node, "`yield from` is a statement of its own")
        method = next(above for above in self._above(node) if isinstance(above, ast.FunctionDef))
        if method.name not in self.names.waiting:
            return
        call = node.value
        awaits = isinstance(call, ast.Call) and _is_waiting(call.func, self.names.yielding)
        self.edits.append((self._start(node), self._start(call), "async for item in " if awaits else "for item in "))
        self._insert(self._end(node), ":\n" + " " * (statement.col_offset + 4) + "yield item")

    def _attribute(self, node: ast.Attribute) -> None:
        word = ast.unparse(node)
        parent = self.parents[node]
        if _is_waiting(node, self.names.waiting) and not (isinstance(parent, ast.Call) and parent.func is node):
            self._refuse(node, "what waits is called where it is named")
        if word in _ATTRIBUTES:
            self._replace(node, _ATTRIBUTES[word])

    def _words(self, docstring: str) -> str:
        docstring = re.sub(rf"\b({'|'.join(sorted(self.names.classes))})\b", r"Async\1", docstring)
        for phrase, twin in _PHRASES.items():
            docstring = docstring.replace(phrase, twin)
        return docstring

    def _above(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def _start(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        return self.lines[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.stmt | ast.expr | ast.alias) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.lines[node.end_lineno - 1] + node.end_col_offset

    def _insert(self, place: int, new: str) -> None:
        self.edits.append((place, place, new))

    def _replace(self, node: ast.stmt | ast.expr | ast.alias, new: str) -> None:
        self.edits.append((self._start(node), self._end(node), new))

    def _refuse(self, node: ast.stmt | ast.expr, why: str) -> NoReturn:
        raise UntranslatableError(f"{self.name}, line {node.lineno}: `{ast.unparse(node).splitlines()[0]}`: {why}")


def _arguments(parent: ast.AST) -> list[ast.expr]:
    return parent.args if isinstance(parent, ast.Call) else [parent.slice] if isinstance(parent, ast.Subscript) else []


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
