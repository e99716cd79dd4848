"""A YAML document as plain values, together with the line of every key and value.

Reads what `yaml.compose` gives instead of constructing objects: no tags, dates stay text, `010` and `10:30` are never
numbers, and a key given twice is noticed. Errors never quote the document, because any line of it may hold a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from config.fields import Substituted
from config.references import Resolver

Path = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MOST_VALUES = 100_000  # aliases can make a small file endless
_DEEPEST = 50
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SHOWN_OF_A_KEY = re.compile(r"[\w.\-]{0,40}")


@dataclass
class Document:
    """`values` is None when nothing could be read. `spoilt` are paths that already have an error."""

    values: Any = None
    keys: dict[Path, int] = field(default_factory=dict)  # lines, counted from 1
    lines: dict[Path, int] = field(default_factory=dict)
    errors: list[tuple[int, Path, str]] = field(default_factory=list)
    spoilt: set[Path] = field(default_factory=set)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def key_line(self, path: Path) -> int:
        """The line of a key itself; list items have the line they begin on."""
        return self.keys.get(path) or self.line(path)

    def error(self, path: Path, what: str, line: int | None = None) -> None:
        self.errors.append((self.line(path) if line is None else line, path, what))


def dotted(path: Path) -> str:
    """`("smpp_server", "accounts", 0, "window")` as `smpp_server.accounts[0].window`. What is no word in a key is left
    out, for `password:secret` without its space is one key."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else f".{_word(step)}" if out else _word(step)
    return out or "file"


def _word(key: str) -> str:
    shown = _SHOWN_OF_A_KEY.match(key)
    return key if shown is None or shown[0] == key else f"{shown[0]}..."


def read(data: bytes, resolver: Resolver) -> Document:
    """Read one document. Whatever is wrong lands in `errors`; nothing is raised."""
    document = Document()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        document.error((), "is not UTF-8 text; save the file as UTF-8", line)
        return document
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        line, what = _syntax(error, text)
        document.error((), what, line)
        return document
    except RecursionError:
        document.error((), "is nested too deeply; write plain lists and mappings", 1)
        return document
    if root is None:
        document.error((), "is empty; write at least smpp_server.accounts, one channel and one route", 1)
        return document
    if not isinstance(root, yaml.MappingNode):
        line = root.start_mark.line + 1
        document.error((), "is not a mapping; write keys such as store: and smpp_server: at its left edge", line)
        return document
    document.values = _Reader(document, resolver).value(root, (), ())
    return document


def _syntax(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Line and sentence for text that is not YAML."""
    opened, inside = getattr(error, "context_mark", None), str(getattr(error, "context", ""))
    begun = inside in ("while scanning a simple key", "while scanning a quoted scalar")
    mark = (opened if begun else None) or getattr(error, "problem_mark", None) or opened
    if mark is None:
        found = re.search(r"position (\d+)", str(error))
        where = int(found[1]) if found else 0
        return text.count("\n", 0, where) + 1, "holds a control character; write plain text"
    line = mark.line + 1
    rows = text.split("\n")
    row = rows[mark.line] if mark.line < len(rows) else ""
    problem = str(getattr(error, "problem", "") or "") or "it is malformed"
    problem = _QUOTED.sub(lambda quoted: quoted[0] if len(quoted[0]) == 3 else "something", problem)
    if row[: len(row) - len(row.lstrip())].count("\t"):
        return line, "is indented with a tab; indent with spaces"
    if "undefined alias" in problem:
        return line, "is not YAML (a value begins with *); put the value in quotes"
    if "cannot start any token" in problem:
        return line, "is not YAML (a value begins with a character such as @ % `); put the value in quotes"
    if "another document" in problem:
        return line, "holds more than one document; leave out the line ---"
    if "mapping values are not allowed" in problem:
        right = "put the value in quotes or indent it evenly"
        return line, f'is not YAML (": " inside a value, or wrong indentation); {right}'
    if "could not find expected ':'" in problem:
        return line, 'is not YAML (a key without ": "); write key: value'
    if begun:
        return line, "is not YAML (a quote without its partner); put the whole value in quotes of one kind"
    if "did not find expected ',' or" in problem and "${" in row:
        return line, "is not YAML (a ${...} between brackets or braces); put it in quotes"
    if "did not find expected" in problem and "flow" in inside and opened is not None and opened.line != mark.line:
        problem += f" to what line {opened.line + 1} opens"
    return line, f"is not YAML ({problem}); check quotes, brackets and indentation"


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, document: Document, resolver: Resolver) -> None:
        self._document = document
        self._resolver = resolver
        self._count = 0
        self._too_much = False

    def value(self, node: Any, path: Path, above: tuple[int, ...]) -> Any:
        """A node's value; `above` holds the identities of the nodes around it."""
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        self._count += 1
        if self._count > _MOST_VALUES or len(above) > _DEEPEST or id(node) in above:
            if not self._too_much:
                self._spoil(path, "repeats itself or is nested too deeply; write plain lists and mappings")
            self._too_much = True
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*above, id(node)))
        if isinstance(node, yaml.SequenceNode):
            if node.tag != _TAG + "seq":
                self._spoil(path, "carries a YAML tag; leave the !tag out")
            return [self.value(item, (*path, index), (*above, id(node))) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: Any, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            self._spoil(path, "carries a YAML tag; leave the !tag out")
        values: dict[str, Any] = {}
        given: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                self._document.error(path, "uses << to merge mappings; write the keys out", line)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.error(path, "has a key that is a list or a mapping; write keys as plain words", line)
                continue
            key = key_node.value
            here = (*path, key)
            if key in given:
                what = f"is given twice, first on line {given[key]}; keep one of them"
                self._document.error(here, what, line)
                continue
            given[key] = line
            self._document.keys[here] = line
            an_alias = value_node.start_mark.line + 1 < line  # its value stands where the anchor is
            if an_alias or isinstance(value_node, (yaml.MappingNode, yaml.SequenceNode)):
                self._document.lines[here] = line
            values[key] = self.value(value_node, here, above)
        return values

    def _scalar(self, node: Any, path: Path) -> Any:
        written: str = node.value
        if not node.style and node.tag in (_TAG + "bool", _TAG + "null", _TAG + "int", _TAG + "float"):
            return _plain(node.tag.removeprefix(_TAG), written)
        if node.tag not in (_TAG + "str", _TAG + "timestamp", _TAG + "value", *_PLAIN_TAGS):
            self._spoil(path, "carries a YAML tag; leave the !tag out, and put a value that begins with ! in quotes")
            return None
        if "${" not in written:
            return written
        given, wrong = self._resolver.fill(written)
        if wrong:
            self._spoil(path, wrong)
            return None
        value = Substituted(given)
        value.written = written if written.startswith("${") and written.endswith("}") else "this ${...}"
        return value

    def _spoil(self, path: Path, what: str) -> None:
        self._document.error(path, what)
        self._document.spoilt.add(path)


_PLAIN_TAGS = tuple(_TAG + kind for kind in ("bool", "null", "int", "float"))


def _plain(kind: str, written: str) -> Any:
    """An unquoted scalar as YAML reads it, except that only the ordinary spellings of numbers are numbers."""
    if kind == "null":
        return None
    if kind == "bool":
        return written.lower() in ("true", "yes", "on", "y")
    digits = written.replace("_", "")
    if kind == "int" and re.fullmatch(r"[-+]?(0|[1-9]\d{0,17})", digits):
        return int(digits)
    if kind == "float" and re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+)(e[-+]?\d{1,2})?", digits, re.IGNORECASE):
        return float(digits)
    return written
