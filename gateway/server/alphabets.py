"""Notices clients that mean another alphabet by data_coding 0 than their account says, and tells it once."""

from __future__ import annotations

import codecs

from twisted.logger import Logger

from gateway.messages.message import Message
from gateway.smpp.segments import split_udh

log = Logger("alphabets")
_decoder = codecs.getincrementaldecoder("utf-8")


class Alphabets:
    """What the texts of each account look like. One instance for all sessions."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()  # account, and what data_coding 0 meant for it then

    def look(self, message: Message) -> None:
        """At a text under data_coding 0. A warning, at most one per account and alphabet, never with its text."""
        key = message.account, message.alphabet
        if message.data_coding or message.alphabet == "utf8" or key in self._told:
            return
        if is_utf8(message.user_data[split_udh(message.esm_class, message.user_data)[1] :]):
            self._told.add(key)
            log.warn(
                "{account} sends UTF-8 under data_coding 0, which means {alphabet} for it, so its accents come out "
                "wrong; right would be default_alphabet: utf8 for this account, or data_coding 8 with UCS-2 from its "
                "client",
                account=message.account,
                alphabet=message.alphabet,
            )


def is_utf8(octets: bytes) -> bool:
    """Whether these are more than ASCII and read as UTF-8; what was cut at either end by a sender that splits octets
    counts for nothing."""
    cut = 0
    while cut < min(3, len(octets)) and octets[cut] & 0xC0 == 0x80:
        cut += 1
    try:
        return not _decoder().decode(octets[cut:]).isascii()
    except UnicodeDecodeError:
        return False
