"""tshark reads what the gateway says on both sides, every kind of PDU, and finds nothing malformed."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from gateway.smpp import pdu
from gateway.smpp.constants import CommandId
from gateway.smpp.fields import SmeAddress
from tests.end_to_end.biller import Answer, Biller
from tests.end_to_end.in_reactor import in_reactor
from tests.end_to_end.stage import Stage
from tests.end_to_end.test_parts import LONG, LONG_UCS2
from tests.interop import capture
from tests.interop.recorder import Chunk, Recorder
from tests.interop.walk import REPLY, SOURCE, UCS2
from tools.ports import free_port

pytestmark = pytest.mark.interop
MESSAGE_PAYLOAD = 0x0424
QUERY_LAST_MSGS = bytes.fromhex("00000010000000230000000000000007")  # of SMPP 3.3
LATER = "000000010000000R"  # in an hour
numbers = itertools.count(11977005000)
OF_THE_GATEWAY = {
    CommandId.BIND_TRANSCEIVER, CommandId.BIND_TRANSCEIVER_RESP, CommandId.BIND_TRANSMITTER_RESP,
    CommandId.BIND_RECEIVER_RESP, CommandId.SUBMIT_SM, CommandId.SUBMIT_SM_RESP, CommandId.DELIVER_SM,
    CommandId.DELIVER_SM_RESP, CommandId.DATA_SM_RESP, CommandId.SUBMIT_MULTI_RESP, CommandId.QUERY_SM_RESP,
    CommandId.CANCEL_SM_RESP, CommandId.REPLACE_SM_RESP, CommandId.ENQUIRE_LINK, CommandId.ENQUIRE_LINK_RESP,
    CommandId.UNBIND, CommandId.UNBIND_RESP, CommandId.GENERIC_NACK,
}  # fmt: skip


def number() -> str:
    return f"55{next(numbers)}"


async def ask(biller: Biller, request: pdu.Pdu) -> Answer:
    """The answer to any request."""
    answered: Deferred[Answer] = Deferred()
    biller.session.request(request, biller.now(), (biller.now(), answered))
    biller.flush()
    return await answered


async def everything(stage: Stage, transceiver: Biller) -> None:
    """Every request that an ESME can make, and what follows from it."""
    biller, to = transceiver, number()
    answers = [await biller.submit(to, UCS2)]
    for how in ("udh8", "udh16", "sar"):
        answers += [await answer for answer in biller.submit_parts(number(), LONG, how)]
    payload = ((MESSAGE_PAYLOAD, LONG_UCS2.encode("utf-16-be")),)
    answers.append(await biller.submit(number(), data_coding=8, tlvs=payload))
    answers.append(await biller.submit(number(), "intermediate, too", registered_delivery=0x11))
    answers.append(await biller.submit(to, "later", schedule_delivery_time=LATER, registered_delivery=0))
    assert {answer.status for answer in answers} == {0}
    assert (await biller.submit("no number", "x")).status != 0
    kept = {"message_id": answers[-1].message_id, "source_addr": SOURCE}
    several = tuple(SmeAddress(1, 1, dest) for dest in (number(), number(), "12"))
    requests: list[pdu.Pdu] = [
        pdu.QuerySm(**kept),
        pdu.QuerySm(message_id="nobody's", source_addr=SOURCE),
        pdu.ReplaceSm(**kept, schedule_delivery_time=LATER, short_message=b"much later"),
        pdu.CancelSm(**kept),
        pdu.SubmitMulti(source_addr=SOURCE, dest_addresses=several, registered_delivery=1, short_message=b"all"),
        pdu.DataSm(source_addr=SOURCE, destination_addr=number(), registered_delivery=1, tlvs=payload, data_coding=8),
    ]
    assert [(await ask(biller, request)).status == 0 for request in requests] == [True, False, True, True, True, True]
    receipts = len(answers) - 1 + 2 + 1  # none of the scheduled one; two of submit_multi, one of data_sm
    await stage.until(lambda: len(biller.receipts) >= receipts, "all receipts", 20.0)
    stage.operator.mo(to, SOURCE, REPLY)
    stage.operator.mo(to, SOURCE, LONG_UCS2[:60] + "?")
    await stage.until(lambda: len(biller.texts) == 3, "the intermediate notification and the replies")


@in_reactor
async def test_tshark_finds_every_pdu_and_nothing_malformed(stage: Stage, tshark: str) -> None:
    stage.settings["smpp_server"]["enquire_link"] = "300ms"
    outward = Recorder(reactor, free_port())
    inward = Recorder(reactor, stage.smpp_port)
    behind, stage.operator_port = stage.operator_port, outward.target
    await stage.open_operator()
    await outward.open(behind)
    await inward.open()
    try:
        await stage.start()
        real, stage.smpp_port = stage.smpp_port, inward.port
        refused = await stage.bind(password="wr0ng", status=0x0E)
        sender, receiver = await stage.bind("transmitter"), await stage.bind("receiver")
        transceiver = await stage.bind()
        receiver.leave()
        sender.raw(QUERY_LAST_MSGS)  # its generic_nack names no request that this session knows of: it hangs up
        await stage.until(lambda: sender.closed and receiver.closed, "they have left")
        await everything(stage, transceiver)

        def enquired() -> bool:
            return (False, int(CommandId.ENQUIRE_LINK), 0) in capture.headers(inward.chunks)

        await stage.until(enquired, "the gateway asks whether the ESME is there")
        assert (await ask(transceiver, pdu.EnquireLink())).status == 0
        stage.smpp_port = real
        await stage.stop()
        await stage.until(lambda: transceiver.closed and refused.closed, "everybody has left")
    finally:
        await inward.close()
        await outward.close()
    said = {command for out, command, _ in capture.headers(inward.chunks) if not out}
    said |= {command for out, command, _ in capture.headers(outward.chunks) if out}
    assert said == {int(command) for command in OF_THE_GATEWAY}
    unknown = frozenset({int.from_bytes(QUERY_LAST_MSGS[4:8], "big")})
    for side, recorder in (("inward", inward), ("outward", outward)):
        capture.assert_well_formed(stage.directory, recorder.chunks, tshark, unknown)
        (stage.directory / "interop.pcap").rename(stage.directory / f"{side}.pcap")

    # What tshark reads in the receipts is what the ESME was told.
    names = ("smpp.receipted_message_id", "smpp.message_state")
    read = [row for row in capture.fields(stage.directory / "inward.pcap", tshark, *names) if row[0]]
    ids = Counter(one for row in read for one in row[0].split(","))
    told = Counter(receipt.message_id for receipt in transceiver.receipts)
    assert sum((ids - told).values()) == 1 and not told - ids  # the intermediate notification names its message, too
    assert Counter(state for row in read for state in row[1].split(",")) == {"1": 1, "2": told.total()}


@pytest.mark.parametrize(
    "octets",
    [
        "0000001d00000004000000000000000200050033333333000101353531",  # a submit_sm that ends in its addresses
        "00000015000000090000000000000001666f6f0070",  # a bind that ends in its password
    ],
)
def test_what_is_malformed_is_called_so(tmp_path: Path, tshark: str, octets: str) -> None:
    broken = bytes.fromhex(octets)
    chunks = [Chunk(1.0, 0, True, bytes.fromhex("00000010000000150000000000000007")), Chunk(1.5, 0, True, broken)]
    path = tmp_path / "broken.pcap"
    capture.write(path, chunks)
    reading = capture.read(path, tshark)
    assert reading.commands[int(CommandId.ENQUIRE_LINK)] == 1
    assert len(reading.complaints) == 1


def test_a_capture_holds_what_was_recorded(tmp_path: Path, tshark: str) -> None:
    """PDUs that a read cuts in two, or that do not fit into one packet, are whole again."""
    whole = bytes.fromhex("00000010000000150000000000000007")
    long = pdu_of(3000)
    chunks = [
        Chunk(1.0, 0, True, whole + long[:10]),
        Chunk(1.1, 0, False, whole),
        Chunk(1.2, 0, True, long[10:] + whole),
    ]
    path = tmp_path / "cut.pcap"
    capture.write(path, chunks)
    expected: Any = Counter({int(CommandId.ENQUIRE_LINK): 3, int(CommandId.SUBMIT_SM): 1})
    assert Counter(command for _, command, _ in capture.headers(chunks)) == expected
    assert capture.read(path, tshark) == capture.Reading(expected, [])


def pdu_of(octets: int) -> bytes:
    """A submit_sm with a message_payload of so many octets."""
    payload = ((MESSAGE_PAYLOAD, b"x" * octets),)
    return pdu.encode(pdu.SubmitSm(source_addr=SOURCE, destination_addr="5511987654321", tlvs=payload), 8)
