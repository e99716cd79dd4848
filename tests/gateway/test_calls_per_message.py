"""How many functions a message calls on its way, from submit_sm to the acknowledged receipt. Seconds depend on the
machine and on who else uses it; calls do not, and more of them are what makes the path slower.

A change that needs more may raise a bound, and says in its commit what it is for; one that needs fewer lowers it.
"""

from __future__ import annotations

from gateway.store.embedded import EmbeddedServer
from tests.benchmarks.direct_store import DirectStore
from tests.benchmarks.hot_path import SESSIONS, STAGES, HotPath

EACH = 25  # messages of a session, in one read
MOST_PYTHON, MOST_BUILTIN = 156.0, 254.0
MANY = 25  # sessions of which each has one message in a read
MOST_PYTHON_ALONE, MOST_BUILTIN_ALONE = 278.0, 276.0


def counted(server: EmbeddedServer, sessions: int, each: int) -> tuple[float, float, dict[str, tuple[float, float]]]:
    """Calls for each message, ours and built-in ones, and by stage."""
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    path = HotPath(store, sessions)
    assert path.cycle(each) == sessions * each  # once, so that what is made only once is made
    path.counting = True
    messages = path.cycle(each) + path.cycle(each)
    store.close()
    assert messages == 2 * sessions * each
    stages = {stage: (path.counts[stage].python / messages, path.counts[stage].builtin / messages) for stage in STAGES}
    python, builtin = map(sum, zip(*stages.values(), strict=True))
    return python, builtin, stages


def test_a_message_costs_no_more_calls_than_it_did(server: EmbeddedServer) -> None:
    python, builtin, stages = counted(server, SESSIONS, EACH)
    assert python <= MOST_PYTHON and builtin <= MOST_BUILTIN, (python, builtin, stages)


def test_nor_does_one_that_comes_alone_from_each_of_many_sessions(server: EmbeddedServer) -> None:
    """What is done for every session that is read or written to counts in full here."""
    python, builtin, stages = counted(server, MANY, 1)
    assert python <= MOST_PYTHON_ALONE and builtin <= MOST_BUILTIN_ALONE, (python, builtin, stages)
