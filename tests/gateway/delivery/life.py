"""A gateway over the real store, and surroundings that do what they like: the machine behind test_any_life.

What is true outside (who was answered what, which texts a channel got) is written down here, and held against the store
when everything has come to rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest_twisted
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock, deferLater

from gateway.delivery.intake import PATIENCE_S as INTAKE_PATIENCE_S
from gateway.messages.message import Message, Mo
from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    NoAccount,
    Refused,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)
from gateway.messages.states import State
from gateway.routing.routes import Route, When
from gateway.store import keys, records
from gateway.store.embedded import EmbeddedServer
from gateway.store.valkey import Keep, Store
from tests.fakes.channels import MemoryChannel
from tests.gateway.delivery.house import PATIENCE_S, USUAL, House, time_now
from tests.gateway.samples import part

VALID_S, MOST_TURNS = 3600.0, 3000
ROUTES = (Route("sms", ("operator",), when=When(account=("shop",))), USUAL)
CHANNELS = ("zap", "operator")
LOOK = """
local out = {}
for i = 1, #ARGV do
  out[i] = { redis.call('GET', 'm:' .. ARGV[i]), redis.call('ZSCORE', 'due', ARGV[i]) }
end
return out
"""  # records and when they are due, at one moment
LATEST = st.integers(0, 3)  # counted from the end
# What a channel answers. What comes of a rule depends on the store's speed, what is drawn must not.
RESULTS = (
    Accepted(""), Accepted(""), Accepted(""), Uncertain("timeout"), Refused("refused"), TryLater(30.0, "busy"),
    Unwritten("link lost"), ChannelDown("down"), NoAccount("send"),
)  # fmt: skip
WORDS = (Status.DELIVERED, Status.DELIVERED, Status.SENT, Status.READ, Status.FAILED)
OFTEN = st.sampled_from([True, True, False])
RARE = (
    "a window closes", "a window opens", "WhatsApp goes or comes", "an ESME binds", "an ESME binds and answers nothing",
    "binds are lost", "the store stalls",
)  # fmt: skip
Scripts = Mapping[str, Callable[[str], str]]


class Sent(NamedTuple):
    """What a channel has got of a message. number: of those of its channel."""

    channel: str
    number: int
    message: Message

    @property
    def remote_id(self) -> str:
        return f"{self.channel}-{self.number}"


class Life(RuleBasedStateMachine):
    """Rules act without waiting for what follows; `settle` and time let it happen."""

    server: EmbeddedServer
    scripts: Scripts = {}  # mistakes to be planted: script -> what makes the wrong text of the right one

    def __init__(self) -> None:
        super().__init__()
        self.clock = time_now()
        self.incarnation = self.reference = 0
        self.answers: dict[str, int] = {}  # id -> command_status
        self.marked: set[str] = set()  # the wire log
        self.sent: list[Sent] = []
        self.unanswered: dict[int, tuple[Sent, Message]] = {}  # by number; those of this process
        self.given: Counter[tuple[str, str]] = Counter()  # channel, id -> texts it may have taken
        self.denied: set[int] = set()  # numbers of those that it then reported failed
        self.arrived: set[int] = set()
        self.finals: dict[str, State] = {}
        self.got: defaultdict[str, set[State]] = defaultdict(set)
        self.excused: set[str] = set()  # refused, and the process died before it took them back
        self.run(self._begin())

    def run(self, work: Any) -> Any:
        return pytest_twisted.blockon(ensureDeferred(work))

    async def _begin(self) -> None:
        self.witness = await self._link({})
        await self.witness.command("FLUSHALL", "SYNC", keep=Keep.ALWAYS)
        await self._start()

    async def _link(self, scripts: Scripts) -> Store:
        store = Store(f"unix://{self.server.socket}", reactor, embedded=None, node="gw1")
        for name, change in scripts.items():
            wrong = change(store._texts[name])
            assert wrong != store._texts[name], "nothing was planted"
            store._texts[name] = wrong
        await store.start()
        return store

    async def _start(self) -> None:
        """A new process."""
        self.incarnation += 1
        self.unanswered.clear()
        store = await self._link(self.scripts)
        marked = frozenset(self.marked)
        clock = Clock()
        clock.advance(self.clock.seconds())
        self.clock, self.seen = clock, 0
        house = self.house = House(
            store, *ROUTES, clock=clock, incarnation=self.incarnation, was_written=marked.__contains__
        )

        def back() -> None:  # as in gateway.wiring
            house.desk.store_back()
            for dispatcher in house.delivery.dispatchers.values():
                dispatcher.something_waits()
            house.spawn(house.clockwork.recover_leases(), "recovery")

        store.on_back = back
        for name in CHANNELS:
            self._channel(name).script = lambda message, name=name: self._takes(name, message)  # type: ignore[misc]
        recovering = ensureDeferred(house.clockwork.recover())
        await self._settle()
        await recovering
        recovering = ensureDeferred(house.reports.recover())
        await self._settle()
        await recovering
        for dispatcher in house.delivery.dispatchers.values():
            dispatcher.start()
        house.clockwork.start()

    def _channel(self, name: str) -> MemoryChannel:
        channel: MemoryChannel = self.house.zap if name == "zap" else self.house.operator
        return channel

    def _takes(self, name: str, message: Message) -> None:
        self.sent.append(Sent(name, len(self.sent), msgspec.structs.replace(message)))

    async def _settle(self) -> None:
        house, quiet, turns = self.house, 0, 0
        while quiet < 2:
            turns += 1
            assert turns < MOST_TURNS, "it never comes to rest"
            house.clock.advance(0)
            await house.store.command("PING", keep=Keep.ALWAYS)
            await deferLater(reactor, 0, lambda: None)
            quiet = quiet + 1 if house.quiet else 0
        self._note_receipts()

    # -- the ESME

    @initialize(count=st.integers(1, 4), straight=st.booleans())
    def begin(self, count: int, straight: bool) -> None:
        for name in CHANNELS:
            self._channel(name).window = 100 if straight else 0
        for n in range(count):
            self.submit(n % 3 > 0, 0.0, n + 1 == count)
        for name in CHANNELS:
            self._channel(name).window = 100
            self.house.hub.capacity_changed(name)
        self.then(True)

    def then(self, settled: bool) -> None:
        if settled:
            self.run(self._settle())

    @rule(both=st.booleans(), scheduled=st.sampled_from([0.0, 0.0, 0.0, 600.0]), settled=OFTEN)
    def submit(self, both: bool, scheduled: float, settled: bool) -> None:
        now, number = self.house.now, f"55119{len(self.answers) + 1:08d}"
        fields: dict[str, Any] = {"expires_at": now + VALID_S, "msisdn": number, "dest": number}
        fields |= {"account": "billing" if both else "shop", "schedule_at": now + scheduled if scheduled else 0.0}
        self._submit(self.house.message(**fields))
        self.then(settled)

    @rule(numbers=st.sampled_from([(1, 2), (2, 1), (1,)]), settled=OFTEN)
    def submit_parts(self, numbers: tuple[int, ...], settled: bool) -> None:
        self.reference += 1
        until, number = self.house.now + VALID_S, f"55118{self.reference:08d}"
        for n in numbers:
            one = part(n, 2, reference=self.reference % 256, msisdn=number, dest=number, expires_at=until)
            self._submit(one)
        self.then(settled)

    def _submit(self, message: Message) -> None:
        house = self.house

        def answer(status: int, message_id: str) -> None:
            if self.house is house:  # else its link to the ESME is gone with it
                self.answers[message.id] = status

        house.intake.submit(message, answer)

    @rule(which=LATEST, wish=st.sampled_from(["cancel", "cancel", "replace"]), settled=st.booleans())
    def change_its_mind(self, which: int, wish: str, settled: bool) -> None:
        if not self.answers:
            return
        one = sorted(self.answers, reverse=True)[which % len(self.answers)]
        operations = self.house.operations
        for account in ("billing", "shop"):
            if wish == "cancel":
                self.house.spawn(operations.cancel(account, one, "", "", ""), "cancel")
            else:
                self.house.spawn(operations.replace(account, one, "", None, None, 1, b"another text"), "replace")
        self.then(settled)

    def bind(self, automatic: bool) -> None:
        for account in ("billing", "shop"):
            self.house.esmes.bind(account, automatic=automatic)

    def lose_binds(self) -> None:
        self._note_receipts()
        for bind in list(self.house.esmes.binds):
            self.house.esmes.lose(bind)

    def _note_receipts(self) -> None:
        for bind in self.house.esmes.binds:
            for item in bind.got:
                if not isinstance(item, Mo):
                    self.got[item.message_id].add(item.state)

    # -- the channels

    @rule(which=LATEST, what=st.integers(0, len(RESULTS) - 1), settled=OFTEN)
    def channel_answers(self, which: int, what: int, settled: bool) -> None:
        holding = [sent for sent in reversed(self.sent) if sent.message.id in self._channel(sent.channel).holding]
        if not holding:
            return
        sent, result = holding[which % len(holding)], RESULTS[what]
        name, one = sent.channel, sent.message.id
        if isinstance(result, Accepted):
            result = Accepted(sent.remote_id)
        if self._channel(name).holding[one].final or (isinstance(result, NoAccount) and name != "zap"):
            result = Unwritten("ended")
        self._answers(name, one, result)
        self.then(settled)

    def _answers(self, name: str, one: str, result: AttemptResult) -> None:
        if not isinstance(result, (Unwritten, ChannelDown)):
            self.marked.add(one)
        if isinstance(result, (Accepted, Uncertain)):
            self.given[name, one] += 1
        if isinstance(result, Uncertain) and name == "operator":
            sent = next(
                one_sent for one_sent in reversed(self.sent) if (one_sent.channel, one_sent.message.id) == (name, one)
            )
            self.unanswered[sent.number] = sent, self._channel(name).holding[one]
        self._channel(name).answer(one, result)

    @rule(which=LATEST, taken=OFTEN, settled=OFTEN)
    def operator_answers_late(self, which: int, taken: bool, settled: bool) -> None:
        open_ones = [number for number in sorted(self.unanswered) if taken or number not in self.arrived]
        if not open_ones:
            return
        sent, message = self.unanswered.pop(open_ones[-1 - which % len(open_ones)])
        if not taken:
            self.given["operator", sent.message.id] -= 1
        result = Accepted(sent.remote_id) if taken else (Refused("refused"), TryLater(30.0, "busy"))[which % 2]
        self.house.hub.answered_late("operator", message, result)
        self.then(settled)

    @rule(which=LATEST, status=st.sampled_from(WORDS), again_s=st.sampled_from([-1.0, 20.0]), settled=st.booleans())
    def channel_reports(self, which: int, status: Status, again_s: float, settled: bool) -> None:
        if not self.sent:
            return
        one = self.sent[-1 - which % len(self.sent)]
        if status is Status.FAILED and one.number in self.arrived:
            return  # no channel says both
        if status in (Status.DELIVERED, Status.READ):
            self.arrived.add(one.number)
        if status is Status.FAILED:
            self.denied.add(one.number)
        message = one.message
        self._channel(one.channel).report(
            one.remote_id, status, State.UNDELIVERABLE if status is Status.FAILED else State.UNKNOWN,
            source=message.source, dest=message.msisdn,
            again_s=again_s if one.channel == "zap" else -1.0,
        )  # fmt: skip
        self.then(settled)

    @rule(taken=OFTEN)
    def channels_answer(self, taken: bool) -> None:
        """All that is in hand: taken, or never answered."""
        for name in CHANNELS:
            for sent in self.sent:
                holding = self._channel(name).holding.get(sent.message.id) if sent.channel == name else None
                if holding is not None and not holding.final:
                    self._answers(name, sent.message.id, Accepted(sent.remote_id) if taken else Uncertain("timeout"))
        self.then(True)

    # -- what breaks

    @rule(heard=st.booleans(), settled=OFTEN)
    def the_link_breaks(self, heard: bool, settled: bool) -> None:
        """heard: the store has done what was asked of it before."""
        self.run(self._break(self.house.store, heard))
        self.then(settled)

    async def _no_new_link(self, store: Store) -> None:
        """One that is under way comes now or never."""
        store._stopping = True
        if store._link is None:
            await deferLater(reactor, 0.05, lambda: None)

    async def _break(self, store: Store, heard: bool) -> None:
        self.house.clock.advance(0)
        link = store._link
        if link is not None:
            if heard:
                link.transport.stopReading()
                for _ in range(2):
                    await self.witness.command("PING", keep=Keep.ALWAYS)
            link.transport.abortConnection()

    @rule(what=st.sampled_from(RARE), name=st.sampled_from(CHANNELS))
    def something_rare(self, what: str, name: str) -> None:
        house, channel = self.house, self._channel(name)
        match what:
            case "a window closes" | "a window opens":
                channel.window = 0 if what == "a window closes" else 100
                house.hub.capacity_changed(name)
            case "WhatsApp goes or comes":
                house.zap.up = not house.zap.up
                house.hub.capacity_changed("zap")
            case "an ESME binds" | "an ESME binds and answers nothing":
                self.bind(what == "an ESME binds")
            case "binds are lost":
                self.lose_binds()
            case "the store stalls":  # longer than an ESME waits
                house.clock.advance(INTAKE_PATIENCE_S + 1.5)

    @rule(written=st.lists(st.booleans(), min_size=4, max_size=4), heard=st.booleans(), flushed=st.booleans())
    def the_gateway_dies(self, written: list[bool], heard: bool, flushed: bool) -> None:
        """written: whether what channels have in hand had left."""
        house = self.house
        for name in CHANNELS:
            for n, one in enumerate(sorted(self._channel(name).holding)):
                if not self._channel(name).holding[one].final and written[n % len(written)]:
                    self.marked.add(one)
                    self.given[name, one] += 1
        self.excused |= {one for one, status in self.answers.items() if status}
        self._note_receipts()
        if flushed:
            house.clock.advance(0)
        house.die()
        self.run(self._bury(house.store, heard))

    async def _bury(self, store: Store, heard: bool) -> None:
        store._stopping = True
        if store._beat is not None:
            store._beat.stop()
        clock, self.house.clock = self.house.clock, Clock()  # nothing in there goes on
        await self._no_new_link(store)
        await self._break(store, heard)
        self.house.clock = clock
        await self._start()

    # -- time

    @rule(seconds=st.sampled_from([1.0, 1.0, 1.0, 35.0, 35.0, 61.0, PATIENCE_S, VALID_S]))
    def time_passes(self, seconds: float) -> None:
        self.run(self._passes(seconds))

    async def _passes(self, seconds: float) -> None:
        self.house.clock.advance(seconds)
        await self._settle()
        self.house.clock.advance(0.2)
        await self._settle()

    # -- the promises

    @invariant()
    def a_final_state_stays(self) -> None:
        self.run(self._look())

    async def _look(self, at_rest: bool = False) -> None:
        held = {one for dispatcher in self.house.delivery.dispatchers.values() for one in dispatcher.in_hand}
        ids = sorted(self.answers)
        found = await self.witness.command("EVAL", LOOK, "0", *ids, keep=Keep.ALWAYS)
        for one, (record, due) in zip(ids, found, strict=True):
            if self.answers[one] == 0:
                assert record, f"{one} was accepted and is gone"
            message = records.unpack(record) if record else None
            if message is not None and message.final:
                assert self.finals.setdefault(one, message.state) is message.state, f"{one} ended twice"
            elif message is not None:
                assert due, f"nobody will look at {one}"
                assert not at_rest or not message.in_hand or one in held, f"{one} is in nobody's hands"

    def teardown(self) -> None:
        try:
            self.run(self._end())
        finally:
            self.run(self._close())

    async def _end(self) -> None:
        """Channels take what comes and report nothing, ESMEs answer, time goes by."""
        house = self.house
        await self._settle()
        await self._look(at_rest=True)
        house.zap.up = True
        for account in ("billing", "shop"):
            house.esmes.bind(account)
        for seconds in (1.0, 61.0, PATIENCE_S, PATIENCE_S, VALID_S, 61.0, 61.0):
            await self._settle()
            for name in CHANNELS:
                channel = self._channel(name)
                channel.window = 100
                house.hub.capacity_changed(name)
                await self._settle()
                for one in list(channel.holding):
                    if not channel.holding[one].final:
                        self.given[name, one] += 1
                    channel.answer(one, Accepted(f"last-{name}-{one}"))
            await self._passes(seconds)
        accepted = [one for one, status in self.answers.items() if status == 0]
        await self._look()
        left = set(accepted) - set(self.finals)
        assert not left, "these never ended"
        queued = await self._receipts_queued()
        for one in accepted:
            assert queued[one] == 1, f"{one} has {queued[one]} receipts"
            assert self.got[one] == {self.finals[one]}, f"{one} was told to be {self.got[one]}"
        denied = Counter((sent.channel, sent.message.id) for sent in self.sent if sent.number in self.denied)
        for (name, one), count in self.given.items():
            assert count - denied[name, one] <= 1, f"{name} got {one} {count} times"
        for one, status in self.answers.items():
            if status and one not in self.excused:
                assert not any(channel_id[1] == one for channel_id in self.given), f"{one} was refused and sent"
        assert await self.witness.command("ZCARD", keys.DUE) == 0
        assert await self.witness.command("KEYS", "hand:*") == []

    async def _receipts_queued(self) -> Counter[str]:
        rows = await self.witness.command("XRANGE", keys.FEED, "-", "+", keep=Keep.ALWAYS)
        told: Counter[str] = Counter()
        for _, fields in rows:
            told.update(one["id"] for one in msgspec.msgpack.decode(fields[1]) if one["event"] == "receipt_queued")
        return told

    async def _close(self) -> None:
        self.house.die()
        for store in (self.house.store, self.witness):
            store._pending.clear()
            await self._no_new_link(store)
            await store.stop()
