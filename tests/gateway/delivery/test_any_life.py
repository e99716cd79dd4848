"""Whatever channels, billing systems and crashes do, in any order, each message has one end: over the real scripts.

POMBO_LIVES=2000 tries so many lives, other ones each time, and whether they find mistakes that are planted in scripts.
tests/tools/test_model.py plants its own on every run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
import pytest_twisted
from greenlet import greenlet
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gateway.store.embedded import EmbeddedServer
from tests.gateway.delivery.life import Life

LIVES = int(os.environ.get("POMBO_LIVES", "0"))
QUIET = {
    "stateful_step_count": 30, "deadline": None, "database": None, "print_blob": False,
    "suppress_health_check": list(HealthCheck),
}  # fmt: skip


def machine(server: EmbeddedServer, **scripts: Callable[[str], str]) -> type[Life]:
    lives = type("ALife", (Life,), {"server": server, "scripts": scripts})
    return lives if LIVES else seed(1)(lives)


def aside(work: Callable[[], None]) -> Deferred[None]:
    """Run what waits for the reactor without giving it back: in a greenlet beside the reactor's."""
    done: Deferred[None] = Deferred()

    def run() -> None:
        try:
            work()
        except BaseException:
            reactor.callLater(0, done.errback, Failure())  # type: ignore[attr-defined]
        else:
            reactor.callLater(0, done.callback, None)  # type: ignore[attr-defined]

    greenlet(run).switch()
    return done


@pytest_twisted.ensureDeferred
async def test_every_message_has_one_end(server: EmbeddedServer) -> None:
    many = settings(max_examples=LIVES or 50, **QUIET)
    await aside(lambda: run_state_machine_as_test(machine(server), settings=many))


def without(text: str, instead: str = "") -> Callable[[str], str]:
    def mistaken(script: str) -> str:
        assert text in script
        return script.replace(text, instead)

    return mistaken


@pytest.mark.skipif(not LIVES, reason="whether so few lives meet a mistake is chance; POMBO_LIVES=300 tries enough")
@pytest.mark.parametrize(
    ("script", "mistake"),
    [
        ("commit", without("expected == (before and sub(before, 1, 4) or '\\0\\0\\0\\0')", "true")),
        (
            "commit",
            without("call(unpack(words))", "if words[1] ~= 'ZADD' or words[2] ~= 'due' then call(unpack(words)) end"),
        ),
        ("commit", without("call('XADD', receipts[j + 1], '*', 'b', sub(area, at, at + octets - 1))", "'0-1'")),
        ("commit", without("call(unpack(words))", "if words[1] ~= 'SADD' then call(unpack(words)) end")),
        ("lease", without("redis.call('SADD', hand, id)")),
        ("due", without("redis.call('ZADD', 'due', ARGV[3], ids[i])", "redis.call('ZREM', 'due', ids[i])")),
    ],
    ids=["no revision check", "no due", "no receipt", "not into the hand", "leased by nobody", "due is forgotten"],
)
@pytest_twisted.ensureDeferred
async def test_a_mistake_in_a_script_is_found(
    server: EmbeddedServer, script: str, mistake: Callable[[str], str]
) -> None:
    wrong = machine(server, **{script: mistake})
    few = settings(max_examples=max(300, LIVES), phases=[Phase.generate], report_multiple_bugs=False, **QUIET)
    with pytest.raises((AssertionError, FlakyFailure)) as found:  # flaky: where the store's speed decides, too
        await aside(lambda: run_state_machine_as_test(wrong, settings=few))
    group = found.value
    broken = group.exceptions[0] if isinstance(group, FlakyFailure) else group
    assert re.search(r"receipts|was told|nobody|ended twice|is gone|never ended|times|refused", str(broken))
