"""The walk of a client, with smpplib: see tests/interop/walk.py for what it has to do and to say.

smpplib_client.py PORT SYSTEM_ID PASSWORD transceiver|pair SOURCE DEST TEXT...
"""

import json
import re
import select
import sys
from typing import Any

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
import smpplib.smpp

port, system_id, password, mode, source, dest, *texts = sys.argv[1:]
ids: list[str] = []
receipts: set[str] = set()
replies: list[str] = []


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Client(smpplib.client.Client):
    """One bind. It tells what the library itself keeps quiet about."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", int(port), timeout=10, allow_unknown_opt_params=True)
        self.logger.disabled = True
        self.enquired = self.asked = False
        self.set_message_sent_handler(answered)
        self.set_message_received_handler(delivered)
        self.connect()

    def read_pdu(self) -> Any:
        pdu = super().read_pdu()
        if pdu.command == "enquire_link_resp":
            self.enquired = True
            say(enquired=pdu.status)
        elif pdu.command == "unbind_resp":
            say(unbound=pdu.status)
        return pdu

    def _enquire_link_received(self, pdu: Any) -> None:
        super()._enquire_link_received(pdu)
        self.asked = True
        say(asked=True)

    def enquire(self) -> None:
        self.send_pdu(smpplib.smpp.make_pdu("enquire_link", client=self))

    def leave(self) -> None:
        self.send_pdu(smpplib.smpp.make_pdu("unbind", client=self))
        while self.read_pdu().command != "unbind_resp":
            pass
        self.disconnect()


def answered(pdu: Any) -> None:
    assert pdu.status == 0, pdu.status
    ids.append(pdu.message_id.decode())
    say(id=ids[-1])


def delivered(pdu: Any) -> None:
    if not pdu.esm_class & 0x3C:
        octets, udhi = pdu.short_message, pdu.esm_class & 0x40
        octets = octets[octets[0] + 1 :] if udhi else octets
        replies.append(octets.decode("utf-16-be" if pdu.data_coding == 8 else "ascii"))
        say(reply=replies[-1], source=pdu.source_addr.decode())
        return
    found = re.match(
        rb"id:(\S+) sub:001 dlvrd:\d{3} submit date:\d{10} done date:\d{10} stat:(\w+) err:(\d{3}) text:",
        pdu.short_message,
    )
    assert pdu.esm_class & 0x3C == 0x04 and found
    assert pdu.receipted_message_id.rstrip(b"\0") == found[1]
    receipts.add(found[1].decode())
    say(receipt=found[1].decode(), stat=found[2].decode(), err=found[3].decode())


sender = Client()
if mode == "pair":
    receiver = Client()
    sender.bind_transmitter(system_id=system_id, password=password)
    receiver.bind_receiver(system_id=system_id, password=password)
    clients = [sender, receiver]
else:
    stranger = Client()
    try:
        stranger.bind_transceiver(system_id=system_id, password="wr0ng")
    except smpplib.exceptions.PDUError as error:
        say(refused=error.args[1])
    stranger.disconnect()
    sender.bind_transceiver(system_id=system_id, password=password)
    clients = [sender]
for client in clients:
    say(bound=mode)
    client.enquire()

expected = 0
for text in texts:
    parts, data_coding, esm_class = smpplib.gsm.make_parts(text)
    expected += len(parts)
    for part in parts:
        sender.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
            source_addr=source,
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            destination_addr=dest,
            short_message=part,
            data_coding=data_coding,
            esm_class=esm_class,
            registered_delivery=True,
        )
while not (len(ids) == expected and receipts == set(ids) and replies and all(c.enquired and c.asked for c in clients)):
    for ready in select.select([c._socket for c in clients], [], [], 10)[0]:
        next(c for c in clients if c._socket is ready).read_once()
for client in clients:
    client.leave()
