"""Stages for the tests. Each test has one of its own, unless a module says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator

from twisted.internet import reactor

from tests.end_to_end.in_reactor import fixture
from tests.end_to_end.stage import Stage


@fixture()
async def stage() -> AsyncIterator[Stage]:
    """Operator and provider listen; the gateway is not started yet."""
    stage = Stage(reactor)
    try:
        await stage.open_operator()
        await stage.open_provider()
        yield stage
    finally:
        await stage.close()


@fixture("module")
async def running() -> AsyncIterator[Stage]:
    """One running gateway for the tests of a module that leave it as they found it."""
    stage = Stage(reactor)
    try:
        await stage.open_operator()
        await stage.open_provider()
        await stage.start()
        yield stage
    finally:
        await stage.close()
