"""What a WhatsApp channel has to say last of a text that nobody heard of, before the next channel has its turn.

Whether it arrived after all, where the service can be asked; and its copy is deleted for everyone, where the
configuration wants that.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from bridge.clock import Clock, Spawn
from bridge.presence import Evidence, PresenceMemory
from bridge.provider import Http, HttpResponse, NotWritten, Provider, Telling, Withdrawing
from gateway.messages.address import same_person
from gateway.messages.message import Message
from gateway.messages.outcome import Copy, LastWord, Status

PATIENCE_S = 3.0  # for both requests; less than the next channel waits
MOST_CALLS = 16  # at once: when nobody hears of anything any more, the others go on without a last word
ARRIVED = frozenset({Status.DELIVERED, Status.READ})


class LastWords:
    """The last words of one channel. asks, withdraws: which of the two it can do.

    holder: through which sender a text went; None where that one cannot be asked now."""

    log = Logger()

    def __init__(
        self,
        provider: Provider,
        http: Http,
        memory: PresenceMemory,
        *,
        clock: Clock,
        spawn: Spawn,
        withdraws: bool,
        holder: Callable[[Message, Evidence], Provider | None] | None = None,
    ) -> None:
        self.asks = isinstance(provider, Telling)
        self.withdraws = withdraws and isinstance(provider, Withdrawing)
        self._holder = holder or (lambda *_: provider)
        self._http, self._memory, self._clock, self._spawn = http, memory, clock, spawn
        self._calls = 0

    def ask(self, message: Message, said: Callable[[LastWord], None]) -> None:
        """Calls `said` once: at once where too many are being asked already, else within PATIENCE_S."""
        if self._calls >= MOST_CALLS:
            return said(LastWord())
        self._calls += 1
        self._spawn(self._ask(message, said), "a last word", self.log)
        return None

    async def _ask(self, message: Message, said: Callable[[LastWord], None]) -> None:
        word = LastWord(copy=Copy.UNCLEAR if self.withdraws else Copy.KEPT)
        try:
            word = await self._word(message)
        except Exception:
            self.log.failure("a last word could not be had")
        self._calls -= 1
        said(word)

    async def _word(self, message: Message) -> LastWord:
        until, remote_id = self._clock.seconds() + PATIENCE_S, message.attempts[-1].remote_id
        known = await self._memory.load(same_person(message.msisdn))
        recipient, provider = known.identity or message.msisdn, self._holder(message, known)
        if self.asks and isinstance(provider, Telling):
            answer = await self._http.send(provider.message_request(recipient, remote_id), PATIENCE_S)
            status = provider.read_message(answer) if isinstance(answer, HttpResponse) else None
            if status in ARRIVED or (status is Status.SENT and message.success == "sent"):
                return LastWord(status)
        left = until - self._clock.seconds()
        if not self.withdraws or not isinstance(provider, Withdrawing) or left <= 0:
            return LastWord()
        answer = await self._http.send(provider.withdraw_request(recipient, remote_id), left)
        if isinstance(answer, NotWritten):
            return LastWord()
        deleted = provider.read_withdrawn(answer) if isinstance(answer, HttpResponse) else None
        return LastWord(copy=Copy.UNCLEAR if deleted is None else Copy.DELETED if deleted else Copy.KEPT)
