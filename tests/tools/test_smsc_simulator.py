"""The simulated operator towards our own billing client, through memory, and towards smpplib, through a socket."""

from __future__ import annotations

import random
from typing import Any

import pytest
import pytest_twisted
import smpplib.client
from smpplib.exceptions import PDUError
from twisted.internet import endpoints, reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from tests.fakes.pipe import Endpoint
from tools.esme import Esme, EsmeSettings, Summary
from tools.scripts import OPERATOR_WORDS, OperatorScript, read_script
from tools.smsc_simulator import SmscSettings, SmscSimulator, asks_for

NUMBER = "5511988880001"


class Line:
    """An operator and a billing client on one clock."""

    def __init__(self, smsc: SmscSettings | None = None, chance: float = 0.99, **plan: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.smsc = SmscSimulator(smsc or SmscSettings(), self.clock, chance=lambda: chance)
        settings = EsmeSettings(**{"system_id": "billing", "password": "secret", "to": NUMBER, "count": 1, **plan})
        self.esme = Esme(settings, self.clock, rng=random.Random(1))
        self.summary: Summary | None = None
        self.esme.done.addCallback(lambda summary: setattr(self, "summary", summary))

    def script(self, pattern: str, words: str) -> Line:
        self.smsc.scripts.set(pattern, read_script(words, OPERATOR_WORDS, OperatorScript()))
        return self

    def begin(self) -> Line:
        class One:
            def buildProtocol(factory, addr: object) -> Esme:
                return self.esme

        Endpoint(self.clock, lambda: self.smsc.buildProtocol(None)).connect(One())
        return self

    def run(self, span_s: float = 60.0) -> Summary:
        self.begin()
        for _ in range(int(span_s / 0.05)):
            self.clock.advance(0.05)
        return self.summary or self.esme.summary


def test_every_submit_is_answered_and_gets_its_receipt() -> None:
    line = Line(count=25, window=5)
    summary = line.run()
    assert summary.complete
    assert summary.answers == {0: 25} and summary.receipts == {"DELIVRD": 25}
    assert line.smsc.receipts == {"DELIVRD": 25}
    assert line.smsc.binds == 0, "the client has unbound"


def test_a_wrong_password_and_a_wrong_name_are_refused_with_their_own_status() -> None:
    settings = SmscSettings(system_id="billing", password="other")
    assert Line(settings).run().bind_status == 0x0E
    assert Line(settings, system_id="nobody").run().bind_status == 0x0F


@pytest.mark.parametrize(
    ("words", "answers", "receipts"),
    [
        ("undeliv", {0: 1}, {"UNDELIV": 1}),
        ("expired", {0: 1}, {"EXPIRED": 1}),
        ("refuse:0x0B", {0x0B: 1}, {}),
        ("throttle:1", {0x58: 1}, {}),
        ("silent", {0: 1}, {}),
        ("twice", {0: 1}, {"DELIVRD": 2}),
        ("early", {0: 1}, {"DELIVRD": 1}),
    ],
)
def test_a_script_decides_for_its_numbers(words: str, answers: dict[int, int], receipts: dict[str, int]) -> None:
    summary = Line(receipts_s=5.0).script("5511*", words).run()
    assert (summary.answers, summary.receipts) == (answers, receipts)


def test_numbers_outside_the_pattern_are_left_alone() -> None:
    assert Line().script("5521*", "undeliv").run().receipts == {"DELIVRD": 1}


def test_an_early_receipt_is_on_the_wire_before_the_answer() -> None:
    line = Line().script("*", "early+receipt:100ms+answer:100ms").begin()
    line.clock.advance(0)
    for _ in range(3):
        line.clock.advance(0.05)
    assert line.esme.summary.receipts == {"DELIVRD": 1} and not line.esme.summary.answers
    for _ in range(10):
        line.clock.advance(0.05)
    assert line.esme.summary.answers == {0: 1}


def test_a_dropped_answer_never_comes_but_the_receipt_does() -> None:
    line = Line(receipts_s=1.0).script("*", "dropped")
    summary = line.run(90)
    assert (summary.unanswered, summary.answers, summary.receipts) == (1, {}, {"DELIVRD": 1})


def test_throttled_refusals_end_after_their_number() -> None:
    line = Line(count=3, window=1).script("*", "throttle:2")
    assert line.run().answers == {0x58: 2, 0: 1}


def test_beyond_the_rate_submits_are_throttled() -> None:
    line = Line(SmscSettings(rate=10, answer_after_s=0.0), count=30, window=30, receipts_s=2.0)
    assert line.run().answers == {0: 10, 0x58: 20}
    assert line.smsc.peak_rate == 10


@pytest.mark.parametrize(
    ("settings", "chance", "receipts", "answers"),
    [
        ({"undeliv": 0.5}, 0.4, {"UNDELIV": 1}, {0: 1}),
        ({"undeliv": 0.5}, 0.6, {"DELIVRD": 1}, {0: 1}),
        ({"throttle": 0.5}, 0.4, {}, {0x58: 1}),
        ({"receipts": False}, 0.4, {}, {0: 1}),
    ],
)
def test_shares_are_drawn(
    settings: dict[str, Any], chance: float, receipts: dict[str, int], answers: dict[int, int]
) -> None:
    summary = Line(SmscSettings(**settings), chance, receipts_s=2.0).run()
    assert (summary.receipts, summary.answers) == (receipts, answers)


@pytest.mark.parametrize(
    ("form", "expected"), [("dec", "1000001"), ("hex", "f4241"), ("upper", "F4241"), ("padded", "1000001".zfill(20))]
)
def test_ids_come_in_the_form_asked_for(form: str, expected: str) -> None:
    line = Line(SmscSettings(ids=form)).begin()
    for _ in range(20):
        line.clock.advance(0.05)
    assert list(line.esme._submitted_at) == [expected]


def test_receipts_may_name_the_message_in_another_form() -> None:
    summary = Line(SmscSettings(ids="hex", receipt_ids="dec"), receipts_s=1.0).run()
    assert (summary.receipts, summary.unknown, summary.missing) == ({"DELIVRD": 1}, 1, 1)


@pytest.mark.parametrize(
    ("registered_delivery", "stat", "expected"),
    [(0, "DELIVRD", False), (1, "UNDELIV", True), (2, "DELIVRD", False), (2, "EXPIRED", True), (3, "DELIVRD", True),
     (3, "UNDELIV", False), (0x11, "DELIVRD", True), (0x10, "DELIVRD", False)],
)  # fmt: skip
def test_registered_delivery_says_who_hears(registered_delivery: int, stat: str, expected: bool) -> None:
    assert asks_for(registered_delivery, stat) is expected


def test_a_long_text_goes_in_parts_that_read_as_one() -> None:
    text = "Não há débitos em atraso. 😀 " * 6
    line = Line(text=text)
    summary = line.run()
    assert summary.complete and summary.submitted == 3
    assert "".join(submit.text for submit in line.smsc.submits) == text
    assert all(submit.esm_class & 0x40 for submit in line.smsc.submits)


def test_a_person_writes_back() -> None:
    line = Line(receipts_s=5.0).script("*", "silent").begin()
    line.clock.advance(0.05)
    line.smsc.mo(NUMBER, "28940", "Já paguei 😀")
    line.clock.advance(0.05)
    assert line.esme.summary.texts == 1
    line.clock.advance(0.05)
    assert line.smsc.receipts == {"MO": 1}


def test_receipts_wait_for_a_bind_that_takes_them() -> None:
    line = Line(SmscSettings(receipt_after_s=5.0), receipts_s=0.5)
    assert line.run(3).missing == 1
    line.clock.advance(3)
    second = Esme(EsmeSettings(system_id="billing", password="x", to=NUMBER, count=1, receipts_s=0.5), line.clock)
    line.esme = second
    line.begin()
    for _ in range(200):
        line.clock.advance(0.05)
    assert second.summary.receipts == {"DELIVRD": 1}, "the first message's; its own comes 5 s later"
    assert second.summary.unknown == 1


def test_neither_number_nor_text_shows_in_repr() -> None:
    line = Line()
    line.run()
    shown = repr(line.smsc.submits) + repr(SmscSettings(password="operator12")) + repr(line.esme.plan)
    assert NUMBER not in shown and "Pombo" not in shown and "operator12" not in shown and "secret" not in shown


@pytest_twisted.ensureDeferred
async def test_smpplib_binds_submits_and_gets_its_receipts() -> None:
    smsc = SmscSimulator(SmscSettings(system_id="pombo", password="operator", receipt_after_s=0.05), reactor)  # type: ignore[arg-type]
    smsc.scripts.set("5521*", OperatorScript(stat="UNDELIV", err="027"))
    port = await endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(smsc)
    try:
        answers, receipts = await deferToThread(_foreign, port.getHost().port)
    finally:
        await port.stopListening()
    assert [status for status, _ in answers] == [0, 0]
    assert sorted(stat for _, stat in receipts) == [b"DELIVRD", b"UNDELIV"]
    assert {message_id for _, message_id in answers} == {message_id for message_id, _ in receipts}


def _foreign(port: int) -> tuple[list[tuple[int, bytes]], list[tuple[bytes, bytes]]]:
    answers: list[tuple[int, bytes]] = []
    receipts: list[tuple[bytes, bytes]] = []
    refused = smpplib.client.Client("127.0.0.1", port, timeout=5, allow_unknown_opt_params=True)
    refused.connect()
    with pytest.raises(PDUError, match="Invalid Password"):
        refused.bind_transceiver(system_id="pombo", password="wrong")
    refused.disconnect()
    client = smpplib.client.Client("127.0.0.1", port, timeout=5, allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: answers.append((pdu.status, pdu.message_id)))
    client.set_message_received_handler(
        lambda pdu: receipts.append((pdu.receipted_message_id, pdu.short_message.split(b"stat:")[1][:7]))
    )
    client.connect()
    client.bind_transceiver(system_id="pombo", password="operator")
    for number in ("5511988880001", "5521988880001"):
        client.send_message(source_addr="28940", destination_addr=number, short_message=b"oi", registered_delivery=True)
    while len(receipts) < 2:
        client.read_once()
    client.unbind()
    client.disconnect()
    return answers, receipts
