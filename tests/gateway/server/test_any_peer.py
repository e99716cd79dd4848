"""Whatever clients send, and however many they are: the server answers, within bounds, and the others do not notice."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher

from gateway.messages.outcome import QueryAnswer
from gateway.server.outlet import SLOW_OCTETS
from gateway.server.protocol import MAX_PENDING
from gateway.smpp import pdu
from gateway.smpp.pdu import decode, encode
from gateway.smpp.states import SessionState
from tests.gateway.server.house import NUMBER, Esme, House, account, receipt, submit
from tests.gateway.smpp.test_any_session import mutated, pdus_
from tools.watched_session import weight

ACCOUNT = account(throughput=1_000_000.0, max_binds=2_000)
octets = st.binary(max_size=80)
steps = mutated() | octets | pdus_.map(encode) | st.sampled_from([0.5, 16.0, 30.0, "answer", "receipt"])


class Errors:
    """What was logged as an error while it is open."""

    def __enter__(self) -> list[str]:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self)
        return self.lines

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.error:
            self.lines.append(f"{event.get('log_format')} {event.get('why')} {event.get('log_failure')}")

    def __exit__(self, *why: object) -> None:
        globalLogPublisher.removeObserver(self)


def keep_alive(esme: Esme) -> None:
    """Answer whether it is still there."""
    for asked in esme.take():
        if isinstance(asked, pdu.EnquireLink):
            esme.send(pdu.EnquireLinkResp(asked.sequence_number))


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["", "tx", "rx", "trx"]), st.lists(steps, max_size=14))
def test_anything_from_a_client_costs_no_error_and_the_others_are_served(
    kind: str, script: list[bytes | float | str]
) -> None:
    house = House(ACCOUNT)
    other = house.bind("tx")
    peer = house.bind(kind) if kind else house.connect()
    with Errors() as errors:
        for step in script:
            if isinstance(step, bytes):
                peer.raw(step)
            elif isinstance(step, float):
                house.clock.advance(step)
                keep_alive(other)
            elif step == "answer":
                house.intake.answer()
            else:
                house.deliver(receipt(), lambda status: None)
            house.clock.advance(0)
        house.intake.answer()
        other.take()
        other.submit()
        house.intake.answer()
        (answer,) = (one for one in other.take() if isinstance(one, pdu.SubmitSmResp))
        assert answer.command_status == 0
        peer.lose()
        house.clock.advance(0)
        assert house.bound.count("billing") == 1
    assert not errors and not house.failures


@pytest.mark.parametrize("written", ["\x01", "7\n", "\x7f\x00x", "\xa0\xad\x85", "7"])
def test_a_query_for_any_id_is_answered(written: str) -> None:
    house = House(ACCOUNT)
    esme = house.bind()
    message_id = written.partition("\0")[0]
    house.intake.query_answer = QueryAnswer(0x0C, message_id)
    frame = encode(pdu.QuerySm(sequence_number=8, source_addr="28940"))
    body = message_id.encode("latin-1") + b"\0" + frame[17:]
    esme.raw((16 + len(body)).to_bytes(4) + frame[4:16] + body)
    answer = esme.only()
    assert (type(answer), answer.sequence_number, answer.command_status) == (pdu.QuerySmResp, 8, 0x0C)
    assert esme.protocol.session.pending == 0
    assert not house.failures


def test_an_answer_that_cannot_be_written_becomes_an_error_of_ours() -> None:
    house = House(ACCOUNT)
    esme = house.bind()
    esme.submit()
    (answer,), house.intake.waiting = house.intake.waiting, []
    answer(0, "an id with a \0 in it")
    (response,) = esme.take()
    assert (type(response), response.command_status) == (pdu.SubmitSmResp, 0x08)
    assert esme.protocol.session.pending == 0


@pytest.mark.parametrize("service_type", ["\x01", "a\nb", "\x7f"])
def test_a_service_type_that_nobody_could_repeat_is_refused(service_type: str) -> None:
    house = House(ACCOUNT)
    esme = house.bind()
    frame = encode(submit(NUMBER), 5)
    body = service_type.encode("latin-1") + frame[16:]
    esme.raw((16 + len(body)).to_bytes(4) + frame[4:16] + body)
    assert esme.statuses() == [0x15]


def test_a_number_with_a_no_break_space_gets_its_receipt() -> None:
    house = House(ACCOUNT)
    esme = house.bind()
    written = "55\xa011\xa0987654321"
    esme.submit(written)
    (message,) = house.intake.submitted
    assert (message.msisdn, message.dest) == (NUMBER, written)
    house.intake.answer()
    esme.take()
    answers: list[int | None] = []
    assert house.deliver(receipt(source=message.dest), answers.append)
    (delivered,) = esme.acknowledge()
    assert delivered.source_addr == written
    assert answers == [0]


# A client that floods, and one that does not read


@pytest.mark.parametrize(
    "frame",
    [
        encode(pdu.EnquireLink(), 1), encode(submit(), 2), encode(pdu.QuerySm(message_id="1"), 3),
        encode(pdu.SubmitMulti(dest_addresses=(pdu.SmeAddress(1, 1, "x"),) * 254, short_message=b"x"), 4),
        bytes.fromhex("000000100000beef0000000000000005"),
    ],
    ids=["enquire_link", "submit_sm", "query_sm", "submit_multi", "unknown"],
)  # fmt: skip
def test_a_flood_that_is_not_read_is_stopped_before_it_fills_the_memory(frame: bytes) -> None:
    house = House(ACCOUNT, automatic=True)
    peer, other = house.bind(), house.bind()
    peer.transport.producer.pauseProducing()  # its window is closed
    fed = 0
    while peer.reading and fed < 16 * 1024 * 1024:
        peer.raw(frame * (65_536 // len(frame)))
        for _ in range(100):
            house.clock.advance(0)
        fed += 65_536
    assert not peer.reading
    assert peer.protocol._outlet.unsent <= 2 * SLOW_OCTETS
    assert weight(peer.protocol.session) <= 100_000
    other.submit()
    assert other.statuses() == [0]
    house.clock.advance(30.0)
    keep_alive(other)
    house.clock.advance(31.0)
    assert peer.transport.disconnecting  # no progress for a minute
    assert not other.closing


def test_submits_that_nobody_answers_are_read_up_to_a_bound_and_then_left_to_tcp() -> None:
    house = House(ACCOUNT)
    peer, other = house.bind(), house.bind()
    reads = 0
    while peer.reading and reads < 1_000:
        peer.raw(encode(submit(), 7) * 50)
        house.clock.advance(0)
        reads += 1
    assert reads <= MAX_PENDING // 50 + 3
    assert len(house.intake.submitted) <= MAX_PENDING + 150
    other.submit()
    house.intake.answer()
    assert other.statuses() == [0]


def test_half_open_links_of_every_state_are_cut_and_leave_nothing() -> None:
    house = House(ACCOUNT)
    peers = [house.connect(), *(house.bind(kind) for kind in ("tx", "rx", "trx")), house.bind()]
    peers[0].raw(b"\0\0")
    peers[4].raw(encode(submit(), 1)[:30])
    for _ in range(200):
        house.clock.advance(1.0)
    assert all(peer.closing for peer in peers)
    for peer in peers:
        peer.lose()
    assert not house.clock.getDelayedCalls()
    assert not house.bound.status()


# A thousand of them


def test_a_thousand_idle_sessions_cost_little_each_and_nothing_to_a_busy_one() -> None:
    house = House(ACCOUNT)
    busy = house.bind()
    first = [house.bind("rx") for _ in range(20)]  # caches are warm
    gc.collect()
    before = len(gc.get_objects())
    idle = [house.bind("rx") for _ in range(1_000)]
    for esme in idle:
        esme.take()
    gc.collect()
    objects = (len(gc.get_objects()) - before) / len(idle)
    assert objects < 60, "objects that each session keeps"
    assert all(weight(esme.protocol.session) < 2_000 for esme in idle)

    fed: list[object] = []
    for esme in (*first, *idle):
        esme.protocol.dataReceived = fed.append
        esme.protocol.flush = lambda: fed.append("written")
    for _ in range(300):
        busy.submit()
    house.intake.answer()
    assert busy.statuses() == [0] * 300
    assert not fed, "a busy session makes work for the idle ones"


def test_a_thousand_sessions_that_are_lost_at_once_leave_nothing() -> None:
    house = House(ACCOUNT)
    idle = [house.bind("trx") for _ in range(1_000)]
    delivered: list[int | None] = []
    for number in range(1_000):
        assert house.deliver(receipt(str(number)), delivered.append)
    for esme in idle:
        esme.lose()
    house.clock.advance(0)
    assert delivered == [None] * 1_000
    assert house.bound.count("billing") == 0
    assert not house.clock.getDelayedCalls()
    assert all(esme.protocol.session.state is SessionState.CLOSED for esme in idle)


@pytest.mark.parametrize("total", [2, 255])
def test_sets_of_parts_that_never_come_are_remembered_in_few_octets(total: int) -> None:
    house = House(account(throughput=10_000_000.0))
    esme = house.bind()
    for reference in range(2_000):
        udh = b"\6\x08\4" + reference.to_bytes(2) + bytes((total, 1))
        esme.submit(text=udh + b"x", esm_class=0x40)
        house.clock.advance(0)
    assert len(house.intake.submitted) == 2_000
    paid = house.server.accounts._accounts["billing"]._paid
    assert all(left.bit_count() == total - 1 and left.bit_length() <= 256 for left, _ in paid.values())


def test_what_the_machine_writes_can_be_read() -> None:
    """The decoder of these tests is the one under test: this is what it is held against."""
    assert decode(bytes.fromhex("00000010800000150000000000000009")) == pdu.EnquireLinkResp(sequence_number=9)
