"""Every final state against every registered_delivery: what the ESME reads, to the letter (SMPP 3.4, 5.2.17 and
Appendix B)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import pytest_twisted

from gateway.messages.message import Message
from gateway.messages.outcome import Accepted, AttemptResult, Refused, Status
from gateway.messages.states import State
from gateway.server.translate import deliver_sm
from gateway.store.valkey import Store
from tests.gateway.delivery.house import SMS_ONLY, USUAL, House
from tests.gateway.delivery.test_operations import cancel

# I: an intermediate notification, before anything else; R: a receipt of the final state; -: nothing.
# A message that was cancelled or refused has never been on its way.
MATRIX = """
        DELIVRD  EXPIRED  DELETED  UNDELIV  REJECTD
0x00    -        -        -        -        -
0x01    R        R        R        R        R
0x02    -        R        R        R        R
0x03    R        -        -        -        -
0x10    I        I        -        I        -
0x11    IR       IR       R        IR       R
0x12    I        IR       R        IR       R
0x13    IR       I        -        I        -
0x04    -        -        -        -        -
0x0D    R        R        R        R        R
0x0E    -        R        R        R        R
0x1F    IR       I        -        I        -
0xE1    R        R        R        R        R
0xE2    -        R        R        R        R
0xF0    I        I        -        I        -
0xFF    IR       I        -        I        -
"""
TEXTS = {
    "DELIVRD": b"id:%s sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:",
    "EXPIRED": b"id:%s sub:001 dlvrd:000 submit date:%s done date:%s stat:EXPIRED err:002 text:",
    "DELETED": b"id:%s sub:001 dlvrd:000 submit date:%s done date:%s stat:DELETED err:003 text:",
    "UNDELIV": b"id:%s sub:001 dlvrd:000 submit date:%s done date:%s stat:UNDELIV err:034 text:",
    "REJECTD": b"id:%s sub:001 dlvrd:000 submit date:%s done date:%s stat:REJECTD err:011 text:",
    "ENROUTE": b"id:%s sub:001 dlvrd:000 submit date:%s done date:%s stat:ENROUTE err:000 text:",
}
HEAD, *ROWS = (line.split() for line in MATRIX.strip().splitlines())
ASKED = [int(row[0], 16) for row in ROWS]


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def result_of(message: Message) -> AttemptResult:
    return Refused("no", "011") if message.source == "refused" else Accepted(f"r{message.id}")


async def bring_about(house: House, stat: str) -> list[str]:
    """One message for every registered_delivery, brought to this end by what happens to messages."""
    house.operator.script = result_of
    fields = {"source": "refused"} if stat == "REJECTD" else {}
    if stat == "DELETED":
        fields["schedule_at"] = house.now + 60
    ids = await house.submit(
        *(house.message(registered_delivery=asked, expires_at=house.now + 3600, **fields) for asked in ASKED)
    )
    for message_id in ids:
        if stat == "DELETED":
            assert await cancel(house, message_id) == 0
        elif stat == "DELIVRD":
            house.operator.report(f"r{message_id}", Status.DELIVERED, err="034")
        elif stat == "UNDELIV":
            house.operator.report(f"r{message_id}", Status.FAILED, State.UNDELIVERABLE, err="034")
    await house.passes(3600 if stat == "EXPIRED" else 0)
    return ids


def stamp(at: float) -> bytes:
    return time.strftime("%y%m%d%H%M", time.gmtime(at)).encode()


@pytest.mark.parametrize("stat", HEAD)
@pytest_twisted.ensureDeferred
async def test_the_esme_reads_what_it_asked_for(store: Store, stat: str) -> None:
    house = await House(store, SMS_ONLY).start()
    submitted_at = house.now
    ids = await bring_about(house, stat)
    column = 1 + HEAD.index(stat)
    told = [deliver_sm(item, 0x34) for item in await house.receipts()]
    for message_id, row in zip(ids, ROWS, strict=True):
        mine = [pdu for pdu in told if pdu.short_message.startswith(b"id:%s " % message_id.encode())]
        seen = "".join("I" if pdu.esm_class == 0x20 else "R" if pdu.esm_class == 0x04 else "?" for pdu in mine)
        assert (seen or "-") == row[column], f"{row[0]} {stat}"
        for pdu, kind in zip(mine, row[column], strict=True) if mine else ():
            done = submitted_at if kind == "I" or stat != "EXPIRED" else submitted_at + 3600
            text = TEXTS["ENROUTE" if kind == "I" else stat]
            assert pdu.short_message == text % (message_id.encode(), stamp(submitted_at), stamp(done))
            assert (pdu.data_coding, pdu.registered_delivery) == (0, 0)


def test_the_matrix_names_every_final_state_that_a_message_can_reach() -> None:
    assert set(HEAD) == {"DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "REJECTD"} and len(set(ASKED)) == len(ROWS) == 16


# Kannel asks on the first part of a long text only, and for both


@pytest.mark.parametrize("by", ["whatsapp", "sms"])
@pytest_twisted.ensureDeferred
async def test_who_asks_on_the_first_part_only_is_told_of_that_one(store: Store, by: str) -> None:
    house = await House(store, USUAL if by == "whatsapp" else SMS_ONLY).start()
    asked = (0x11, 0x00, 0x00)
    ids = await house.submit(*(house.part(n, 3, registered_delivery=asks) for n, asks in enumerate(asked, 1)))
    if by == "whatsapp":
        house.zap.accept("z1")
        house.zap.report("z1", Status.DELIVERED)
    else:
        for message_id in ids:
            house.operator.answer(message_id, Accepted(f"r{message_id}"))
            house.operator.report(f"r{message_id}", Status.DELIVERED)
    await house.passes(61)
    told = [(one.message_id, one.intermediate, one.state) for one in await house.receipts()]
    assert told == [(ids[0], True, State.ENROUTE), (ids[0], False, State.DELIVERED)]
    assert {message.state for message in await house.read_all(ids)} == {State.DELIVERED}


@pytest_twisted.ensureDeferred
async def test_each_part_is_told_as_it_asked(store: Store) -> None:
    """Success and failure, failure only, success only, nothing: over WhatsApp all end as the text does."""
    house = await House(store).start()
    asked = (0x01, 0x02, 0x13, 0x00)
    ids = await house.submit(*(house.part(n, 4, registered_delivery=asks) for n, asks in enumerate(asked, 1)))
    house.zap.accept("z1")
    house.zap.report("z1", Status.DELIVERED)
    await house.settle()
    told = [(one.message_id, one.intermediate) for one in await house.receipts()]
    assert told == [(ids[2], True), (ids[0], False), (ids[2], False)]
