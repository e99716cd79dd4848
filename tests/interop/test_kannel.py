"""Kannel sends through the gateway with receipts, as many billing systems do.

It asks with registered_delivery 0x11 (an intermediate notification, too), and of a long text for its first part only.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from gateway.smpp.constants import CommandId, CommandStatus
from tests.end_to_end.in_reactor import fixture, in_reactor
from tests.end_to_end.stage import PASSWORD, Stage
from tests.end_to_end.test_parts import LONG, LONG_UCS2
from tests.interop import capture
from tests.interop.kannel import BUFFERED, DELIVERED, FAILED, REFUSED, SUBMITTED, Kannel
from tests.interop.recorder import Recorder
from tests.interop.walk import GSM, REPLY, SOURCE, UCS2, shown_by_handset
from tools.scripts import OperatorScript

pytestmark = pytest.mark.interop
EVERYTHING = DELIVERED | FAILED | BUFFERED | SUBMITTED | REFUSED
FINAL = DELIVERED | FAILED
RESPONSE = 0x8000_0000
numbers = itertools.count(11977003000)


def number() -> str:
    return f"55{next(numbers)}"


@fixture()
async def boxes(running: Stage, wire: Recorder, kannel: tuple[str, str]) -> AsyncIterator[Kannel]:
    """Kannel's boxes, not started."""
    directory = running.directory / f"kannel-{next(numbers)}"
    directory.mkdir()
    boxes = Kannel(kannel, directory)
    try:
        yield boxes
    finally:
        await boxes.close()


async def bind(stage: Stage, wire: Recorder, boxes: Kannel, *, system_id: str = "billing", pair: bool = False) -> None:
    """Both boxes run, and the gateway knows them."""
    await boxes.start(reactor, wire.port, system_id, PASSWORD, pair=pair)
    await until_it_is(stage, boxes, "online")
    boxes.start_smsbox()
    await kannel_says(stage, boxes, boxes.smsbox_connected, "Kannel's smsbox has found the bearerbox")


async def until_it_is(stage: Stage, boxes: Kannel, state: str) -> None:
    await kannel_says(stage, boxes, lambda: boxes.state() == state, f"Kannel's bearerbox is {state}")


async def kannel_says(stage: Stage, boxes: Kannel, question: Callable[[], bool], what: str) -> None:
    """Ask it over HTTP, in a thread, until the answer is yes."""
    try:
        await stage.until(lambda: deferToThread(question), what, 15.0)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{boxes.complaints()}") from None


async def submit(stage: Stage, boxes: Kannel, text: str, *, mask: int = EVERYTHING, to: str = "") -> str:
    """Send a text; the number it goes to."""
    to = to or number()
    answer = await deferToThread(boxes.submit, SOURCE, to, text, mask=mask, gsm=text in (GSM, LONG))
    assert answer[:2] in ("0:", "3:"), answer + boxes.complaints()  # accepted for delivery, or queued for it
    return to


def shown(stage: Stage, to: str) -> list[str]:
    return shown_by_handset([submit for submit in stage.operator.submits if submit.dest == to])


