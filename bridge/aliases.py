"""Whose is an identity that shows no number: `…@lid` of WhatsApp Web, the user id of the official service.

A provider tells both together now and then, and later the identity alone: then this is the only way back to the number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from twisted.logger import Logger

from bridge.presence import EvidencePort

REMEMBERED = 20_000  # in memory, so that what is known already is not written again


class Aliases:
    """The hidden identities that one sender has seen."""

    log = Logger()

    def __init__(self, channel: str, port: EvidencePort, kept_s: float) -> None:
        """kept_s: how long it is kept whose an identity is."""
        self._channel, self._port, self._kept_s = channel, port, kept_s
        self._known: OrderedDict[str, str] = OrderedDict()

    def learn(self, identity: str, msisdn: str) -> None:
        """Both were told of one person. Identities that are a number say nothing new."""
        if not is_hidden(identity) or not msisdn or self._known.get(identity) == msisdn:
            return
        self._remember(identity, msisdn)
        self._port.write(self._key(identity), msisdn.encode(), self._kept_s)

    async def msisdn_of(self, identity: str) -> str | None:
        """The digits of whoever has this identity, "" when nobody has told, None when the store cannot tell now."""
        if not is_hidden(identity):
            return ""
        if identity not in self._known:
            try:
                found = await self._port.read([self._key(identity)])
            except Exception:
                self.log.failure("an identity could not be looked up")
                return None
            if found is None:
                return None
            if not found[0]:
                return ""
            self._remember(identity, found[0].decode("ascii", "replace"))
        return self._known[identity]

    def forget(self, forms: Sequence[str]) -> None:
        """Nobody is known any more to be the person with this number, in any of its forms."""
        for identity in [one for one, msisdn in self._known.items() if msisdn in forms]:
            del self._known[identity]

    def _key(self, identity: str) -> str:
        return f"{self._channel}:@{identity}"

    def _remember(self, identity: str, msisdn: str) -> None:
        self._known[identity] = msisdn
        self._known.move_to_end(identity)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def is_hidden(identity: str) -> bool:
    """Does it show no number? `5531…@c.us` and `5531…` do."""
    return identity.endswith("@lid") or identity[:1].isalpha()
