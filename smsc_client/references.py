"""Concatenation references that do not meet at one handset.

A handset joins parts by sender, reference and total. Two accounts that number their long texts from 1 would be mixed
up there once both leave under one short code. Source: 3GPP 23.040, 9.2.3.24.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

APART_S = 600.0  # a handset may wait for missing parts for so long
KEPT = 50_000  # entries; the oldest go first

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class References:
    """The references in use per destination, in memory only: a meeting after a restart is rare and repairs itself."""

    def __init__(self, random: Callable[[], float]) -> None:
        """random: uniform in [0, 1)."""
        self._random = random
        self._last: dict[str, int] = {}  # msisdn: the reference given last
        self._taken: dict[tuple[str, int], tuple[str, float]] = {}  # (msisdn, reference): set, moment
        self._renamed: dict[str, int] = {}  # set: the reference it has instead of its own

    def new(self, msisdn: str, now: float) -> int:
        """A 16-bit reference for a text that we split; its low eight bits differ from the last 255 as well."""
        last = self._last.pop(msisdn, None)
        reference = int(self._random() * 65536) if last is None else last
        for _ in range(256):
            reference = (reference + 1) & 0xFFFF
            taken = self._taken.get((msisdn, reference & 0xFF))
            if taken is None or now - taken[1] > APART_S:
                break
        _keep(self._last, msisdn, reference)
        _keep(self._taken, (msisdn, reference & 0xFF), ("", now))
        return reference

    def of(self, key: str, msisdn: str, reference: int, now: float) -> int:
        """The reference a set leaves with: its own, or another one where a different set has it at that number."""
        renamed = self._renamed.get(key)
        if renamed is not None:
            owner = self._taken.get((msisdn, renamed & 0xFF))
            if owner is not None and owner[0] == key and now - owner[1] <= APART_S:
                return renamed
            del self._renamed[key]
        place = (msisdn, reference & 0xFF)
        owner = self._taken.pop(place, None)
        if owner is None or owner[0] == key or now - owner[1] > APART_S:
            _keep(self._taken, place, (key, now))
            return reference
        self._taken[place] = owner
        other = self.new(msisdn, now)
        self._taken[msisdn, other & 0xFF] = (key, now)
        _keep(self._renamed, key, other)
        return other


def _keep(entries: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(entries) >= KEPT:
        del entries[next(iter(entries))]
    entries[key] = value
