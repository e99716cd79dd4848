"""The billing client of the demo: smpplib, a library that is not ours, in a thread of its own."""

from __future__ import annotations

import logging
import re
import select
import threading
from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import smpplib.client
import smpplib.consts
import smpplib.gsm

for name in ("smpp.Client", "smpplib.client", "smpplib.command", "smpplib.pdu"):
    logging.getLogger(name).setLevel(logging.ERROR)  # it warns of every TLV it does not know
IDLE_S = 0.05  # how long one look at the socket may take
_RECEIPT = re.compile(rb"id:(\S+) .*?stat:(\S+) err:(\S+)", re.DOTALL)


class Text(msgspec.Struct, frozen=True):
    """A text to submit; `key` comes back with everything that happens to it."""

    key: int
    to: str
    text: str
    source: str


class Receipt(msgspec.Struct, frozen=True):
    """A receipt as the client read it; smpplib drops TLVs it does not know, the deciding channel's among them."""

    message_id: str
    stat: str
    err: str
    source: str


class ForeignClient:
    """Binds as a transceiver, submits what is given to `submit`, and tells of answers and receipts.

    Callbacks run in the client's thread. `receipts` counts them by message_id.
    """

    def __init__(
        self,
        port: int,
        *,
        accepted: Callable[[int, str, int], None],
        received: Callable[[Receipt], None],
        failed: Callable[[str], None],
    ) -> None:
        """accepted(key, message_id, command_status): one per part. failed(why): the client is over."""
        self.receipts: Counter[str] = Counter()
        self._accepted, self._received, self._failed = accepted, received, failed
        self._texts: SimpleQueue[Text] = SimpleQueue()
        self._keys: dict[int, int] = {}  # sequence_number -> key
        self._stop = threading.Event()
        self._bound = threading.Event()
        self._client: Any = smpplib.client.Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
        self._client.logger.disabled = True  # it prints PDUs, texts and all
        self._client.set_message_sent_handler(self._on_answer)
        self._client.set_message_received_handler(self._on_delivery)
        self._client.set_error_pdu_handler(lambda pdu: None)  # told by _on_answer, which runs for errors too

    def run(self, system_id: str, password: str) -> None:
        """Bind and work until `stop`; the body of the thread."""
        try:
            self._client.connect()
            self._client.bind_transceiver(system_id=system_id, password=password)
            self._bound.set()
            while not self._stop.is_set():
                self._submit_next()
                readable, _, _ = select.select([self._client._socket], [], [], IDLE_S if self._texts.empty() else 0.01)
                if readable:
                    self._client.read_once()
            self._client.unbind()
        except Exception as error:  # whatever a foreign library raises
            self._failed(f"{type(error).__name__}: {error}")
        finally:
            self._client.disconnect()

    def submit(self, text: Text) -> None:
        """To be submitted soon; thread-safe."""
        self._texts.put(text)

    def stop(self) -> None:
        """Unbind and end the thread; thread-safe."""
        self._stop.set()

    def wait_bound(self, timeout_s: float) -> bool:
        """Wait for the bind; False when it did not come."""
        return self._bound.wait(timeout_s)

    def _submit_next(self) -> None:
        try:
            text = self._texts.get_nowait()
        except Empty:
            return
        parts, data_coding, esm_class = smpplib.gsm.make_parts(text.text)
        for part in parts:
            pdu = self._client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_UNK,
                source_addr=text.source,
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL if text.to.isdigit() else smpplib.consts.SMPP_TON_NATNL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr=text.to,
                short_message=part,
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
            self._keys[pdu.sequence] = text.key

    def _on_answer(self, pdu: Any) -> None:
        message_id = (getattr(pdu, "message_id", None) or b"").decode("latin-1")
        self._accepted(self._keys.pop(pdu.sequence), message_id, int(pdu.status))

    def _on_delivery(self, pdu: Any) -> None:
        found = _RECEIPT.search(pdu.short_message or b"")
        if not pdu.esm_class & 0x04 or found is None:
            return
        message_id, stat, err = (word.decode("latin-1") for word in found.groups())
        self.receipts[message_id] += 1
        self._received(
            Receipt(
                message_id=message_id,
                stat=stat,
                err=err,
                source=(pdu.source_addr or b"").decode("latin-1"),
            )
        )
