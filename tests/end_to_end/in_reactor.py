"""Tests as coroutines in the reactor that pytest-twisted runs, for a type checker that it tells nothing."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

LIMIT_S = 90.0
P = ParamSpec("P")
T = TypeVar("T")


def in_reactor(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Any]:
    """A test that awaits, and fails when it takes longer than LIMIT_S."""

    @functools.wraps(test)
    async def limited(*args: P.args, **kwargs: P.kwargs) -> None:
        await Deferred.fromCoroutine(test(*args, **kwargs)).addTimeout(LIMIT_S, reactor)

    run: Callable[P, Any] = pytest_twisted.ensureDeferred(limited)
    return run


def fixture(scope: str = "function") -> Callable[[Callable[..., AsyncIterator[T]]], Callable[..., AsyncIterator[T]]]:
    """A fixture that awaits, and cleans up after its `yield`."""
    made: Any = pytest_twisted.async_yield_fixture(scope=scope)
    return made
