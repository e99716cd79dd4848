"""What a program holds, as values at paths: two of them that were made in different ways can be compared."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, SecretStr

OURS = ("gateway.", "smsc_client.", "bridge.")
LEAVES = (str, int, float, bytes, Decimal, re.Pattern, SecretStr, BaseModel, type(None))


def values_of(root: Any) -> dict[str, Any]:
    """Every plain value, and the size of every collection, that can be reached from an object of ours: by attributes,
    elements, and what functions and bound methods carry with them. What others made is not entered."""
    found: dict[str, Any] = {}
    seen: dict[int, Any] = {}
    todo = [("", root)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, LEAVES):
            found[path] = value
            continue
        inside = list(_inside(value))
        if isinstance(value, (dict, list, tuple)):
            found[f"{path}.size"] = len(value)
        elif isinstance(value, (set, frozenset)):
            found[path] = sorted(map(repr, value)) if all(isinstance(one, LEAVES) for one in value) else len(value)
        if not isinstance(value, tuple):
            if id(value) in seen:
                continue
            seen[id(value)] = value
        todo += [(f"{path}{step}", one) for step, one in reversed(inside)]
    return found


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for key, one in value.items():
                yield f"[{key if isinstance(key, (str, int)) else type(key).__name__}]", one
        case list() | tuple():
            for number, one in enumerate(value):
                yield f"[{number}]", one
        case functools.partial():
            yield ".func", value.func
            yield ".args", value.args
        case types.MethodType():
            yield ".self", value.__self__
        case types.FunctionType():
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                yield f".{name}", cell.cell_contents
        case _ if any(kind.__module__.startswith(OURS) for kind in type(value).__mro__):
            for name in _names(value):
                if hasattr(value, name):
                    yield f".{name}", getattr(value, name)


def _names(value: Any) -> list[str]:
    names = list(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return sorted({name for name in names if not name.startswith("__")})
