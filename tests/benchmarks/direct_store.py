"""The store's scripts on a real server, asked when the test says so: nothing depends on who is faster."""

from __future__ import annotations

from collections import deque
from typing import Any

import valkey
from twisted.internet.defer import Deferred
from valkey.backoff import ConstantBackoff
from valkey.retry import Retry

from gateway.store.valkey import SCRIPTS, Keep, Store

PATIENTLY = Retry(ConstantBackoff(0.05), 200, supported_errors=(OSError,))  # the server may have been started just now


class DirectStore:
    """The calls of gateway.store.valkey.Store that delivery makes. `answer` brings what was asked since."""

    writable = True
    why_not_writable = ""

    def __init__(self, socket: str) -> None:
        self._link = valkey.UnixDomainSocketConnection(path=socket, retry=PATIENTLY)
        self._link.connect()
        texts = Store(f"unix://{socket}", None, embedded=None, node="gw1")._texts
        self._shas = {name: self.ask("SCRIPT", "LOAD", texts[name]) for name in SCRIPTS}
        self._asked: deque[tuple[Deferred[Any], tuple[Any, ...]]] = deque()

    def ask(self, *words: Any) -> Any:
        """One command, at once."""
        self._link.send_command(*words)
        return self._link.read_response()

    def close(self) -> None:
        self._link.disconnect()

    # -- as a Store

    def call(self, script: str, *args: str | bytes, keep: Keep = Keep.ALWAYS, wanted: Any = None) -> Deferred[Any]:
        return self.command("EVALSHA", self._shas[script], "0", *args)

    def command(self, *words: str | bytes, keep: Keep = Keep.NO) -> Deferred[Any]:
        answered: Deferred[Any] = Deferred()
        self._asked.append((answered, words))
        return answered

    # -- for the test

    def unanswered(self, script: str) -> int:
        """Calls of a script that wait for `answers`."""
        return sum(words[:2] == ("EVALSHA", self._shas[script]) for _, words in self._asked)

    def answers(self) -> list[tuple[Deferred[Any], Any]]:
        """What was asked since, each with its answer, for the test to hand over."""
        asked, self._asked = self._asked, deque()
        return [(answered, self.ask(*words)) for answered, words in asked]
