"""Addresses that keep failing to bind have to wait, a little longer every time; while a name is being guessed at from
many addresses, one wrong password is enough.

Whoever gives the right password at once is let in from any address that has not failed itself: an outsider cannot lock
a customer out by guessing, not even from the customer's own network once the customer has bound from there.
"""

from __future__ import annotations

from collections import deque
from ipaddress import IPv6Address, ip_address

FAILURES = 5  # so many failed binds ...
WITHIN_S = 60.0  # ... in this time begin a ban
FIRST_BAN_S, LONGEST_BAN_S = 1.0, 60.0
GUESSES = 20  # so many wrong passwords for one name in WITHIN_S, from wherever: somebody is guessing
MAX_ADDRESSES = 10_000


class Bans:
    """Failed binds by source address; IPv6 by its /64, which one customer has to himself."""

    def __init__(self, limit: int = MAX_ADDRESSES) -> None:
        """limit: addresses remembered; the one that failed, or bound, longest ago is forgotten first."""
        self._limit = limit
        self._records: dict[str, _Record] = {}
        self._proven: dict[tuple[str, str], None] = {}  # address and name: has bound, and not failed since
        self._guesses: dict[str, deque[float]] = {}  # by name of an account: when wrong passwords came

    def refuses(self, peer: str, now: float, system_id: str = "") -> bool:
        network = _network(peer)
        record = self._records.get(network)
        return record is not None and now < record.until and (network, system_id) not in self._proven

    def proved(self, peer: str, system_id: str) -> None:
        """A bind with the right password."""
        key = _network(peer), system_id
        self._proven.pop(key, None)
        self._proven[key] = None
        if len(self._proven) > self._limit:
            del self._proven[next(iter(self._proven))]

    def failed(self, peer: str, now: float, system_id: str = "") -> bool:
        """Count a wrong name or password. An address that is banned at the moment is not counted any further.

        system_id: of the account whose password was wrong; "" for a name that nobody has. True when this is the first
        failure by which the name is seen to be guessed at.
        """
        network = _network(peer)
        self._proven.pop((network, system_id), None)
        record = self._records.pop(network, None) or _Record()
        self._records[network] = record  # last in the order of failing
        guessed, begins = self._guessed(system_id, now) if system_id else (False, False)
        record.count(now, at_once=guessed)
        if len(self._records) > self._limit:
            del self._records[next(iter(self._records))]
        return begins

    def _guessed(self, system_id: str, now: float) -> tuple[bool, bool]:
        """Is somebody guessing this account's password, and was that not known before?"""
        times = self._guesses.setdefault(system_id, deque(maxlen=GUESSES))
        before = len(times) == GUESSES and now - times[0] <= WITHIN_S
        times.append(now)
        guessed = len(times) == GUESSES and now - times[0] <= WITHIN_S
        return guessed, guessed and not before


class _Record:
    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=FAILURES)
        self._bans = 0
        self.until = 0.0

    def count(self, now: float, at_once: bool = False) -> None:
        """at_once: this failure is one too many by itself."""
        self._times.append(now)
        if self._bans and now - self.until <= WITHIN_S:
            self._bans += 1  # again, soon after the last ban
        else:
            self._bans = int(len(self._times) == FAILURES and now - self._times[0] <= WITHIN_S)
        if at_once:
            self.until = now + LONGEST_BAN_S
        elif self._bans:
            self.until = now + min(LONGEST_BAN_S, FIRST_BAN_S * 2 ** (self._bans - 1))


def _network(peer: str) -> str:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return address.exploded[:19]
    return peer
