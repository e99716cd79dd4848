"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import globalLogPublisher


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What the channel logs while the test runs."""
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> None:
        if event.get("log_namespace") == "smsc_client":
            events.append(event)

    globalLogPublisher.addObserver(keep)
    yield events
    globalLogPublisher.removeObserver(keep)
