"""What each stage of the hot path takes: `make microbench`. The normal run does not collect this file, for its name.

Before and after a change: `make microbench ARGS=--benchmark-save=before`, then `ARGS=--benchmark-compare`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gateway.routing.decide import ChannelFacts, decide
from gateway.routing.routes import Route, Routes, When
from gateway.smpp import pdu, receipt_text
from gateway.smpp.constants import EsmClass, Tag
from gateway.store.embedded import EmbeddedServer
from gateway.texts import text_of
from smsc_client.reports import read
from tests.benchmarks.direct_store import DirectStore
from tests.benchmarks.hot_path import SESSIONS, TURN_S, HotPath
from tests.gateway import samples
from tests.gateway.conftest import server  # noqa: F401 - a fixture

EACH = 25  # messages a session, so that a batch has a hundred
ROUNDS = 40
SUBMIT = pdu.SubmitSm(
    source_addr="28940", dest_addr_ton=1, dest_addr_npi=1, destination_addr="5511987654321", registered_delivery=1,
    short_message=b"Sua fatura vence amanha, dia 27. " * 3,
)  # fmt: skip
RECEIPT = pdu.DeliverSm(
    source_addr="5511987654321", destination_addr="28940", esm_class=EsmClass.DELIVERY_RECEIPT,
    short_message=receipt_text.write("123456", "DELIVRD", "000", 1.79e9, 1.79e9, 1),
    tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"123456\0"), (Tag.MESSAGE_STATE, b"\2")),
)  # fmt: skip
PDUS = {"submit_sm": SUBMIT, "deliver_sm": RECEIPT, "submit_sm_resp": pdu.SubmitSmResp(message_id="123456")}


@pytest.mark.parametrize("name", PDUS)
@pytest.mark.benchmark(group="codec, one PDU")
def test_decode(benchmark: BenchmarkFixture, name: str) -> None:
    octets = pdu.encode(PDUS[name], 7)
    assert isinstance(benchmark(pdu.decode, octets), type(PDUS[name]))


@pytest.mark.parametrize("name", PDUS)
@pytest.mark.benchmark(group="codec, one PDU")
def test_encode(benchmark: BenchmarkFixture, name: str) -> None:
    assert pdu.decode(benchmark(pdu.encode, PDUS[name], 7)).sequence_number == 7


@pytest.mark.benchmark(group="decide, one message")
def test_decide(benchmark: BenchmarkFixture) -> None:
    message = samples.accepted(plan=("operator",))
    benchmark(decide, message, samples.START, {"operator": ChannelFacts("smsc")})


@pytest.mark.parametrize("count", [1, 6, 500])
@pytest.mark.benchmark(group="decide, one message")
def test_find_route(benchmark: BenchmarkFixture, count: int) -> None:
    others = [Route(f"r{n}", ("operator",), when=When(to=(f"44{n:03d}",))) for n in range(count - 1)]
    routes = [*others, Route("last", ("operator",))]
    found = benchmark(Routes(routes).find, samples.message(), samples.START, text_of)
    assert found is routes[-1]


@pytest.mark.benchmark(group="receipt, one")
def test_read_a_receipt(benchmark: BenchmarkFixture) -> None:
    benchmark(read, RECEIPT, "operator", samples.START)


@pytest.fixture
def path(server: EmbeddedServer) -> Iterator[HotPath]:  # noqa: F811
    store = DirectStore(server.socket)
    store.ask("FLUSHALL", "SYNC")
    path = HotPath(store)
    path.cycle(EACH)
    yield path
    store.close()


def timed_at_the_store(
    benchmark: BenchmarkFixture, path: HotPath, begin: Callable[[], None], finish: Callable[[], object]
) -> None:
    """The store's part of what `begin` made the gateway ask, from the first command to the last answer."""
    answers: list[tuple[Any, Any]] = []

    def go_on() -> None:
        for answered, answer in answers:
            answered.callback(answer)
        path.run()
        finish()

    def prepare() -> None:
        if answers:
            go_on()
        begin()
        path.clock.advance(TURN_S)

    def ask() -> None:
        answers[:] = path.store.answers()

    benchmark.pedantic(ask, setup=prepare, rounds=ROUNDS, warmup_rounds=2)
    go_on()


@pytest.mark.benchmark(group=f"at the store, {SESSIONS * EACH} messages")
def test_commit_of_new_messages(benchmark: BenchmarkFixture, path: HotPath) -> None:
    timed_at_the_store(benchmark, path, partial(path.read_submits, EACH), path.take)
    path.answer()


@pytest.mark.benchmark(group=f"at the store, {SESSIONS * EACH} messages")
def test_match_of_receipts(benchmark: BenchmarkFixture, path: HotPath) -> None:
    def begin() -> None:
        path.submit(EACH)
        path.answer()
        path.read_receipts()

    def finish() -> None:
        assert path.acknowledge() == SESSIONS * EACH

    timed_at_the_store(benchmark, path, begin, finish)


@pytest.mark.benchmark(group=f"the whole way, {SESSIONS * EACH} messages, store included")
def test_from_submit_to_receipt(benchmark: BenchmarkFixture, path: HotPath) -> None:
    assert benchmark.pedantic(path.cycle, args=(EACH,), rounds=ROUNDS, warmup_rounds=2) == SESSIONS * EACH
