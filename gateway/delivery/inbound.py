"""What people write to us: to the account that wrote to that number last, kept until one of its binds has taken it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from gateway.delivery.receipts import ReceiptDesk
from gateway.messages.message import Mo
from gateway.messages.outcome import Inbound
from gateway.store import keys, records
from gateway.store.valkey import Keep, Store

DAY_S = 86400
log = Logger("inbound")


class Replies:
    """Takes texts from channels. The `inbound` of ports.Results."""

    def __init__(
        self, store: Store, desk: ReceiptDesk, normalize: Callable[[str], str],
        encode: Callable[[str], tuple[int, bytes]], owners: Callable[[], Mapping[str, str]],
        spawn: Callable[[Any, str], object],
    ) -> None:  # fmt: skip
        """normalize: an address as E.164 digits. encode: a text as (data_coding, octets). owners: source address of
        ours -> the only account that uses it, for people nobody has written to."""
        self._store, self._desk, self._normalize, self._encode = store, desk, normalize, encode
        self._owners, self._spawn = owners, spawn

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
        msisdn = self._normalize(text.msisdn)
        last = await self._store.command("LINDEX", keys.writers(msisdn), "0", keep=Keep.OVER_LINKS)
        mo = self._addressed(text, msisdn, records.decode_writer(last) if last else None)
        if mo is None:
            log.info("{channel}: a text from somebody no account has written to was dropped", channel=channel)
            return
        seen = keys.inbound(channel, text.remote_id) if text.remote_id else ""
        entry = await self._store.call(
            "receive", seen, str(DAY_S), keys.receipts(mo.account), records.pack_waiting(mo), keep=Keep.OVER_LINKS
        )
        if entry:
            self._desk.added(mo.account, entry, mo)

    def _addressed(self, text: Inbound, msisdn: str, writer: records.Writer | None) -> Mo | None:
        if text.user_data:
            data_coding, user_data, esm_class = text.data_coding, text.user_data, text.esm_class & 0x40
        else:
            (data_coding, user_data), esm_class = self._encode(text.text), 0
        if writer is not None:
            to, ton, npi = (text.to, 0, 1) if text.to else (writer.source, writer.source_ton, writer.source_npi)
            if text.to == writer.source:
                ton, npi = writer.source_ton, writer.source_npi
            return Mo(
                writer.account, writer.dest, writer.dest_ton, writer.dest_npi, to, ton, npi,
                esm_class, data_coding, user_data,
            )  # fmt: skip
        account = self._owners().get(text.to) if text.to else None
        if account is None:
            return None
        return Mo(account, msisdn, 1, 1, text.to, 0, 1, esm_class, data_coding, user_data)