@pytest.mark.parametrize("pair", [False, True], ids=["transceiver", "pair"])
@in_reactor
async def test_kannel_gets_every_receipt_it_asked_for(
    running: Stage, wire: Recorder, boxes: Kannel, pair: bool, tshark_if_there: str | None
) -> None:
    since = len(wire.chunks)
    await bind(running, wire, boxes, pair=pair)
    texts = {await submit(running, boxes, text): text for text in (GSM, UCS2, LONG, LONG_UCS2)}
    everyone = list(texts)

    def told(of: int) -> bool:
        return all(any(kind == of for _, kind in boxes.receipts.get(to, [])) for to in everyone)

    await running.until(lambda: told(DELIVERED), "Kannel tells of every text's delivery", 20.0)
    for to, text in texts.items():
        assert shown(running, to) == [text]
        kinds = [kind for _, kind in boxes.receipts[to]]
        assert sorted(kinds) == [DELIVERED, BUFFERED, SUBMITTED] and kinds[-1] == DELIVERED
        given = {message_id for message_id, _ in boxes.receipts[to]}
        assert len(given) == 1 and "" not in given
        message = await running.message(given.pop())
        assert message["state"] == "delivered"

    running.operator.mo(everyone[0], SOURCE, REPLY)
    await running.until(lambda: boxes.replies, "Kannel takes the reply")
    assert boxes.replies == [(everyone[0], SOURCE, REPLY)]

    def enquired() -> bool:
        seen = {(inward, command) for inward, command, _ in capture.headers(wire.chunks[since:])}
        both = {(True, int(CommandId.ENQUIRE_LINK)), (False, CommandId.ENQUIRE_LINK | RESPONSE)}
        back = {(False, int(CommandId.ENQUIRE_LINK)), (True, CommandId.ENQUIRE_LINK | RESPONSE)}
        return both | back <= seen

    await running.until(enquired, "both sides have asked whether the other is there")
    boxes.leave()
    await running.until(lambda: not boxes.running, "Kannel takes its leave", 20.0)
    seen = capture.headers(wire.chunks[since:])
    binds = 2 if pair else 1
    assert seen.count((True, int(CommandId.UNBIND), 0)) == seen.count((False, CommandId.UNBIND | RESPONSE, 0)) == binds
    if tshark_if_there:
        capture.assert_well_formed(boxes.directory, wire.chunks[since:], tshark_if_there)


@pytest.mark.parametrize("text", [LONG, LONG_UCS2], ids=["gsm7", "ucs2"])
@in_reactor
async def test_a_long_text_of_kannel_is_one_on_whatsapp_with_one_receipt(
    running: Stage, wire: Recorder, boxes: Kannel, text: str
) -> None:
    await bind(running, wire, boxes)
    to = number()
    running.provider.people.add(to)
    await submit(running, boxes, text, to=to, mask=FINAL)
    await running.until(lambda: boxes.receipts.get(to), "Kannel tells of the text's delivery", 20.0)
    assert [sent.text for sent in running.provider.sends if sent.person == to] == [text]
    assert [kind for _, kind in boxes.receipts[to]] == [DELIVERED]
    assert shown(running, to) == []


@in_reactor
async def test_kannel_is_told_of_a_failure(running: Stage, wire: Recorder, boxes: Kannel) -> None:
    await bind(running, wire, boxes)
    to = number()
    running.operator.scripts.set(to, OperatorScript(stat="UNDELIV", err="027"))
    await submit(running, boxes, LONG, to=to, mask=FINAL)
    await running.until(lambda: boxes.receipts.get(to), "Kannel tells of the text's failure", 20.0)
    assert [kind for _, kind in boxes.receipts[to]] == [FAILED]


@in_reactor
async def test_what_kannel_sends_too_fast_arrives_once_all_the_same(
    running: Stage, wire: Recorder, boxes: Kannel
) -> None:
    since = len(wire.chunks)
    await bind(running, wire, boxes, system_id="slow")
    everyone = [await submit(running, boxes, GSM, mask=FINAL) for _ in range(14)]
    await running.until(lambda: len(boxes.receipts) == len(everyone), "Kannel tells of every delivery", 40.0)
    assert [[kind for _, kind in boxes.receipts[to]] for to in everyone] == [[DELIVERED]] * len(everyone)
    assert [shown(running, to) for to in everyone] == [[GSM]] * len(everyone)
    throttled = (False, CommandId.SUBMIT_SM | RESPONSE, int(CommandStatus.ESME_RTHROTTLED))
    assert throttled in capture.headers(wire.chunks[since:])


@in_reactor
async def test_kannel_with_a_wrong_password_stays_outside(running: Stage, wire: Recorder, boxes: Kannel) -> None:
    since = len(wire.chunks)
    await boxes.start(reactor, wire.port, "billing", "wr0ng")
    refused = (False, CommandId.BIND_TRANSCEIVER | RESPONSE, int(CommandStatus.ESME_RINVPASWD))
    await running.until(lambda: refused in capture.headers(wire.chunks[since:]), "Kannel is refused")
    await until_it_is(running, boxes, "dead")  # it does not try again
