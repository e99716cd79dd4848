"""People and their WhatsApp accounts, for the laboratory.

A *person* is written as one would dial today, 55 + area code + 9 + eight digits; the *identity* WhatsApp keeps for an
older account lacks the ninth digit. Both forms find the person, as in Evolution's `whatsappNumbers`.
"""

from __future__ import annotations

import re
import zlib

OLDER_THAN_NINTH_DIGIT = 31  # from this area code up, old accounts kept the eight-digit identity


def digits_of(number: str) -> str:
    """The digits of a number as a person or a jid writes it."""
    return re.sub(r"\D", "", number.partition("@")[0].partition(":")[0])


def person_of(number: str) -> str:
    """The one name of a subscriber: digits; a Brazilian mobile always with its ninth digit."""
    digits = digits_of(number)
    if len(digits) == 12 and digits.startswith("55") and digits[4] in "6789":
        return digits[:4] + "9" + digits[4:]
    return digits


def usual_identity(number: str) -> str:
    """The identity an older account has: without the ninth digit from area code 31 up."""
    person = person_of(number)
    if len(person) == 13 and person.startswith("55") and int(person[2:4]) >= OLDER_THAN_NINTH_DIGIT:
        return person[:4] + person[5:]
    return person


class People:
    """Who has an account, and under which identity."""

    def __init__(self, share: float = 0.0) -> None:
        """share: of the people nobody listed, how many have an account (always the same ones)."""
        self._share = share
        self._identities: dict[str, str] = {}  # person -> digits
        self._absent: set[str] = set()

    def add(self, number: str, identity: str = "") -> None:
        """This person has an account; `identity` defaults to the usual one of the area code."""
        self._identities[person_of(number)] = digits_of(identity) or usual_identity(number)
        self._absent.discard(person_of(number))

    def remove(self, number: str) -> None:
        """This person has no account, whatever `share` says."""
        self._identities.pop(person_of(number), None)
        self._absent.add(person_of(number))

    def identity(self, number: str) -> str | None:
        """The digits WhatsApp knows a person by; None without an account."""
        person = person_of(number)
        if person in self._identities:
            return self._identities[person]
        if person not in self._absent and zlib.crc32(person.encode()) % 10_000 < self._share * 10_000:
            return usual_identity(person)
        return None
