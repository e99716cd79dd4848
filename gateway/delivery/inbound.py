"""What people write to us: to the account that wrote to that number last, or the one that the table of replies names,
kept until one of its binds has taken it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from gateway.delivery.receipts import ReceiptDesk
from gateway.messages.message import Mo
from gateway.messages.outcome import Inbound
from gateway.routing.replies import ReplyRule, named
from gateway.store import keys, records
from gateway.store.lookups import writers_of
from gateway.store.valkey import Keep, Store

DAY_S = 86400
log = Logger("inbound")


class Replies:
    """Takes texts from channels. The `inbound` of ports.Results."""

    def __init__(
        self, store: Store, desk: ReceiptDesk, clock: Callable[[], float], normalize: Callable[[str], str],
        encode: Callable[[str], tuple[int, bytes]], relay: Callable[[Inbound, str], tuple[int, int, bytes]],
        owners: Callable[[], Mapping[str, str]], spawn: Callable[[Any, str], object],
    ) -> None:  # fmt: skip
        """normalize: an address as E.164 digits. encode: a text as (data_coding, octets). relay: an operator's text as
        (data_coding, esm_class, user data) for this account. owners: source address of ours -> the only account that
        uses it, for people nobody has written to. See `rules` for who else gets texts."""
        self.rules: Sequence[ReplyRule] = ()
        self._store, self._desk, self._clock = store, desk, clock
        self._normalize, self._encode, self._relay = normalize, encode, relay
        self._owners, self._spawn = owners, spawn
        self.writers_days = keys.WRITERS_DAYS  # for so many it is noted who wrote to a number

    def inbound(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None:
        if not self._store.writable:
            done(False)
            return
        self._spawn(self._take(channel, texts, done), "inbound texts")

    async def _take(self, channel: str, texts: Sequence[Inbound], done: Callable[[bool], None]) -> None:
        try:
            for text in texts:
                await self._take_one(channel, text)
        except Exception:
            log.failure("an inbound text was not kept; it is asked for again")
            done(False)
            return
        done(True)

    async def _take_one(self, channel: str, text: Inbound) -> None:
        mo = await self._addressed(channel, text)
        if mo is None:
            log.info("{channel}: a text from somebody no account has written to was dropped", channel=channel)
            return
        seen = keys.inbound(channel, text.remote_id) if text.remote_id else ""
        entry = await self._store.call(
            "receive", seen, str(DAY_S), keys.receipts(mo.account), records.pack_waiting(mo), keep=Keep.OVER_LINKS
        )
        if entry:
            self._desk.added(mo.account, entry, mo)

    async def _addressed(self, channel: str, text: Inbound) -> Mo | None:
        """As the account that gets it wants it; None when nobody does."""
        msisdn = self._normalize(text.msisdn)
        rule = named(self.rules, text.to, channel, always=True)
        if rule is not None:
            for writer in await writers_of(self._store, msisdn, self._clock(), days=self.writers_days):
                if writer.account == rule.account:
                    return self._to_writer(text, writer)
            return self._to_stranger(text, msisdn, rule.account, rule.address)
        for writer in await writers_of(self._store, msisdn, self._clock(), most=1, days=self.writers_days):
            return self._to_writer(text, writer)
        rule = named(self.rules, text.to, channel, always=False)
        if rule is not None:
            return self._to_stranger(text, msisdn, rule.account, rule.address)
        owner = self._owners().get(text.to) if text.to else None
        return self._to_stranger(text, msisdn, owner, "") if owner is not None else None

    def _to_writer(self, text: Inbound, writer: records.Writer) -> Mo:
        """With the addresses as the account last wrote them."""
        data_coding, esm_class, user_data = self._carried(text, writer.account)
        to, ton, npi = (text.to, 0, 1) if text.to else (writer.source, writer.source_ton, writer.source_npi)
        if text.to == writer.source:
            ton, npi = writer.source_ton, writer.source_npi
        return Mo(
            writer.account, writer.dest, writer.dest_ton, writer.dest_npi, to, ton, npi, esm_class, data_coding,
            user_data, tlvs=text.tlvs,
        )  # fmt: skip

    def _to_stranger(self, text: Inbound, msisdn: str, account: str, address: str) -> Mo:
        """From somebody whom the account has not written to, or not lately."""
        data_coding, esm_class, user_data = self._carried(text, account)
        to = text.to or address
        return Mo(account, msisdn, 1, 1, to, 0, 1, esm_class, data_coding, user_data, tlvs=text.tlvs)

    def _carried(self, text: Inbound, account: str) -> tuple[int, int, bytes]:
        """(data_coding, esm_class, user data)."""
        if text.user_data:
            return self._relay(text, account)
        data_coding, octets = self._encode(text.text)
        return data_coding, 0, octets
