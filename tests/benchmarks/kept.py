"""What a gateway in this process holds: how many things are in each container that can be reached from it."""

from __future__ import annotations

import gc
from collections import Counter, deque
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

CONTAINERS = (dict, list, set, deque, bytearray)
OUTSIDE = (type, ModuleType, CodeType, FrameType)  # the program, and not what it holds


def kept(root: object) -> Counter[str]:
    """Entries of the containers that belong to each attribute, all objects of a class together: "Class.attribute"."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(type(root).__name__, root)]
    while waiting:
        name, one = waiting.pop()
        if id(one) in seen or isinstance(one, OUTSIDE):
            continue
        seen.add(id(one))
        if isinstance(one, CONTAINERS):
            counts[name] += len(one)
        if isinstance(one, FunctionType):  # not the module it is of
            waiting += ((name, cell) for cell in one.__closure__ or ())
        elif (attributes := getattr(one, "__dict__", None)) is not None:
            owner = type(one).__name__
            waiting += ((owner, other) for other in gc.get_referents(one) if other is not attributes)
            waiting += ((f"{owner}.{attribute}", value) for attribute, value in attributes.items())  # looked at first
        else:
            waiting += ((name, other) for other in gc.get_referents(one))
    return counts
