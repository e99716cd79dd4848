"""How many functions a message calls on its way, from submit_sm to the acknowledged receipt. Seconds depend on the
machine and on who else uses it; calls do not, and more of them are what makes the path slower.

A change that needs more may raise a bound, and says in its commit what it is for; one that needs fewer lowers it.
"""

from __future__ import annotations

from gateway.store.embedded import EmbeddedServer
from tests.benchmarks.direct_store import DirectStore
from tests.benchmarks.hot_path import STAGES, HotPath
from tests.benchmarks.whatsapp_path import WhatsAppPath

EACH = 25  # messages of a session, in one read
MOST_PYTHON, MOST_BUILTIN = 156.5, 255.0
MOST_PYTHON_BY_WHATSAPP, MOST_BUILTIN_BY_WHATSAPP = 632.0, 621.0


def test_a_text_by_whatsapp_costs_no_more_calls_than_it_did(server: EmbeddedServer) -> None:
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    path = WhatsAppPath(store)
    assert path.cycle(EACH) == 4 * EACH
    path.counting = True
    messages = path.cycle(EACH) + path.cycle(EACH)
    store.close()
    assert messages == 8 * EACH
    stages = {stage: (one.python / messages, one.builtin / messages) for stage, one in path.counts.items()}
    python, builtin = map(sum, zip(*stages.values(), strict=True))
    assert python <= MOST_PYTHON_BY_WHATSAPP and builtin <= MOST_BUILTIN_BY_WHATSAPP, (python, builtin, stages)


def test_a_message_costs_no_more_calls_than_it_did(server: EmbeddedServer) -> None:
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    path = HotPath(store)
    assert path.cycle(EACH) == 4 * EACH  # once, so that what is made only once is made
    path.counting = True
    messages = path.cycle(EACH) + path.cycle(EACH)
    store.close()
    assert messages == 8 * EACH
    stages = {stage: (path.counts[stage].python / messages, path.counts[stage].builtin / messages) for stage in STAGES}
    python, builtin = map(sum, zip(*stages.values(), strict=True))
    assert python <= MOST_PYTHON and builtin <= MOST_BUILTIN, (python, builtin, stages)
