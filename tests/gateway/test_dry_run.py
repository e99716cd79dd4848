"""What channels that only pretend hand in, and what they learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from bridge.dry_run import DryEvidence, DryHttp, pretending, rehearsing
from bridge.provider import HttpOutcome, HttpRequest, HttpResponse, NotWritten, Official
from bridge.providers import provider_of
from config.schema import BridgeSettings, SmscSettings
from gateway.dry_run import OtherStore, Rehearsed, claim
from gateway.messages.message import Message
from gateway.messages.outcome import DRY_RUN, Accepted, AttemptResult, Refused, Report, Status
from gateway.store import records
from gateway.store.valkey import Store
from smsc_client.dry_run import DrySmscChannel
from tests.bridge.fakes import FakeHttp, FakeStore
from tests.gateway.delivery.zap_house import CLOUD_API, EVOLUTION
from tests.gateway.samples import message


class Heard:
    """gateway.delivery.ports.Results that writes down. `keeps`: can it keep reports?"""

    def __init__(self) -> None:
        self.results: list[tuple[Message, AttemptResult]] = []
        self.reports: list[Report] = []
        self.room, self.keeps = 0, True

    def attempted(self, channel: str, results: Sequence[tuple[Message, AttemptResult]]) -> None:
        self.results += results

    def reported(self, channel: str, reports: Sequence[Report], done: Callable[[bool], None]) -> None:
        self.reports += reports if self.keeps else ()
        done(self.keeps)

    def capacity_changed(self, channel: str) -> None:
        self.room += 1

    def inbound(self, *_: Any) -> None: ...
    def looked_up(self, *_: Any) -> None: ...
    def noted(self, *_: Any) -> None: ...


def test_what_was_taken_is_reported_delivered_until_it_is_kept_and_nothing_else_is() -> None:
    clock, heard = Clock(), Heard()
    results = Rehearsed(heard, clock.callLater, clock.seconds)
    heard.keeps = False
    results.attempted("zap", [(message(), Accepted("dry-1")), (message(), Refused("unknown"))])
    assert len(heard.results) == 2
    clock.pump([0, 1, 1])
    assert heard.reports == []
    heard.keeps = True
    clock.pump([1, 1])
    assert [(one.remote_id, one.status) for one in heard.reports] == [("dry-1", Status.DELIVERED)]


def test_an_operator_of_a_dry_run_takes_at_its_rate_and_says_when_it_has_room() -> None:
    clock, heard = Clock(), Heard()
    settings = {"name": "operator", "connect": "tcp:10.0.0.5:2775", "system_id": "pombo", "password": "s3cret"}
    channel = DrySmscChannel(
        SmscSettings.model_validate({**settings, "throughput": "10/s"}),
        results=heard, clock=clock, later=clock.callLater,
    )  # fmt: skip
    taken = 0
    for _ in range(400):
        while channel.capacity():
            channel.send(message())
            taken += 1
        clock.advance(0.01)
    assert 35 <= taken <= 40 and len(heard.results) == taken and channel.inflight == 0
    assert heard.room > 30, "somebody who waits is told each time"


@pytest.mark.parametrize("lookups", [False, True])
def test_only_lookups_ever_reach_the_provider(lookups: bool) -> None:
    outside = FakeHttp()
    outside.answers = {"whatsappNumbers": HttpResponse(200, b"[]")}
    http = DryHttp(outside if lookups else None)
    provider = pretending(provider_of(BridgeSettings.model_validate(EVOLUTION)), lookups)
    answers: list[HttpOutcome] = []
    for ask in (
        provider.send_request("5511987654321", "segredo", "id1"),
        HttpRequest("GET", "http://zap/whatsappNumbers"),
    ):
        ensureDeferred(http.send(ask, 1.0)).addCallback(answers.append)
    assert provider.read_send(answers[0]) == Accepted("dry-id1", note=DRY_RUN)  # type: ignore[arg-type]
    assert isinstance(answers[1], HttpResponse if lookups else NotWritten) and len(outside.requests) == lookups
    assert provider.state_request() is None and bool(provider.check_numbers) == lookups


def test_an_official_service_keeps_its_rules() -> None:
    settings = BridgeSettings.model_validate(CLOUD_API)
    assert isinstance(pretending(provider_of(settings), True), Official)
    assert rehearsing(settings).health.min_acks == 0


def test_sends_that_were_not_made_use_up_nothing_and_what_was_learned_stays() -> None:
    store = FakeStore()
    evidence = DryEvidence(store)
    for person in ("zap:5511987654321", "zap:#sends", "zap:#lookups"):
        evidence.write(person, b"", 1.0)
    assert list(store.values) == ["zap:5511987654321", "zap:#lookups"]


async def join(store: Store, node: str) -> None:
    """A node is alive, as gateway.delivery.membership says it."""
    await store.call("tend", "", node, records.encode([1, 12.0, True, True, [], [], [], [], []]))


@pytest_twisted.ensureDeferred
async def test_a_store_is_there_for_real_work_once_the_node_of_the_dry_run_has_stopped(store: Store) -> None:
    await claim(store, True)
    await join(store, "gw1")
    with pytest.raises(OtherStore, match="a running node of a dry run"):
        await claim(store, False)
    await store.call("leave", "", "gw1", "1", "0")
    await claim(store, False)
    with pytest.raises(OtherStore, match="a running node of real work"):
        await join(store, "gw1")
        await claim(store, True)


@pytest_twisted.ensureDeferred
async def test_workers_that_start_a_dry_run_together_do_not_keep_each_other_out(store: Store) -> None:
    class Slow:
        """This one's look at the purpose is old by the time it counts who else is there."""

        async def command(self, *words: str, **how: Any) -> Any:
            answer = await store.command(*words, **how)
            if words[0] == "GET" and answer is None:
                await claim(store, True)
                await join(store, "gw1-1")
            return answer

    slow: Any = Slow()
    await claim(slow, True)
    with pytest.raises(OtherStore, match="a running node of a dry run"):
        await claim(store, False)
