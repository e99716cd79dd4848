"""Everything around the message: time, the channels, the billing system, and what breaks. From a world to the next.

`May` bounds what the surroundings do: each choice uses one up. What is left when nobody does anything any more, neither
for the better nor for the worse, is calm: the store answers, channels write and hear nothing, time passes, whoever died
is started again. A message must reach its end on calm steps alone, from wherever it is.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.messages.message import Message
from gateway.messages.outcome import Report, Status
from gateway.messages.states import State
from tools.model.gateway import Call, Gateway, Process
from tools.model.memory import BEYOND, CHANNELS, Change, Kept, Memory, revision, unpack, with_revision

TICK_S = 15.0  # also journey.DOWN_RETRY_S; the other times are multiples of it
PATIENCE_S, VALID_S = 30.0, 60.0

MESSAGE = Message(
    "m", "a", "", 0, 0, "", 0, 0, "", "", 0, 0, 0, 1, 0, "", b"old", False, (), None, 1, 0.0, VALID_S,
    plan=CHANNELS, fallback_after=PATIENCE_S,
)  # fmt: skip


class May(NamedTuple):
    """What may happen yet, each so many times."""

    reports: int = 0
    failures: int = 0  # of attempts, other than silence
    crashes: int = 0
    cuts: int = 0  # of the link to the store, with any number of calls done whose answers are lost
    refusals: int = 0  # the store takes a change later than those behind it: full, or out of memory
    takeovers: int = 0  # of what a living node has, because it looks dead
    wishes: int = 0  # cancel_sm, replace_sm
    downs: int = 0  # of the WhatsApp channel
    stalls: int = 0  # time passes although the store has not answered
    impatience: int = 0  # the ESME is told no, for the store is slow


class Copy(NamedTuple):
    """What a channel was given: written, then taken or refused. failed: it has told so."""

    channel: str
    state: str = "written"
    failed: bool = False


class World(NamedTuple):
    may: May
    kept: Kept = Kept()
    processes: tuple[Process, ...] = ()
    now: float = 0.0
    zap_up: bool = True
    copies: tuple[Copy, ...] = ()
    repeats: tuple[Report, ...] = ()  # reports that nobody has acknowledged: they may come again
    answer: str = (
        ""  # to the ESME: ok | refused | window: refused, and nobody was left to take it back before it went on
    )
    got: frozenset[State] = frozenset()  # its receipts
    arrived: frozenset[str] = frozenset()  # ids of copies whose delivery was acknowledged in time
    promised: bool = False  # one of them was the current attempt's, known by its id
    kept_back: bool = False  # time has passed while no process was up, or while its channel had not written it yet


def remote_id(number: int, channel: str) -> str:
    return f"{channel[0]}{number}"


class Scene:
    """A world in the hands of one step. Satisfies gateway.Around."""

    def __init__(self, world: World, memory: type[Memory], gateway: type[Gateway]) -> None:
        self.may, self.now, self.zap_up, self.got = world.may, world.now, world.zap_up, world.got
        self.copies, self.repeats = list(world.copies), list(world.repeats)
        self.said, self.arrived = world.answer, set(world.arrived)
        self.promised, self.kept_back = world.promised, world.kept_back
        self.memory = memory(world.kept)
        self.gateways = [gateway(process, self) for process in world.processes]

    def answer(self, ok: bool) -> None:
        if not self.said:
            self.said = "ok" if ok else "refused"

    def reported(self, report: Report) -> None:
        if report.status is Status.DELIVERED and self.now < VALID_S:
            self.arrived.add(report.remote_id)

    def spend(self, name: str) -> None:
        self.may = self.may._replace(**{name: getattr(self.may, name) - 1})

    def world(self) -> World:
        memory = self.memory
        if self.arrived and not self.promised and memory.record and not memory.record[4]:
            attempts = unpack(memory.record).attempts
            current = attempts[-1].channel if attempts else ""
            in_time = current == CHANNELS[-1] or (attempts and self.now < attempts[-1].started_at + PATIENCE_S)
            self.promised = bool(in_time) and any((current, one) in memory.named for one in self.arrived)
        processes = [one.process() for one in self.gateways]
        if memory.last > BEYOND:
            numbers = _Numbers(memory.record)
            memory.record, processes = numbers.of(memory.record), [numbers.within(one) for one in processes]
        return World(
            self.may, memory.kept(), tuple(processes), self.now, self.zap_up, tuple(self.copies),
            tuple(self.repeats), self.said, self.got, frozenset(self.arrived), self.promised,
            self.kept_back,
        )  # fmt: skip


class _Numbers:
    """Revisions count by which of them are the same, so that worlds that differ in nothing else are one."""

    def __init__(self, stored: bytes) -> None:
        self._known = {0: 0, 1: 1}
        self.of(stored)

    def _number(self, rev: int) -> int:
        return self._known.setdefault(rev, len(self._known))

    def of(self, record: bytes) -> bytes:
        return with_revision(record, self._number(revision(record))) if record else record

    def within(self, process: Process) -> Process:
        calls = tuple(self._call(call) if call.name == "commit" else call for call in process.calls)
        holds = tuple(hold._replace(record=self.of(hold.record)) for hold in process.holds)
        recent = (*process.recent[:2], self.of(process.recent[2])) if process.recent else None
        return process._replace(calls=calls, holds=holds, recent=recent)

    def _call(self, call: Call) -> Call:
        change: Change = call.args[0]
        change = change._replace(expected=self._number(change.expected), record=self.of(change.record))
        return call._replace(args=(change, *call.args[1:]))
