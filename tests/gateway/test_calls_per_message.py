"""How many functions a message calls on its way, from submit_sm to the acknowledged receipt. Seconds depend on the
machine and on who else uses it; calls do not, and more of them are what makes the path slower.

A change that needs more may raise a bound, and says in its commit what it is for; one that needs fewer lowers it.
"""

from __future__ import annotations

from gateway.store.embedded import EmbeddedServer
from tests.benchmarks.direct_store import DirectStore
from tests.benchmarks.hot_path import SESSIONS, HotPath
from tests.benchmarks.lookup_path import LookupPath
from tests.benchmarks.whatsapp_path import WhatsAppPath

EACH = 25  # messages of a session, in one read
MANY = 25  # sessions of which each has one message in a read


def counted(
    server: EmbeddedServer, kind: type[HotPath], sessions: int, each: int, accounts: int = 1
) -> tuple[float, float, dict[str, tuple[float, float]]]:
    """Calls for each message, ours and built-in ones, and by stage."""
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    path = kind(store, sessions, accounts)
    assert path.cycle(each) == sessions * each  # once, so that what is made only once is made
    path.counting = True
    messages = path.cycle(each) + path.cycle(each)
    store.close()
    assert messages == 2 * sessions * each
    stages = {stage: (one.python / messages, one.builtin / messages) for stage, one in path.counts.items()}
    python, builtin = map(sum, zip(*stages.values(), strict=True))
    return python, builtin, stages


def test_a_message_costs_no_more_calls_than_it_did(server: EmbeddedServer) -> None:
    python, builtin, stages = counted(server, HotPath, SESSIONS, EACH)
    assert python <= 112.5 and builtin <= 205.5, (python, builtin, stages)


def test_nor_does_one_that_comes_alone_from_each_of_many_sessions(server: EmbeddedServer) -> None:
    """What is done for every session that is read or written to counts in full here."""
    python, builtin, stages = counted(server, HotPath, MANY, 1)
    assert python <= 149.5 and builtin <= 225.0, (python, builtin, stages)


def test_nor_does_one_from_each_of_many_accounts(server: EmbeddedServer) -> None:
    python, builtin, stages = counted(server, HotPath, MANY, 1, accounts=MANY)
    assert python <= 158.5 and builtin <= 229.5, (python, builtin, stages)


def test_nor_does_a_text_by_whatsapp(server: EmbeddedServer) -> None:
    python, builtin, stages = counted(server, WhatsAppPath, SESSIONS, EACH)
    assert python <= 446.5 and builtin <= 416.5, (python, builtin, stages)


def test_nor_does_one_whose_person_is_looked_up_in_vain(server: EmbeddedServer) -> None:
    python, builtin, stages = counted(server, LookupPath, SESSIONS, EACH)
    assert python <= 314.5 and builtin <= 372.0, (python, builtin, stages)
