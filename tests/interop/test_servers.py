"""The gateway binds to SMSCs that are not ours: of the npm package smpp and of smpp.twisted3.

Such a server is called with PORT SYSTEM_ID PASSWORD REPLY and prints one JSON map for each of these:

- it listens: {"listening": true}
- it is asked to bind, with right or wrong words: {"bind": which, "status": command_status}
- the gateway answers its enquire_link: {"enquired": command_status}, and it answers the gateway's: {"asked": true}
- a submit_sm came: {"submit": text, "to", "source", "part": [reference, total, number] or null, "payload",
  "registered_delivery", "refused"}; to numbers that end in 88 it answers the first two with ESME_RTHROTTLED
- its receipt is answered: {"receipted": command_status}
- a text that ends in a question mark has the answer REPLY, and that is taken: {"replied": command_status}
- the gateway unbinds: {"unbind": true}
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from gateway.smpp import charset
from tests.end_to_end.biller import Biller
from tests.end_to_end.in_reactor import fixture, in_reactor
from tests.end_to_end.stage import OPERATOR_PASSWORD, Stage
from tests.end_to_end.test_parts import LONG_UCS2
from tests.interop import capture
from tests.interop.peer import Peer
from tests.interop.recorder import Recorder
from tests.interop.walk import REPLY, SOURCE
from tools.ports import free_port

pytestmark = pytest.mark.interop
SERVERS = Path(__file__).parent / "servers"
PLAIN = "Fatura de 10,00 vence amanha. Confirma?"
ACCENTS = "Não há débitos à vista, João 😀"
MESSAGE_PAYLOAD = 0x0424
ESME_RINVPASWD = 0x0E
BINDS = {"transceiver": ["bind_transceiver"], "transmitter_receiver": ["bind_receiver", "bind_transmitter"]}
numbers = itertools.count(11977004000)


def number(ending: str = "") -> str:
    found = f"55{next(numbers)}"
    return found[: len(found) - len(ending)] + ending


@pytest.fixture(params=["node", "twisted"])
def command(request: pytest.FixtureRequest) -> tuple[list[str], dict[str, str]]:
    """How to start a server, and its environment."""
    if request.param == "node":
        return ["node", str(SERVERS / "node_smsc.js")], request.getfixturevalue("node_environ")
    return [str(request.getfixturevalue("smpp_twisted")), str(SERVERS / "twisted_smsc.py")], {}


class Smsc(Peer):
    """A server, and the gateway's way to it."""

    wire: Recorder


@fixture()
async def smsc(stage: Stage, command: tuple[list[str], dict[str, str]]) -> AsyncIterator[Smsc]:
    """The server listens; the gateway's only channel leads to it."""
    wire = Recorder(reactor, free_port())
    await wire.open(stage.operator_port)
    words = [*command[0], str(wire.target), "pombo", OPERATOR_PASSWORD, REPLY]
    stage.settings["bridge"] = []
    stage.settings["routes"] = [{"name": "default", "channels": ["operator"]}]
    channel(stage)["enquire_link"] = "400ms"
    try:
        with Smsc(stage.directory, words, command[1]) as smsc:
            smsc.wire = wire
            await smsc.until(stage, lambda: smsc.of("listening"), "the SMSC listens")
            yield smsc
    finally:
        await wire.close()


