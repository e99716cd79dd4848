"""Evidence in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from gateway.store.evidence import Evidence
from gateway.store.valkey import Store

LATER: Any = lambda call: reactor.callLater(0, call)  # type: ignore[attr-defined]  # noqa: E731


@pytest_twisted.ensureDeferred
async def test_a_store_that_is_away_is_no_failure_of_a_read(tmp_path: Path) -> None:
    """Its link tells of it once; who asks about people would tell of it with every turn."""
    away = Store(f"unix://{tmp_path}/nobody.sock", reactor, embedded=None, node="gw1")
    assert await Evidence(away, LATER).read(["zap:5511987654321"]) is None
