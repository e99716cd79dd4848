"""The walk of a client, with aiosmpplib: see tests/interop/walk.py for what it has to do and to say.

aiosmpplib_client.py PORT SYSTEM_ID PASSWORD transceiver SOURCE DEST TEXT...
Long texts leave by turns as parts with a UDH (and, as this library has it, SAR parameters beside it) and as one
message_payload.
"""

import asyncio
import itertools
import json
import sys
from contextlib import suppress
from typing import Any

from aiosmpplib import ESME, DeliverSm, PhoneNumber, SubmitSm, SubmitSmResp
from aiosmpplib.hook import AbstractHook
from aiosmpplib.log import CRITICAL
from aiosmpplib.protocol import EnquireLink, SmppMessage, Unbind
from aiosmpplib.state import SmppCommand, SmppError

port, system_id, password, mode, source, dest, *texts = sys.argv[1:]
assert mode == "transceiver"
LONG_OCTETS = 140


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Hook(AbstractHook):
    """Reads every PDU with the library's own decoders: of segments it only shows the octets."""

    def __init__(self) -> None:
        self.submitted = 0
        self.ids: list[str] = []
        self.receipts: set[str] = set()
        self.replied = self.enquired = self.asked = False
        self.unbound = asyncio.Event()
        self.failed: Exception | None = None

    @property
    def done(self) -> bool:
        everything = len(self.ids) == self.submitted and self.receipts == set(self.ids)
        return everything and self.replied and self.enquired and self.asked

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None:
        if smpp_message.smpp_command is SmppCommand.SUBMIT_SM:
            self.submitted += 1

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:
        self.failed = error

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        header = SmppMessage.parse_header(pdu[:16])
        match header.smpp_command:
            case SmppCommand.BIND_TRANSCEIVER_RESP if header.command_status:
                say(refused=int(header.command_status))
            case SmppCommand.SUBMIT_SM_RESP:
                assert header.command_status == 0, header.command_status
                self.ids.append(SubmitSmResp.from_pdu(pdu, header).message_id)
                say(id=self.ids[-1])
            case SmppCommand.DELIVER_SM:
                self._delivered(DeliverSm.from_pdu(pdu, header))
            case SmppCommand.ENQUIRE_LINK:
                self.asked = True
                say(asked=True)
            case SmppCommand.ENQUIRE_LINK_RESP:
                self.enquired = True
                say(enquired=int(header.command_status))
            case SmppCommand.UNBIND_RESP:
                say(unbound=int(header.command_status))
                self.unbound.set()

    def _delivered(self, message: Any) -> None:
        if not message.is_receipt():
            self.replied = True
            say(reply=message.short_message, source=message.source.number)
            return
        found = message.parse_receipt()
        self.receipts.add(found["id"])
        say(receipt=found["id"], stat=found["stat"], err=f"{found['err']:03d}")


def esme(word: str, hook: Hook) -> ESME:
    return ESME("127.0.0.1", int(port), system_id, word, hook=hook, log_level=CRITICAL, enquire_link_interval=60.0)


async def walk() -> None:
    with suppress(SmppError, ValueError):  # it misses the body that a refused bind_transceiver_resp must not have
        await esme("wr0ng", Hook()).connect()

    hook = Hook()
    client = esme(password, hook)
    await client.connect()
    say(bound=mode)
    ways = itertools.cycle([0x40, 0])
    for text in texts:
        long = len(text.encode("utf-16-be")) > LONG_OCTETS
        udhi = next(ways) if long else 0
        await client.broker.enqueue(
            SubmitSm(
                short_message=text,
                source=PhoneNumber(source),
                destination=PhoneNumber(dest),
                registered_delivery=1,
                esm_class=udhi,
                auto_message_payload=not udhi,
            )
        )
    await client.broker.enqueue(EnquireLink())
    running = asyncio.create_task(client.start())
    while not hook.done:
        assert hook.failed is None, hook.failed
        await asyncio.sleep(0.05)
    await client.broker.enqueue(Unbind())  # its own stop() does not wait for the answer
    await asyncio.wait_for(hook.unbound.wait(), 10)
    running.cancel()


asyncio.run(walk())
