"""A transceiver of smpplib: submits one text and waits for the receipts of its parts.

smpplib_client.py PORT SYSTEM_ID PASSWORD SOURCE DEST TEXT; prints JSON lines {"id"} and {"receipt", "stat"}.
"""

import json
import re
import sys
from typing import Any

import smpplib.client
import smpplib.consts
import smpplib.gsm

port, system_id, password, source, dest, text = sys.argv[1:]
ids: list[str] = []
receipts: set[str] = set()
parts, data_coding, esm_class = smpplib.gsm.make_parts(text)
client = smpplib.client.Client("127.0.0.1", int(port), timeout=10, allow_unknown_opt_params=True)
client.logger.disabled = True


def answered(pdu: Any) -> None:
    assert pdu.status == 0, pdu.status
    ids.append(pdu.message_id.decode())
    print(json.dumps({"id": ids[-1]}), flush=True)


def delivered(pdu: Any) -> None:
    found = re.match(rb"id:(\S+) sub:001 dlvrd:\d{3} submit date:\d{10} done date:\d{10} stat:(\w+)", pdu.short_message)
    assert pdu.esm_class & 0x3C == 0x04 and found
    receipts.add(found[1].decode())
    print(json.dumps({"receipt": found[1].decode(), "stat": found[2].decode()}), flush=True)


client.set_message_sent_handler(answered)
client.set_message_received_handler(delivered)
client.connect()
client.bind_transceiver(system_id=system_id, password=password)
for part in parts:
    client.send_message(
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
while len(ids) < len(parts) or receipts != set(ids):
    client.read_once()
client.unbind()
client.disconnect()
