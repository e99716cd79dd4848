"""What a text must hold for an expression to match it: a look for a few words costs a tenth of a search for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

MOST = 8  # words: looking for more costs as much as the search
_parser: Any = None
with suppress(ImportError):  # the library's own reading of expressions, under a name that is not for us: then no words
    _parser = import_module("re._parser")

Words = tuple[str, ...]


def needed(pattern: re.Pattern[str] | None) -> Words:
    """Every ASCII text that this finds something in holds one of these words once it is in lower case.

    () where there are no such words, or they cannot be told. Texts with other characters may do without: there are
    letters beyond ASCII that match ones of ASCII where case does not count.
    """
    if pattern is None:
        return ()
    try:
        return _of_all(_parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG))
    except (AttributeError, TypeError, ValueError, re.error, RecursionError):  # another way of telling it: no words
        return ()


def _of_all(parts: Sequence[Any]) -> Words:
    """Of parts that follow each other: those of the part that is most telling."""
    return max(_choices(parts), key=_telling, default=())


def _telling(words: Words) -> int:
    """The shortest word decides; none of them may be empty."""
    return min(map(len, words), default=0)


def _choices(parts: Sequence[Any]) -> Iterator[Words]:
    run = ""
    for op, what in parts:
        name = str(op)
        if name == "LITERAL" and what < 128:
            run += chr(what).lower()
            continue
        if run:
            yield (run,)
            run = ""
        if name == "SUBPATTERN":
            yield _of_all(what[-1])
        elif name == "ATOMIC_GROUP":
            yield _of_all(what)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and what[0] > 0:
            yield _of_all(what[2])
        elif name == "BRANCH":
            yield _of_any(what[1])
    if run:
        yield (run,)


def _of_any(branches: Sequence[Any]) -> Words:
    """Of alternatives: the words of all of them, if each has some."""
    words: list[str] = []
    for branch in branches:
        of_branch = _of_all(branch)
        if not of_branch:
            return ()
        words += of_branch
    return tuple(words) if len(words) <= MOST else ()