def channel(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.settings["smsc_client"][0]
    return found


def submits(smsc: Smsc, to: str) -> list[dict[str, Any]]:
    return [line for line in smsc.said if line.get("to") == to]


async def receipts(stage: Stage, biller: Biller, ids: list[str]) -> None:
    """One each, all of them DELIVRD."""
    await stage.until(lambda: len(biller.receipts) >= len(ids), "all receipts")
    assert [(one.stat, one.err, one.channel) for one in biller.receipts] == [("DELIVRD", "000", "operator")] * len(ids)
    assert sorted(one.message_id for one in biller.receipts) == sorted(ids)


@pytest.mark.parametrize("bind", list(BINDS))
@in_reactor
async def test_the_gateway_does_its_business_with_a_foreign_smsc(
    stage: Stage, smsc: Smsc, bind: str, tshark_if_there: str | None
) -> None:
    channel(stage)["bind"] = bind
    await stage.start()
    biller = await stage.bind()
    plain, accents, parts, throttled = number(), number(), number(), number("88")
    answers = [
        await biller.submit(plain, PLAIN),
        await biller.submit(accents, ACCENTS),
        *[await answer for answer in biller.submit_parts(parts, LONG_UCS2)],
        await biller.submit(throttled, PLAIN.rstrip("?")),
    ]
    assert {answer.status for answer in answers} == {0}
    await receipts(stage, biller, [answer.message_id for answer in answers])
    assert [(one["submit"], one["source"], one["part"]) for one in submits(smsc, plain)] == [(PLAIN, SOURCE, None)]
    assert [one["submit"] for one in submits(smsc, accents)] == [ACCENTS]
    assert [one["part"][1:] for one in submits(smsc, parts)] == [[3, 1], [3, 2], [3, 3]]
    assert "".join(one["submit"] for one in submits(smsc, parts)) == LONG_UCS2
    assert [one["refused"] for one in submits(smsc, throttled)] == [True, True, False]
    assert {line["registered_delivery"] for line in smsc.said if "submit" in line} == {1}

    await stage.until(lambda: biller.texts, "the reply reaches the ESME")
    (text,) = biller.texts
    assert (text.source_addr, text.destination_addr) == (plain, SOURCE)
    assert charset.decode_text(text.short_message, text.data_coding) == REPLY
    await smsc.until(stage, lambda: smsc.of("asked"), "the gateway asks whether the SMSC is there")
    await smsc.until(stage, lambda: len(smsc.of("receipted")) >= len(answers), "all receipts are answered")
    assert smsc.of("receipted") == [0] * len(answers) and smsc.of("replied") == [0]

    await stage.stop()
    await smsc.until(stage, lambda: len(smsc.of("unbind")) == len(BINDS[bind]), "the gateway takes its leave")
    assert sorted(line["bind"] for line in smsc.said if line.get("status") == 0) == BINDS[bind]
    assert smsc.of("enquired") == [0] * len(BINDS[bind])
    assert not smsc.of("unknown")
    if tshark_if_there:
        capture.assert_well_formed(stage.directory, smsc.wire.chunks, tshark_if_there)


@pytest.mark.parametrize("how", ["udh", "sar", "payload"])
@in_reactor
async def test_a_long_text_is_whole_again_at_a_foreign_smsc(
    stage: Stage, smsc: Smsc, how: str, tshark_if_there: str | None
) -> None:
    channel(stage)["long_messages"] = how
    await stage.start()
    biller = await stage.bind()
    to, payload = number(), ((MESSAGE_PAYLOAD, LONG_UCS2.encode("utf-16-be")),)
    answer = await biller.submit(to, data_coding=charset.UCS2, tlvs=payload)
    assert answer.status == 0
    await receipts(stage, biller, [answer.message_id])
    assert "".join(one["submit"] for one in submits(smsc, to)) == LONG_UCS2
    if how == "payload":
        assert [(one["part"], one["payload"]) for one in submits(smsc, to)] == [(None, True)]
    else:
        assert [one["part"][1:] for one in submits(smsc, to)] == [[3, 1], [3, 2], [3, 3]]
    if tshark_if_there:
        capture.assert_well_formed(stage.directory, smsc.wire.chunks, tshark_if_there)


@in_reactor
async def test_a_foreign_smsc_that_refuses_the_password_is_no_channel(stage: Stage, smsc: Smsc) -> None:
    channel(stage)["password"] = "wr0ng"
    await stage.start(channels_up=False)
    await smsc.until(stage, lambda: smsc.of("bind"), "the gateway asks to bind")
    assert next(line["status"] for line in smsc.said if "bind" in line) == ESME_RINVPASWD
    assert (await stage.channel("operator"))["up"] is False
    assert stage.gateway.alive
