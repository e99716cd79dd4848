"""What closes a sender, for how long, and who is closed with it. The sizes of a fault, from small to large: one person
at one sender (`bridge.limits`), one template (`bridge.forms`), and here sender, token, account and provider."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from bridge.health import Health
from gateway.messages.outcome import ChannelDown

SENDER, TOKEN, ACCOUNT, PROVIDER = "sender", "token", "account", "provider"


class Fault(msgspec.Struct, frozen=True):
    """scope: who is closed. pause, longest: seconds of a refusal that a message has to end; 0: the quarantine, and
    never less."""

    scope: str
    pause: float = 0.0
    longest: float = 0.0


# The reason of a ChannelDown -> what follows. Those without a pause end when the sender's state is good again.
LOGGED_OUT = {"logged_out": SENDER, "unknown_instance": SENDER, "unauthorized": TOKEN}
REFUSED = {
    "blocked": Fault(SENDER, longest=3600.0),
    "account_blocked": Fault(ACCOUNT, longest=3600.0),
    "overloaded": Fault(PROVIDER, 5.0, 30.0),
    "maintenance": Fault(SENDER, 60.0, 120.0),
    "throttled": Fault(SENDER, 5.0, 60.0),
}


ITS_OWN = frozenset({"starting"})  # codes of a server that is well, of a session that is not yet


def scope_of(down: ChannelDown) -> str:
    """Whom a fault closes. A server error says little of others; a connection that is refused says it all."""
    if down.reason in REFUSED:
        return REFUSED[down.reason].scope
    of_one = down.code.isdigit() or down.code in ITS_OWN
    return LOGGED_OUT.get(down.reason, SENDER if of_one else PROVIDER)


def strike(health: Health, down: ChannelDown, now: float, quarantine: float) -> None:
    """Let a sender's health take a fault."""
    if down.reason in LOGGED_OUT:
        health.logged_out(now)
    elif (fault := REFUSED.get(down.reason)) is not None:
        pause = fault.pause or quarantine
        health.refused(down.reason, now, pause=pause, longest=max(pause, fault.longest))
    elif down.code.isdigit():
        health.erred(now)
    else:
        health.unreachable(now)


class Member(Protocol):
    """A sender, as those see it that are closed with it."""

    def suffer(self, down: ChannelDown, now: float) -> None: ...
    def refresh(self) -> None: ...
    def settle(self) -> None: ...


class Circuits:
    """Who is closed together: all channels of a node share one. Keys name a token, an account, a provider."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], list[Member]] = defaultdict(list)

    def join(self, member: Member, keys: Mapping[str, str]) -> Callable[[], None]:
        """keys: by scope, those it has. What is returned takes it out again."""
        for entry in keys.items():
            self._members[entry].append(member)

        def leave() -> None:
            for entry in keys.items():
                if member in self._members.get(entry, ()):
                    self._members[entry].remove(member)
                if not self._members[entry]:
                    del self._members[entry]

        return leave

    def strike(self, member: Member, keys: Mapping[str, str], down: ChannelDown, now: float) -> None:
        """A fault of one: all it concerns take it before any of them gives away what it holds."""
        scope = scope_of(down)
        key = keys.get(scope)
        others = [one for one in self._members.get((scope, key or ""), ()) if one is not member]
        for one in (member, *others):
            one.suffer(down, now)
        for one in (member, *others):
            one.refresh()
        for one in (member, *others):
            one.settle()
