"""Addresses that keep failing to bind have to wait, a little longer every time.

The account they named stays open to everybody else: an outsider cannot lock a customer out by guessing.
"""

from __future__ import annotations

from collections import deque
from ipaddress import IPv6Address, ip_address

FAILURES = 5  # so many failed binds ...
WITHIN_S = 60.0  # ... in this time begin a ban
FIRST_BAN_S, LONGEST_BAN_S = 1.0, 60.0
MAX_ADDRESSES = 10_000


class Bans:
    """Failed binds by source address; IPv6 by its /64, which one customer has to himself."""

    def __init__(self, limit: int = MAX_ADDRESSES) -> None:
        """limit: addresses remembered; the one that failed longest ago is forgotten first."""
        self._limit = limit
        self._records: dict[str, _Record] = {}

    def refuses(self, peer: str, now: float) -> bool:
        record = self._records.get(_network(peer))
        return record is not None and now < record.until

    def failed(self, peer: str, now: float) -> None:
        """Count a wrong name or password. An address that is banned at the moment is not counted any further."""
        key = _network(peer)
        record = self._records.pop(key, None) or _Record()
        self._records[key] = record  # last in the order of failing
        record.count(now)
        if len(self._records) > self._limit:
            del self._records[next(iter(self._records))]


class _Record:
    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=FAILURES)
        self._bans = 0
        self.until = 0.0

    def count(self, now: float) -> None:
        self._times.append(now)
        if self._bans and now - self.until <= WITHIN_S:
            self._bans += 1  # again, soon after the last ban
        else:
            self._bans = int(len(self._times) == FAILURES and now - self._times[0] <= WITHIN_S)
        if self._bans:
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
