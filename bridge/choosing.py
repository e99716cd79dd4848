"""Which of a channel's senders writes to a person. Pure.

The one that wrote before, so that all of it stays in one thread. For somebody new it is a matter of their number alone
(rendezvous hashing, weighted by the senders' rates), so that two nodes choose alike and a sender that comes or goes
moves nobody else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

import msgspec


class Offer(msgspec.Struct, frozen=True):
    """A sender, as the choice sees it.

    able: it can take a message now. free: and has room for it. lost: its people are to be given to others.
    """

    name: str
    weight: float = 1.0
    able: bool = True
    free: bool = True
    lost: bool = False


class Choice(msgspec.Struct, frozen=True):
    """binds: this sender writes to the person from now on."""

    name: str
    binds: bool = False


def choose(person: str, bound: str, offers: Sequence[Offer], tried: Sequence[str] = ()) -> Choice | None:
    """bound: who wrote to this person before, "" for nobody. tried: who could not take this message. None: nobody can.

    Another one that helps out for a while does not become the person's sender."""
    able = [offer for offer in offers if offer.able and offer.name not in tried]
    if any(offer.name == bound for offer in able):
        return Choice(bound)
    pool = [offer for offer in able if offer.free] or able
    if not pool:
        return None
    best = max(pool, key=lambda offer: _score(person, offer))
    gone = all(offer.name != bound or offer.lost for offer in offers)
    return Choice(best.name, binds=gone)


def _score(person: str, offer: Offer) -> float:
    digest = blake2b(f"{person}\0{offer.name}".encode(), digest_size=8).digest()
    share = (int.from_bytes(digest) + 0.5) / 2.0**64
    return -offer.weight / math.log(share)
