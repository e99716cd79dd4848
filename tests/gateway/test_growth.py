"""What a gateway holds does not depend on how many messages it has seen."""

from __future__ import annotations

import pytest

from gateway.store.embedded import EmbeddedServer
from tests.benchmarks.direct_store import DirectStore
from tests.benchmarks.hot_path import SESSIONS, HotPath
from tests.benchmarks.kept import kept
from tests.benchmarks.whatsapp_path import WhatsAppPath

EACH = 25  # messages of a session, in one read
BOUNDED = {"Health._sends", "PresenceMemory._known"}  # on purpose; to REMEMBERED of bridge.health, of bridge.presence


@pytest.mark.parametrize("kind", [HotPath, WhatsAppPath])
def test_nothing_is_held_for_a_message_that_has_ended(server: EmbeddedServer, kind: type[HotPath]) -> None:
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    path = kind(store)
    holds = []
    for cycles in (2, 5):
        for _ in range(cycles):
            assert path.cycle(EACH) == SESSIONS * EACH
        holds.append(kept(path))
    store.close()
    before, after = holds
    assert {"ReceiptDesk._done", "KnownBy.settling", "Session._outstanding"} <= after.keys(), "it was looked at"
    assert {name: (before[name], n) for name, n in after.items() if n > before[name] and name not in BOUNDED} == {}
