"""A session under watch: whatever is done to it, the promises of its two roles are checked after every step.

What must hold: no exception but LocalProtocolError, and that only for what was not allowed; every request that was read
is answered once, under its own number and by its own response or generic_nack; nothing else is ever answered; every
request of ours comes to one end; the window holds; a deadline can be kept; after Over there is silence.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any

from msgspec import Struct

from gateway.smpp import pdu as pdus
from gateway.smpp.errors import LocalProtocolError
from gateway.smpp.events import (
    Answered,
    AnsweredLate,
    BindRefused,
    BindRequested,
    Bound,
    Event,
    Over,
    Received,
    Rejected,
    Unanswered,
)
from gateway.smpp.pdu import RESPONSES, Bind, Pdu
from gateway.smpp.session import MAX_HELD_OCTETS, Role, Session, SessionSettings, SessionState

HEADER_OCTETS = 16
RESPONSE_BIT = 0x80000000
GENERIC_NACK = pdus.GenericNack.command_id
UNBIND_RESP = pdus.UnbindResp.command_id
UNANSWERED = frozenset({pdus.Outbind.command_id, pdus.AlertNotification.command_id})
KNOWN = frozenset(cls.command_id for cls in RESPONSES)
DATA_RESPONSES = frozenset(
    response.command_id
    for request, response in RESPONSES.items()
    if not issubclass(request, Bind | pdus.Unbind | pdus.EnquireLink)
)


class WatchedSession:
    """Drives one Session in the peer's place and in that of the shell around it."""

    def __init__(self, role: Role, settings: SessionSettings, now: float = 1000.0) -> None:
        self.session = Session(role, settings, now)
        self.now = now
        self.waiting: deque[Pdu] = deque()  # legal requests of the peer that we have not answered
        self.bind: Bind | None = None
        self.over = False
        self.events: list[Event] = []
        self.unanswered: dict[int, Pdu] = {}  # ours: sequence_number -> request
        self.written = 0  # octets
        self._contexts: set[int] = set()
        self._next_context = 0
        self._unread = b""
        self._lost_count = False  # a length was impossible: the rest of the stream is no PDUs
        self._refused = False  # what waited behind the bind is not read any more
        self._asked: Counter[tuple[int, int]] = Counter()  # (command_id of the answer, sequence_number)
        self._answered: Counter[tuple[int, int]] = Counter()
        self._owed: Counter[tuple[int, int]] = Counter()  # by us, to what waits
        self._max_pdu = settings.max_pdu

    # -- in the peer's place

    def receive(self, octets: bytes) -> None:
        if not self.over:
            self._count(octets)
        self._step(self.session.receive(octets, self.now))

    def lose(self) -> None:
        self._step(self.session.lost(self.now))

    # -- in the shell's place

    def answer(self, command_status: int = 0, text: str = "") -> None:
        """Answer what waits longest: a bind, else a request."""
        if self.bind is not None:
            bind, self.bind = self.bind, None
            if command_status:
                self.session.refuse_bind(bind, command_status, self.now)
                self._refused = True
            else:
                self.session.accept_bind(bind, "POMBO", self.now)
        elif self.waiting:
            request = self.waiting.popleft()
            self._owed[_answer_to(request)] -= 1
            response = RESPONSES[type(request)](sequence_number=request.sequence_number, command_status=command_status)
            self.session.respond(response)
        self._step([])

    def request(self, pdu: Pdu) -> bool:
        """Ask something of the peer; False when it was not allowed."""
        session = self.session
        context = self._next_context
        is_data = RESPONSES.get(type(pdu), pdus.GenericNack).command_id in DATA_RESPONSES
        before, free = session.outstanding, session.free
        try:
            number = session.request(pdu, self.now, context)
        except LocalProtocolError:
            assert session.outstanding == before, "a refused request of ours counts"
            return False
        finally:
            self._step([], asked=True)
        if is_data:
            assert free > 0, "a request beyond the window, or without a bind"
        if is_data or isinstance(pdu, pdus.EnquireLink):
            self._contexts.add(context)
            self._next_context += 1
        if type(pdu) in RESPONSES:
            assert number not in self.unanswered, "a number of ours is used twice"
            self.unanswered[number] = pdu
        return True

    def unbind(self) -> None:
        self.session.unbind(self.now)
        self._step([])

    def tick(self) -> None:
        """Let the time come that the session waits for."""
        at = self.session.deadline()
        if at == math.inf:
            return
        self.now = max(self.now, at)
        self._step(self.session.tick(self.now))
        assert self.session.deadline() > self.now, "a tick that leads nowhere"

    def wait(self, seconds: float) -> None:
        """Let time pass, with every tick that comes due in it."""
        until = self.now + seconds
        while self.session.deadline() <= until:
            self.tick()
        self.now = until

    # -- the promises

    def _step(self, events: list[Event], asked: bool = False) -> None:
        assert not (self.over and events), "something is reported after Over"
        for event in events:
            assert not self.over, "something is reported after Over"
            match event:
                case BindRequested(pdu=bind):
                    assert self.bind is None, "two binds at a time"
                    self.bind = bind
                case Received(pdu=pdu):
                    if pdu.command_id not in UNANSWERED:
                        self.waiting.append(pdu)
                        self._owed[_answer_to(pdu)] += 1
                case Answered(context=context, response=response):
                    self._end(context)
                    self.unanswered.pop(response.sequence_number, None)
                case Unanswered(context=context):
                    self._end(context)
                case Over():
                    self.over = True
                    self.bind = None
                    self.waiting.clear()
                    self._owed.clear()
                    self.unanswered.clear()
                case Rejected() | Bound() | BindRefused() | AnsweredLate():
                    pass
        self.events += events
        self._read_output(asked)
        session = self.session
        assert 0 <= session.outstanding <= session.settings.window
        assert session.pending == len(self.waiting), "pending is not what waits for an answer"
        assert (session.state is SessionState.CLOSED) == self.over
        self._check_answers()
        if self.over:
            assert session.deadline() == math.inf
            assert not self._contexts, "a request of ours has no end"
        elif session.settings.enquire_link:
            assert session.deadline() < math.inf, "nothing wakes this session"

    def _end(self, context: object) -> None:
        assert isinstance(context, int) and context in self._contexts, "two ends of one request of ours"
        self._contexts.discard(context)

    def _read_output(self, asked: bool) -> None:
        octets = self.session.output()
        self.written += len(octets)
        at = 0
        while at < len(octets):
            length, command_id, _, number = (int.from_bytes(octets[at + i : at + i + 4]) for i in (0, 4, 8, 12))
            assert length >= HEADER_OCTETS, "we write a PDU without boundaries"
            if command_id & RESPONSE_BIT:
                self._answered[command_id, number] += 1
            at += length
        assert at == len(octets), "we write half a PDU"

    def _check_answers(self) -> None:
        """No answer without a request; and none is missing but those that we owe or that wait for something else."""
        too_many = self._answered - self._asked
        if self.over or self._lost_count or self.session.deadline() == 0.0:
            for key in [key for key in too_many if key[0] == GENERIC_NACK]:
                del too_many[key]  # says why the session is over
        assert not too_many, f"answers to nothing: {too_many}"
        alive = not self.over and self.session.deadline() > 0.0 and not self._lost_count
        if alive and self.bind is None and not self._refused:
            missing = self._asked - self._answered
            missing -= self._owed
            session, later = self.session, frozenset[int]()
            if self.waiting or (session.role is Role.ESME and session.outstanding):  # an unbind is answered after them
                later = frozenset({UNBIND_RESP})
            elif session.role is Role.ESME and session.state is SessionState.OPEN:  # a bind of ours is answered first
                later = DATA_RESPONSES
            missing = Counter({key: count for key, count in missing.items() if key[0] not in later})
            assert not missing, f"no answer to {missing}"

    def _count(self, octets: bytes) -> None:
        """What of the stream has to be answered, by a reader of its own."""
        if self._lost_count:
            return
        stream = self._unread + octets
        at = 0
        while len(stream) - at >= 4:
            length = int.from_bytes(stream[at : at + 4])
            if not HEADER_OCTETS <= length <= self._max_pdu:
                self._lost_count = length < HEADER_OCTETS or len(stream) - at >= HEADER_OCTETS
                break
            if at + length > len(stream):
                break
            command_id, number = int.from_bytes(stream[at + 4 : at + 8]), int.from_bytes(stream[at + 12 : at + 16])
            if not command_id & RESPONSE_BIT and command_id not in UNANSWERED:
                self._asked[command_id | RESPONSE_BIT if command_id in KNOWN else GENERIC_NACK, number] += 1
            at += length
        self._unread = stream[at:]

    # -- its size

    def held_octets(self) -> int:
        """Octets of the peer, and of ours for it, that the session keeps."""
        return weight(self.session)

    @property
    def most_octets(self) -> int:
        """What it may keep at most: one PDU that is not complete, and what waits behind a bind."""
        return self._max_pdu + MAX_HELD_OCTETS + 65_536


def _answer_to(request: Pdu) -> tuple[int, int]:
    return request.command_id | RESPONSE_BIT, request.sequence_number


def weight(value: Any, _seen: set[int] | None = None) -> int:
    """The octets in all strings that can be reached from a value, and eight for every entry of its collections."""
    seen = _seen if _seen is not None else set()
    if id(value) in seen or value is None or isinstance(value, type | int | float | str):
        return 0
    seen.add(id(value))
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, dict):
        return sum(8 + weight(key, seen) + weight(one, seen) for key, one in value.items())
    if isinstance(value, list | tuple | set | frozenset | deque):
        return sum(8 + weight(one, seen) for one in value)
    if isinstance(value, Struct):
        return sum(weight(getattr(value, name), seen) for name in value.__struct_fields__)
    if hasattr(value, "__dict__") and type(value).__module__.startswith("gateway."):
        return sum(weight(one, seen) for one in vars(value).values())
    return 0
