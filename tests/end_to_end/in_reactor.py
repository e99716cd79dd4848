"""Tests as coroutines in the reactor that pytest-twisted runs, for a type checker that it tells nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pytest_twisted

P = ParamSpec("P")
T = TypeVar("T")


def in_reactor(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Any]:
    """A test that awaits."""
    run: Callable[P, Any] = pytest_twisted.ensureDeferred(test)
    return run


def fixture(scope: str = "function") -> Callable[[Callable[[], AsyncIterator[T]]], Callable[[], AsyncIterator[T]]]:
    """A fixture that awaits, and cleans up after its `yield`."""
    made: Any = pytest_twisted.async_yield_fixture(scope=scope)
    return made  # type: ignore[no-any-return]
